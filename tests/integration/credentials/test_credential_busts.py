"""Credentials in a fleet: one pod detects that they were replaced, every pod drops them."""

import json
from collections.abc import AsyncIterator

import pytest

from sidecar.fleet.settings import ForeignChannel
from sidecar.telemetry.events import CredentialsRejected
from sidecar.telemetry.fleet_events import BustApplied
from tests.support.fleet_of_members import MemberFleet
from tests.support.pod_secrets import Secrets
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

ROTATED = json.dumps(
    {
        "event_type": "tenant.credentials.rotated",
        "tenant_id": "acme",
        "payload": {"new_secret_path": "tenants/production/acme/app/m2m/ledger/credentials"},
    }
)


@pytest.fixture
async def fleet(redis_server: RedisServer) -> AsyncIterator[MemberFleet]:
    async with MemberFleet(redis_server) as fleet:
        yield fleet


async def test_b30_a_rejection_reaches_every_pods_memory(fleet: MemberFleet) -> None:
    """One message of the kind `credentials`; the others drop what they held and read the store again."""
    secrets, a, b = Secrets(), await fleet.pod(), await fleet.pod()
    rejected = await secrets.read(a)
    await secrets.read(b)
    secrets.source.current = "canary-2"
    async with fleet.messages() as messages:
        assert (await secrets.read(a, rejected)).client_secret.reveal() == "canary-2"
        await until(lambda: b.told(BustApplied) != [])
        assert [(each["kind"], each["key"]) for each in map(json.loads, messages)] == [
            ("credentials", "tenant:acme:m2m:ledger:credentials")
        ]
        assert "canary" not in repr(messages)
    assert [(event.kind, event.evicted) for event in b.told(BustApplied)] == [("credentials", 1)]
    assert (await secrets.read(b)).client_secret.reveal() == "canary-2"
    assert len(secrets.source.reads) == 2
    assert [event.fp for event in a.told(CredentialsRejected)] == [b.told(BustApplied)[0].fp]


async def test_b46_credentials_bust_during_a_gap_are_dropped_after_it(fleet: MemberFleet) -> None:
    """A pod that received nothing compares generations when it reconnects."""
    secrets, a, b = Secrets(), await fleet.pod(), await fleet.pod()
    rejected = await secrets.read(a)
    await secrets.read(b)
    await fleet.client.client_kill_filter(_type="pubsub")
    secrets.source.current = "canary-2"
    await secrets.read(a, rejected)
    await until(lambda: b.told(BustApplied) != [] and b.up)
    assert (await secrets.read(b)).client_secret.reveal() == "canary-2"


@pytest.mark.parametrize("labels", [{"tenant": "acme"}, {"service": "ledger"}, {}])
async def test_b52_an_operators_bust_drops_credentials_too(
    fleet: MemberFleet, labels: dict[str, object]
) -> None:
    """In every pod, and what lies in Redis is not taken any more."""
    secrets, a, b = Secrets(), await fleet.pod(), await fleet.pod()
    for pod in (a, b):
        await secrets.read(pod)
    await a.bust(**labels)
    await until(lambda: b.evicted > 0)
    for pod in (a, b):
        await secrets.read(pod)
    assert len(secrets.source.reads) == 2


async def test_b53_another_program_may_tell_of_rotated_credentials(fleet: MemberFleet) -> None:
    """`tenant.credentials.rotated` drops the tokens made with them, and them."""
    channel = f"{fleet.prefix}tenant-events:prod:"
    secrets, pod = Secrets(), await fleet.pod(ForeignChannel(channel, "lerian"))
    await secrets.read(pod)
    await fleet.publish(channel, ROTATED.encode())
    await until(lambda: pod.evicted > 0)
    await secrets.read(pod)
    assert len(secrets.source.reads) == 2


async def test_credentials_stay_in_the_pod_where_redis_is_not_sealed(redis_server: RedisServer) -> None:
    """Each reads its own: a client secret in the clear would outlive every token."""
    async with MemberFleet(redis_server, sealed=False) as fleet:
        secrets = Secrets()
        for pod in (await fleet.pod(), await fleet.pod()):
            await secrets.read(pod)
        assert len(secrets.source.reads) == 2
        assert await fleet.client.keys(f"{fleet.prefix}*credentials*") == []
