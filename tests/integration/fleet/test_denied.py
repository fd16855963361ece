"""Redis answers and denies writes: busts reach every pod all the same, and what was not done is reported."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sidecar.cache.lease import Lease
from sidecar.cache.refused_tokens import BustFailure
from sidecar.fleet.redis.scripts import keys_of
from sidecar.telemetry.events import CredentialsRejected
from sidecar.telemetry.fleet_events import BustApplied, BustFailed, BustSent, SelectSent, StoreDenied
from tests.support.fleet_of_members import MemberFleet, MemberPod, request
from tests.support.pod_secrets import Secrets
from tests.support.redis_server import USER, RedisServer, with_user
from tests.support.store_pod import REQUEST, pod
from tests.support.waiting import PATIENCE, block_until, until

LEDGER = request("ledger", tenant="acme")
OWNER = "tenant=acme service=ledger"
DUMP = "dump.rdb"


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """One that is to save its data, in a place where a directory may get into its way."""
    with TemporaryDirectory(prefix="redis-") as directory:
        path = Path(directory)
        with RedisServer(path, {"save": "3600 100000", "dbfilename": DUMP, **with_user()}) as server:
            yield server


@pytest.fixture
async def fleet(server: RedisServer) -> AsyncIterator[MemberFleet]:
    async with MemberFleet(server) as fleet:
        yield fleet
        await fleet.expect_denials()


def full(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("maxmemory", 1)


def replica(server: RedisServer) -> None:
    with server.client() as client:
        client.replicaof("127.0.0.1", "1")


def isolated(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)


def without_disk(server: RedisServer) -> None:
    (Path(server.unix_path).parent / DUMP / "in-the-way").mkdir(parents=True)
    with server.client() as client:
        client.bgsave()
        block_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")


def stale(server: RedisServer) -> None:
    with server.client() as client:
        client.config_set("replica-serve-stale-data", "no")
    replica(server)


def forbidden(*commands: str) -> Callable[[RedisServer], None]:
    def forbid(server: RedisServer) -> None:
        with server.client() as client:
            client.acl_setuser(USER, enabled=True, commands=[f"-{command}" for command in commands])

    return forbid


DENIALS = [
    pytest.param(replica, "READONLY", id="replica"),
    pytest.param(stale, "MASTERDOWN", id="stale-replica"),
    pytest.param(isolated, "NOREPLICAS", id="isolated"),
    pytest.param(without_disk, "MISCONF", id="without-disk"),
    pytest.param(forbidden("set", "zadd"), "can't run this command", id="no-set"),
    pytest.param(forbidden("del", "zremrangebyscore"), "can't run this command", id="no-del"),
    pytest.param(
        forbidden("set", "del", "zadd", "zremrangebyrank", "pexpire"), "can't run this command", id="no-write"
    ),
]
Deny = Callable[[RedisServer], None]


READS = [
    pytest.param(("get",), id="no-get"),
    pytest.param(("hget",), id="no-hget"),
    pytest.param(("time",), id="no-time"),
    pytest.param(("get", "hget"), id="no-get-hget"),
    pytest.param(("get", "hget", "time", "type"), id="no-read"),
    pytest.param(("evalsha",), id="no-evalsha"),
    pytest.param(("eval", "evalsha"), id="no-script"),
    pytest.param(("get", "hget", "time", "set", "del", "hset", "pexpire"), id="nothing-but-publish"),
]
"""Commands that only look, in a script or as one."""


@pytest.fixture
async def each_fleet(each_own_redis: RedisServer) -> AsyncIterator[MemberFleet]:
    """On each version of Redis."""
    async with MemberFleet(each_own_redis) as fleet:
        yield fleet
        await fleet.expect_denials()


async def two(fleet: MemberFleet) -> tuple[MemberPod, MemberPod]:
    """Pods that hold the same token."""
    one, other = await fleet.pod(), await fleet.pod()
    assert {await pod.token(LEDGER) for pod in (one, other)} == {"canary-token-1"}
    return one, other


@pytest.mark.parametrize("held", [False, True], ids=["expired-in-redis", "in-redis"])
async def test_r3_a_full_server_publishes_a_bust_and_records_it(fleet: MemberFleet, held: bool) -> None:
    """The other pods drop the token, the generation moves on, and nothing failed."""
    one, other = await two(fleet)
    if not held:
        await fleet.client.delete(fleet.prefix + LEDGER.key)
    full(fleet.redis)
    async with fleet.messages() as messages:
        await one.refuse(LEDGER)
        await until(lambda: not other.holds(LEDGER) and len(messages) == 1)
    assert await fleet.client.get(keys_of(fleet.prefix + LEDGER.key)[1]) is not None
    assert [event.fp for event in one.told(BustSent)] == [event.fp for event in other.told(BustApplied)]
    assert one.told(BustFailed) == []
    assert one.unanswered("bust") == 0


@pytest.mark.parametrize("held", [False, True], ids=["expired-in-redis", "in-redis"])
@pytest.mark.parametrize(("deny", "error"), DENIALS)
async def test_r3_a_bust_is_published_although_a_write_is_denied(
    fleet: MemberFleet, deny: Deny, error: str, held: bool
) -> None:
    """No pod sends the token again, wherever it still lies; log and metrics say that the bust is not recorded."""
    one, other = await two(fleet)
    if not held:
        await fleet.client.delete(fleet.prefix + LEDGER.key)
    deny(fleet.redis)
    async with fleet.messages() as messages:
        assert (await one.refuse(LEDGER)).secret.reveal() != "canary-token-1"
        await until(lambda: not other.holds(LEDGER))
        await fleet.publish(fleet.channel, b"mark")
        await until(lambda: other.rejected != [] and len(messages) > 1)
        assert (other.rejected, messages[1:]) == (["malformed"], [b"mark"])  # no message came twice
    assert await other.token(LEDGER) != "canary-token-1"
    (sent,) = one.told(BustSent)
    (failed,) = one.told(BustFailed)
    assert failed == BustFailed("token", OWNER, sent.fp, "record", failed.error)
    assert error in failed.error
    assert one.unanswered("bust") == 1


@pytest.mark.parametrize(("deny", "error"), DENIALS)
async def test_r3_rejected_credentials_are_published_although_a_write_is_denied(
    fleet: MemberFleet, deny: Deny, error: str
) -> None:
    """As tokens are."""
    one, other, secrets = await fleet.pod(), await fleet.pod(), Secrets()
    rejected = await secrets.read(one)
    await secrets.read(other)
    secrets.source.current = "canary-2"
    deny(fleet.redis)
    await secrets.read(one, rejected)
    await until(lambda: [event.kind for event in other.told(BustApplied)] == ["credentials"])
    (event,) = one.told(CredentialsRejected)
    (failed,) = one.told(BustFailed)
    assert failed == BustFailed("credentials", OWNER, event.fp, "record", failed.error)
    assert error in failed.error


@pytest.mark.parametrize(("deny", "error"), DENIALS)
async def test_r3_a_select_is_published_although_a_write_is_denied(
    fleet: MemberFleet, deny: Deny, error: str
) -> None:
    """The pods are sent it; the operator learns that those which connect later miss it."""
    one, other = await two(fleet)
    deny(fleet.redis)
    failure = await one.bust(tenant="acme")
    assert isinstance(failure, BustFailure)
    assert (failure.step, error in failure.error) == ("record", True)
    await until(lambda: not other.holds(LEDGER))
    (sent,) = one.told(SelectSent)
    assert sent.select == "tenant=acme"
    assert sent.pods >= 2  # a stale replica answers no PING: a pod that has reconnected may count twice
    assert one.told(BustFailed) == [BustFailed("select", "tenant=acme", "", "record", failure.error)]


@pytest.mark.parametrize("commands", READS)
async def test_r3_a_bust_is_published_although_a_read_is_denied(
    each_fleet: MemberFleet, commands: tuple[str, ...]
) -> None:
    """Once, before anything else; log and metrics say that the bust is not recorded."""
    one, other = await two(each_fleet)
    forbidden(*commands)(each_fleet.redis)
    async with each_fleet.messages() as messages:
        assert (await one.refuse(LEDGER)).secret.reveal() != "canary-token-1"
        await until(lambda: not other.holds(LEDGER))
        await each_fleet.publish(each_fleet.channel, b"mark")
        await until(lambda: other.rejected != [] and len(messages) > 1)
        assert (other.rejected, messages[1:]) == (["malformed"], [b"mark"])  # no message came twice
    (sent,), (failed,) = one.told(BustSent), one.told(BustFailed)
    assert (failed.kind, failed.fp, failed.step) == ("token", sent.fp, "record")
    assert one.unanswered("bust") == 1
    assert "bust" in [event.operation for event in one.told(StoreDenied)]


@pytest.mark.parametrize(
    "commands", [("time",), ("type",), ("time", "type"), ("evalsha",), ("eval", "evalsha")]
)
async def test_r3_a_select_is_published_although_a_read_is_denied(
    each_fleet: MemberFleet, commands: tuple[str, ...]
) -> None:
    """Also where the pod does not learn the server's time."""
    one, other = await two(each_fleet)
    forbidden(*commands)(each_fleet.redis)
    failure = await one.bust(tenant="acme")
    assert isinstance(failure, BustFailure)
    assert failure.step == "record"
    await until(lambda: not other.holds(LEDGER))
    assert one.told(SelectSent) == [SelectSent("tenant=acme", 2)]
    assert [event.step for event in one.told(BustFailed)] == ["record"]


