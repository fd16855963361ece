"""The primary is demoted and keeps its connections open: pods find the new one by themselves."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme

from sidecar.core.backoff import Setback
from sidecar.core.secret import Secret
from sidecar.core.tls import Tls
from sidecar.credentials.model import CredentialKey, Credentials
from sidecar.fleet.breaker import LIMIT as FAILURES
from sidecar.fleet.redis.credential_store import RedisCredentialStore
from sidecar.fleet.redis.guarded_client import MAX_QUESTIONS, Moved
from sidecar.fleet.redis.revocation_log import RevocationLog
from sidecar.fleet.settings import RedisSettings, SentinelSettings
from sidecar.system.clock import SystemRandomness
from sidecar.telemetry.events import Failed
from sidecar.telemetry.fleet_events import StoreDown
from tests.support import fleet_of_members as pods
from tests.support.redis_server import RedisServer, newer_redis, with_user
from tests.support.store_pod import REQUEST, StorePod, pod
from tests.support.upstream import FaultProxy
from tests.support.waiting import AT_LEISURE, PATIENCE, until

NAME = "fleet"
NOWHERE = ("127.0.0.1", "1")


class Pair:
    """A primary and another server. Both go on, whatever becomes of their roles, and no connection ends."""

    def __init__(self, first: RedisServer, second: RedisServer) -> None:
        self.first, self.second = first, second

    def demote(self, how: str = "replica") -> None:
        """Make the second one the primary, and the first one no primary any more."""
        with self.first.client() as first:
            if how == "replica":
                first.replicaof("127.0.0.1", self.second.port)
            elif how == "cut off":
                first.replicaof(*NOWHERE)
            elif how == "stale":
                first.config_set("replica-serve-stale-data", "no")
                first.replicaof(*NOWHERE)
            else:
                first.config_set("min-replicas-to-write", 1)

    def at(self, server: RedisServer) -> set[str]:
        with server.client() as client:
            return {key.decode().removeprefix("{").removeprefix("p:") for key in client.keys("*")}


@pytest.fixture
def pair() -> Iterator[Pair]:
    with TemporaryDirectory(prefix="redis-") as directory:
        path = Path(directory)
        with RedisServer(path, with_user()) as first, RedisServer(path, with_user()) as second:
            yield Pair(first, second)


@asynccontextmanager
async def named(pair: Pair, tls: ssl.SSLContext | None = None) -> AsyncIterator[FaultProxy]:
    """A name that leads to the first server until its `target` changes; connections there are stay where they are."""
    async with FaultProxy(f"127.0.0.1:{pair.first.port}", tls) as name:
        yield name


def settings(name: FaultProxy, tls: Tls | None = None) -> RedisSettings:
    return RedisSettings(
        hosts=(("127.0.0.1", name.port),), key_prefix="p:", tls=tls, operation_timeout=AT_LEISURE
    )


async def cool_down(ours: StorePod) -> bool:
    return await ours.store.cool_down(REQUEST, ours.token(), 1.0) == 1.0


async def give_up(ours: StorePod) -> bool:
    await ours.store.give_up(REQUEST, "me", Setback(ours.clock.now() + 5, 1, "down", None))
    return True


async def fill(ours: StorePod) -> bool:
    return await ours.store.fill(REQUEST, ours.token(), "me")


async def bust(ours: StorePod) -> bool:
    busted = await ours.store.bust(REQUEST, ours.token(), ours.clock.now())
    return busted.published and busted.failure is None


async def claim(ours: StorePod) -> bool:
    return (await ours.claim()).lease.name == "OURS"


async def keep(ours: StorePod) -> bool:
    credentials = Credentials("me", Secret("secret"), ours.clock.now())
    key = CredentialKey("ledger", "acme", "here")
    await RedisCredentialStore(ours.shelf).keep(key, credentials, "f1", 0, 60)
    return True


async def revoke(ours: StorePod) -> bool:
    revoked = RevocationLog(ours.link, key_prefix="p:", clock=ours.clock, life=60)
    return await revoked.publish(b"message", int(ours.clock.now() * 1000), "p:m2m:bust") == (0, None)


@pytest.mark.parametrize("how", ["replica", "stale", "isolated"])
@pytest.mark.parametrize("operation", [claim, fill, bust, cool_down, give_up, keep, revoke])
async def test_r2_the_next_write_reaches_the_new_primary(
    pair: Pair, operation: Callable[[StorePod], Awaitable[bool]], how: str
) -> None:
    """Each script, whatever it is that the old one says; nothing fails, and no outage is reported."""
    async with named(pair) as name, pod(settings(name)) as ours:
        await asyncio.gather(*(ours.claim(replace(REQUEST, tenant=f"t{number}")) for number in range(8)))
        pair.demote(how)
        name.target = f"127.0.0.1:{pair.second.port}"
        before = pair.at(pair.second)
        assert await operation(ours)
        assert pair.at(pair.second) - before
        assert ours.told() == []
        assert not any(outcome == "failed" for _, outcome in ours.link.operations)


async def test_r2_a_pod_leaves_a_server_that_loads_the_new_primarys_data() -> None:
    """It denies every question meanwhile, which may be minutes; none fails, whichever connection carries it."""
    slow = {**with_user(), "key-load-delay": "5000", "loading-process-events-interval-bytes": "2048"}
    at_once = {**with_user(), "repl-diskless-sync": "yes", "repl-diskless-sync-delay": "0"}
    with TemporaryDirectory(prefix="redis-") as directory:
        path, program = Path(directory), newer_redis()
        first, second = (RedisServer(path, options, program=program) for options in (slow, at_once))
        with first, second:
            await leave_while_it_loads(Pair(first, second))


async def leave_while_it_loads(pair: Pair) -> None:
    with pair.second.client() as client:
        client.mset({f"k{number}": "x" * 500 for number in range(5000)})
    async with named(pair) as name, pod(settings(name)) as ours:
        await asyncio.gather(*(ours.claim(replace(REQUEST, tenant=f"t{number}")) for number in range(8)))
        pair.demote()
        with pair.first.client() as client:
            await until(lambda: client.info("persistence")["loading"] == 1)
        name.target = f"127.0.0.1:{pair.second.port}"
        assert await bust(ours)
        assert ours.told() == []
        assert [outcome for _, outcome in ours.link.operations if outcome != "ok"] == []


async def test_r2_reads_in_a_pipeline_reach_it_too(pair: Pair) -> None:
    """An error answer to a GET says nothing about a key: it is no generation 0."""
    async with named(pair) as name, pod(settings(name)) as ours:
        await bust(ours)
        known = await ours.store.generations([REQUEST.key])
        with pair.second.client() as client:
            assert known is not None
            client.set(f"{{p:{REQUEST.key}}}:gen", known[REQUEST.key])
        pair.demote("stale")
        name.target = f"127.0.0.1:{pair.second.port}"
        assert await ours.store.generations([REQUEST.key]) == known


async def test_r2_where_no_server_answers_the_reads_have_no_answer(pair: Pair) -> None:
    """None, and not generations of 0, by which a pod would drop all that it holds."""
    async with named(pair) as name, pod(settings(name)) as ours:
        await ours.put()
        pair.demote("stale")
        assert await ours.store.generations([REQUEST.key]) is None


async def test_r2_it_works_through_tls(pair: Pair, tmp_path: Path) -> None:
    """As with a plain connection."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with (
        named(pair, context) as name,
        pod(settings(name, Tls(ca_file=str(tmp_path / "ca.pem")))) as ours,
    ):
        async with asyncio.timeout(PATIENCE):
            while not await claim(ours):  # a first handshake may take longer than a question may
                await asyncio.sleep(0.01)
        pair.demote()
        name.target = f"127.0.0.1:{pair.second.port}"
        async with asyncio.timeout(PATIENCE):
            while not await bust(ours):
                await asyncio.sleep(0.01)
        assert f"{REQUEST.key}}}:gen" in pair.at(pair.second)
        assert ours.told() == []


