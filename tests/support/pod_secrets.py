"""A secret store as each pod of a fleet reads it."""

from sidecar.cache.credentials import CachedSource
from sidecar.credentials.model import Credentials
from tests.support.clock import FakeClock
from tests.support.credential_fakes import CountingSource
from tests.support.fleet_of_members import MemberPod

ANY = float("-inf")


class Secrets:
    """The secret store, and how each pod of a fleet reads it."""

    def __init__(self) -> None:
        self.source = CountingSource(FakeClock())

    async def read(self, pod: MemberPod, rejected: Credentials | None = None) -> Credentials:
        cached = CachedSource(
            pod.member.credentials,
            _Timed(self.source, pod),
            service="ledger",
            origin="here",
            store=pod.member.credential_store,
        )
        return await cached.read("acme", newer_than=ANY, rejected=rejected)


class _Timed:
    """The source on the pod's own clock."""

    def __init__(self, source: CountingSource, pod: MemberPod) -> None:
        self._source = source
        self._pod = pod

    async def read(
        self, tenant: str, *, newer_than: float, rejected: Credentials | None = None
    ) -> Credentials:
        began = self._pod.clock.now()
        found = await self._source.read(tenant, newer_than=newer_than, rejected=rejected)
        return Credentials(found.client_id, found.client_secret, began)