async def test_r3_what_cannot_be_published_is_recorded(each_fleet: MemberFleet) -> None:
    """A pod that has no message finds that the token is gone and the generation has moved."""
    one, _ = await two(each_fleet)
    forbidden("publish")(each_fleet.redis)
    await one.refuse(LEDGER)
    key = each_fleet.prefix + LEDGER.key
    assert await each_fleet.client.exists(key) == 0
    assert await each_fleet.client.get(keys_of(key)[1]) is not None
    assert one.told(BustSent) == []
    assert [(event.kind, event.step) for event in one.told(BustFailed)] == [("token", "publish")]
    assert isinstance(await one.bust(tenant="acme"), BustFailure)
    assert await each_fleet.client.zcard(f"{each_fleet.prefix}m2m:revoked") == 1
    assert one.told(SelectSent) == []


async def test_r3_reads_that_are_denied_leave_a_record_of_revocations_alone(each_fleet: MemberFleet) -> None:
    """Where its type cannot be read it is not taken for something else and deleted."""
    one, _ = await two(each_fleet)
    assert await one.bust(tenant="acme") == 2
    forbidden("type")(each_fleet.redis)
    await one.bust(tenant="beta")
    assert await each_fleet.client.zcard(f"{each_fleet.prefix}m2m:revoked") == 2