async def test_r2_it_works_with_sentinels(pair: Pair, tmp_path: Path) -> None:
    """They name another primary, and end no connection to the old one."""
    sentinel = RedisServer(tmp_path)
    config = tmp_path / "sentinel.conf"
    config.write_text(f"sentinel monitor {NAME} 127.0.0.1 {pair.first.port} 1\n")
    sentinel.start("--sentinel", file=str(config))
    found = RedisSettings(
        hosts=(("127.0.0.1", sentinel.port),), key_prefix="p:", sentinel=SentinelSettings(NAME)
    )
    try:
        async with pod(found) as ours:
            async with asyncio.timeout(PATIENCE):
                while not await claim(ours):
                    await asyncio.sleep(0.01)
            with sentinel.client() as client:
                client.sentinel_remove(NAME)
                pair.demote()
                client.sentinel_monitor(NAME, "127.0.0.1", pair.second.port, 1)
            async with asyncio.timeout(PATIENCE):
                while not await bust(ours):
                    await asyncio.sleep(0.01)
            assert f"{REQUEST.key}}}:gen" in pair.at(pair.second)
            assert ours.told() == []
    finally:
        sentinel.kill()


async def test_r2_many_questions_at_once_make_one_new_pool(pair: Pair) -> None:
    """Each is sent once more; none of them fails, and the old connections are closed."""
    async with named(pair) as name, pod(settings(name)) as ours:
        requests = [replace(REQUEST, tenant=f"t{number}") for number in range(50)]
        await asyncio.gather(*map(ours.claim, requests))
        before = name.connections
        pair.demote()
        name.target = f"127.0.0.1:{pair.second.port}"
        claims = await asyncio.gather(*(ours.claim(replace(each, service="other")) for each in requests))
        assert {claim.lease.name for claim in claims} == {"OURS"}
        assert not any(outcome == "failed" for _, outcome in ours.link.operations)
        assert name.connections - before <= MAX_QUESTIONS
        with pair.first.client() as client:
            await until(lambda: len(client.client_list(_type="normal")) == 1)


