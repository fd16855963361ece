"""Whether a sidecar is standalone or a member of a fleet, and the consequences for its cache."""

from collections.abc import Mapping
from typing import Protocol

from sidecar.cache.credentials import CredentialCache, credential_cache
from sidecar.cache.ports import CredentialStore, Fleet
from sidecar.cache.refused_tokens import BustFailure
from sidecar.cache.revocations import Revocations
from sidecar.cache.settings import CacheSettings
from sidecar.cache.tokens import TokenCache
from sidecar.core.health import Health
from sidecar.core.labels import Labels, describe
from sidecar.core.ports import Clock, Randomness
from sidecar.fleet.answers import SelectOutcome
from sidecar.fleet.evictions import EveryCache
from sidecar.fleet.settings import BustSettings, RedisSettings
from sidecar.fleet.standalone import NoCredentialStore, NoFleet
from sidecar.oauth.ports import TokenSource
from sidecar.telemetry.fleet_events import SelectSent
from sidecar.telemetry.ports import FleetReadings, Journal
from sidecar.telemetry.words import NeighbourKind


class Membership(Protocol):
    """Interface of a fleet for the rest of the sidecar. No method raises."""

    revocations: Revocations
    fingerprint_key: bytes
    credentials: CredentialCache
    """The memory of secret stores' credentials; it gets the bus's messages too."""
    credential_store: CredentialStore
    """The second level of the credentials that are shared."""

    @property
    def fleet(self) -> Fleet:
        """Reports from the cache to the other pods."""

    def source(self, fetcher: TokenSource) -> TokenSource:
        """Return the cache's source, which wraps the one that fetches; called again after each reload."""

    def join(self, cache: TokenCache, name: str) -> None:
        """Connect this cache to the fleet's busts. `name` is the pod's for people."""

    async def open(self) -> None:
        """Connect; continue without a server that cannot be reached soon."""

    async def run(self) -> None:
        """Receive messages of other pods."""

    async def bust(self, selector: Labels) -> SelectOutcome | BustFailure:
        """Drop the selected tokens in every pod. Return what each pod dropped, or what went wrong."""

    def readings(self) -> FleetReadings | None:
        """Return the readings of store and bus; None without them."""

    def health(self) -> Mapping[NeighbourKind, Health]:
        """Return the state of `store` and `bus`, since when and why; empty without them."""

    async def close(self) -> None:
        """Close all connections."""


class Standalone:
    """A sidecar without a fleet."""

    def __init__(
        self, cache: CacheSettings, *, clock: Clock, randomness: Randomness, journal: Journal
    ) -> None:
        self.revocations = Revocations()
        self.fingerprint_key = randomness.token_bytes(32)
        self.fleet = NoFleet()
        self.credential_store: CredentialStore = NoCredentialStore()
        self.credentials = credential_cache(
            cache, self.revocations, self.fingerprint_key, clock=clock, journal=journal
        )
        self._clock = clock
        self._journal = journal

    def source(self, fetcher: TokenSource) -> TokenSource:
        """Return the source that fetches each token."""
        return fetcher

    def join(self, cache: TokenCache, name: str) -> None:
        """See Membership."""
        self._cache, self._name = cache, name

    async def open(self) -> None:
        """Do nothing: there is no connection."""

    async def run(self) -> None:
        """Do nothing: there are no messages."""

    async def bust(self, selector: Labels) -> SelectOutcome:
        """Drop the tokens of this pod, which is the only one."""
        now = self._clock.now()
        self.revocations.add(selector, now)
        dropped = EveryCache(self._cache, self.credentials).evict_selected(selector, now)
        self._journal.tell(SelectSent(describe(selector), pods=1))
        return SelectOutcome(1, {self._name: dropped})

    def readings(self) -> None:
        """Return None: there are no readings."""

    def health(self) -> Mapping[NeighbourKind, Health]:
        """Return an empty mapping: there are no parts."""
        return {}

    async def close(self) -> None:
        """Cancel what is under way."""
        await self.credentials.close()


def membership(
    redis: RedisSettings | None,
    busts: BustSettings,
    cache: CacheSettings,
    *,
    clock: Clock,
    randomness: Randomness,
    journal: Journal,
) -> Membership:
    """Make the one that the configuration selects. Raises ConfigError if an encryption key cannot be read.

    A standalone sidecar loads neither redis-py nor cryptography, so it starts sooner and stays smaller.
    """
    if redis is None:
        return Standalone(cache, clock=clock, randomness=randomness, journal=journal)
    from sidecar.fleet.member import Member  # noqa: PLC0415

    return Member(
        redis,
        busts,
        cache,
        clock=clock,
        randomness=randomness,
        journal=journal,
    )