async def test_r3_a_full_server_publishes_a_select_and_records_it(fleet: MemberFleet) -> None:
    """What is expired makes room before the new one is added."""
    one, other = await two(fleet)
    full(fleet.redis)
    assert await one.bust(tenant="acme") == 2
    await until(lambda: not other.holds(LEDGER))
    assert await fleet.client.zcard(f"{fleet.prefix}m2m:revoked") == 1
    assert one.told(BustFailed) == []


@pytest.mark.parametrize("deny", [full, without_disk, forbidden("set")])
async def test_r3_what_opened_the_breaker_does_not_keep_busts_back(fleet: MemberFleet, deny: Deny) -> None:
    """A server that only denies writes still publishes, for as long as that may last."""
    one, other = await two(fleet)
    deny(fleet.redis)
    while one.stores:
        await one.token(request(f"another-{len(fleet.server.fetched)}"))
    failure = await one.bust(service="payments")
    assert failure == 2 if isinstance(failure, int) else "MISCONF" in failure.error
    await one.refuse(LEDGER)
    await until(lambda: not other.holds(LEDGER))
    assert len(one.told(BustSent)) == 1
    assert not one.stores


async def test_r3_a_server_that_denies_pings_too_keeps_its_listeners(fleet: MemberFleet) -> None:
    """Redis answers PING with MISCONF when it cannot save its data; it publishes all the same."""
    one, _ = await two(fleet)
    before = await listening(fleet)
    without_disk(fleet.redis)
    await until(lambda: denied_pings(fleet, more_than=6))
    assert one.hears
    assert await listening(fleet) == before


async def listening(fleet: MemberFleet) -> set[str]:
    return {client["id"] for client in await fleet.client.client_list(_type="pubsub")}


async def denied_pings(fleet: MemberFleet, *, more_than: int) -> bool:
    statistics = await fleet.client.info("commandstats")
    return int(statistics.get("cmdstat_ping", {}).get("rejected_calls", 0)) > more_than


async def test_r3_a_bust_that_was_not_sent_does_not_count_as_sent(fleet: MemberFleet) -> None:
    """Without Redis it holds in this pod only, and log and metrics say so; so does the operator's."""
    one, _ = await two(fleet)
    fleet.redis.kill()
    await one.refuse(LEDGER)
    for _ in range(3):
        await one.token(request("another"))
        assert isinstance(await one.bust(tenant="acme"), BustFailure)
    assert (one.told(BustSent), one.told(SelectSent)) == ([], [])
    failed = one.told(BustFailed)
    assert [(event.kind, event.step) for event in failed] == [("token", "publish")] + 3 * [
        ("select", "publish")
    ]
    assert all(event.error for event in failed)


async def test_r3_who_waits_for_a_fetch_is_woken_although_its_token_cannot_be_stored(
    server: RedisServer, fleet: MemberFleet
) -> None:
    """The end of the lease is published first: its time does not have to run out."""
    async with pod(server.settings(fleet.prefix)) as ours, fleet.client.pubsub() as fills:
        assert (await ours.claim()).lease is Lease.OURS
        await fills.subscribe(f"{fleet.prefix}m2m:fill")
        await fills.get_message(timeout=PATIENCE)
        forbidden("set")(server)
        await ours.store.fill(REQUEST, ours.token(), "me")
        assert await fills.get_message(timeout=PATIENCE) is not None
        assert await fleet.client.exists(keys_of(fleet.prefix + REQUEST.key)[2]) == 0