async def test_r2_a_name_that_leads_to_a_replica_for_ever_makes_no_storm(pair: Pair) -> None:
    """It is reported as an outage, connected to now and then, and found when it is a primary again."""
    async with named(pair) as name, pod(settings(name)) as ours:
        assert await claim(ours)
        pair.demote()
        before = name.connections
        requests = [replace(REQUEST, tenant=f"t{number}") for number in range(30)]
        for _ in range(10):
            await asyncio.gather(*map(ours.claim, requests))
        assert not ours.store.reachable
        assert ours.told() == ["store_down"]
        assert ours.link.operations["claim", "failed"] >= FAILURES
        assert name.connections - before <= 3 * MAX_QUESTIONS
        with pair.first.client() as client:
            client.replicaof("NO", "ONE")
        await ours.comes_up()
        await until(lambda: ours.told() == ["store_down", "store_up"])


async def test_r2_a_name_that_changes_late_is_followed_late(pair: Pair) -> None:
    """The breaker opens, and its probe finds the new primary."""
    async with named(pair) as name, pod(settings(name)) as ours:
        assert await claim(ours)
        pair.demote()
        for _ in range(FAILURES):
            await fill(ours)
        await until(lambda: not ours.store.reachable)
        name.target = f"127.0.0.1:{pair.second.port}"
        await ours.comes_up()
        assert await bust(ours)
        assert f"{REQUEST.key}}}:gen" in pair.at(pair.second)
        await until(lambda: ours.told() == ["store_down", "store_up"])


class Hasty(SystemRandomness):
    """What is done every half minute is done every few milliseconds."""

    def uniform(self, low: float, high: float) -> float:
        return 0.001


async def test_r2_a_pod_that_only_reads_finds_out_too(pair: Pair) -> None:
    """A replica answers its reads, and its pings: so it writes now and then."""
    async with named(pair) as name, pod(settings(name), randomness=Hasty()) as ours:
        assert await claim(ours)
        watching = asyncio.create_task(ours.link.watch())
        pair.demote()
        name.target = f"127.0.0.1:{pair.second.port}"
        with pytest.raises(Moved):
            await asyncio.wait_for(watching, PATIENCE)
        assert ours.told() == []


async def test_r2_the_bus_follows_and_makes_up_for_what_it_missed(pair: Pair) -> None:
    """Busts and selects of the time in which the pod was subscribed to a server that received nothing."""
    async with named(pair) as name, pods.MemberFleet(pair.second) as fleet:
        one = await fleet.pod(port=name.port)
        for request in (ledger := pods.request("ledger"), payments := pods.request("payments")):
            await one.token(request)
        pair.demote("cut off")
        name.target = f"127.0.0.1:{pair.second.port}"
        other = await fleet.pod()
        await other.token(ledger)
        assert await other.bust(service="payments") == 1
        assert one.holds(payments)
        await one.refuse(ledger)
        await until(lambda: one.up and not one.holds(payments))
        await other.token(payments)
        assert await other.bust(service="ledger") == 2
        await until(lambda: not one.holds(ledger))
        assert (one.told(StoreDown), one.told(Failed)) == ([], [])
