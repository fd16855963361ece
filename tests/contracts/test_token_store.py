"""The fleet's store: what pods agree on through it, the same over the fake, fakeredis and a real server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from uuid import uuid4

import pytest
from fakeredis import FakeServer as FakeRedisServer
from fakeredis.aioredis import FakeRedis

from sidecar.cache.lease import LEASE, Lease
from sidecar.core.backoff import Setback
from sidecar.core.ports import Clock
from sidecar.core.secret import Secret
from sidecar.fleet.redis.connect import Client, connect
from sidecar.fleet.redis.guarded_client import GuardedClient
from sidecar.fleet.redis.sealed_values import SealedValues
from sidecar.fleet.redis.token_store import RedisTokenStore
from sidecar.fleet.seal import AesSeal
from sidecar.oauth.token import Token, TokenRequest, bearer
from sidecar.system.clock import SystemClock, SystemRandomness
from tests.support.clock import FakeClock
from tests.support.fleet_fakes import FakeServer, FakeStore
from tests.support.journal import RecordingJournal
from tests.support.redis_server import PROGRAMS, RedisServers
from tests.support.waiting import AT_LEISURE

REQUEST = TokenRequest("api", "https://auth.test/token", "app", "ledger", tenant="acme")
OTHER = TokenRequest("api", "https://auth.test/token", "app", "ledger", tenant="globex")
Store = RedisTokenStore | FakeStore


class Pods:
    """Stores of several pods on one server, and a way to let time pass."""

    def __init__(
        self, clock: Clock, make: Callable[[str], Store], wait: Callable[[float], Awaitable[None]]
    ) -> None:
        self.clock = clock
        self.a, self.b, self.c = make("pod-a"), make("pod-b"), make("pod-c")
        self.wait = wait

    def token(self, name: str, age: float = 0.0, life: float = 300.0) -> Token:
        return bearer(Secret(name, name), fetch_began=self.clock.now() - age, life=life, leeway=60)

    async def put(self, token: Token) -> Token:
        """Store the token as pod A does after a fetch; return it as the others find it."""
        held = (await self.a.claim(REQUEST, "putter", token.fingerprint)).token
        claim = await self.a.claim(REQUEST, "putter", held.fingerprint if held else token.fingerprint)
        assert claim.lease is Lease.OURS
        assert await self.a.fill(REQUEST, replace(token, generation=claim.generation), "putter")
        return await self.stored()

    async def stored(self) -> Token:
        found = (await self.b.claim(REQUEST, "looker", "")).token
        assert found is not None
        return found


def _fake() -> Pods:
    clock, server = FakeClock(), FakeServer()
    return Pods(clock, lambda _: FakeStore(clock, server), clock.advance)


def _redis(client: Callable[[], Client], opened: list[GuardedClient]) -> Pods:
    clock, randomness = SystemClock(), SystemRandomness()
    seal = AesSeal([("k1", bytes(32))], randomness)
    prefix = f"{uuid4().hex[:8]}:"

    def store(pod: str) -> RedisTokenStore:
        link = GuardedClient(
            client,
            key_prefix=prefix,
            operation_timeout=AT_LEISURE,
            clock=clock,
            randomness=randomness,
            journal=RecordingJournal(),
        )
        opened.append(link)
        return RedisTokenStore(
            SealedValues(link, seal=seal, clock=clock, key_prefix=prefix, store_ttl=300, pod=pod)
        )

    return Pods(clock, store, asyncio.sleep)


@pytest.fixture(params=["fake", "fakeredis", *PROGRAMS])
async def pods(request: pytest.FixtureRequest, redis_servers: RedisServers) -> AsyncIterator[Pods]:
    opened: list[GuardedClient] = []
    if request.param == "fake":
        yield _fake()
    elif request.param == "fakeredis":
        shared = FakeRedisServer()
        yield _redis(lambda: FakeRedis(server=shared), opened)
    else:
        server = redis_servers(request.param)
        yield _redis(lambda: connect(server.settings(""), timeout=AT_LEISURE), opened)
    for link in opened:
        await link.close()
    if request.param in PROGRAMS:
        assert redis_servers(request.param).denied() == []


class TestLease:
    """One pod fetches."""

    async def test_the_first_to_ask_fetches_and_the_others_wait(self, pods: Pods) -> None:
        """They get the time to wait at most."""
        ours = await pods.a.claim(REQUEST, "a", "")
        theirs = await pods.b.claim(REQUEST, "b", "")
        assert (ours.lease, ours.token, ours.setback) == (Lease.OURS, None, None)
        assert (theirs.lease, theirs.token) == (Lease.THEIRS, None)
        assert 0 < theirs.remaining <= LEASE

    async def test_each_token_request_has_a_lease_of_its_own(self, pods: Pods) -> None:
        """One tenant's fetch does not hold up another's."""
        await pods.a.claim(REQUEST, "a", "")
        assert (await pods.b.claim(OTHER, "b", "")).lease is Lease.OURS

    async def test_asking_again_keeps_it(self, pods: Pods) -> None:
        """Its holder is not its own competitor."""
        await pods.a.claim(REQUEST, "a", "")
        assert (await pods.a.claim(REQUEST, "a", "")).lease is Lease.OURS

    async def test_only_its_owner_renews_and_releases_it(self, pods: Pods) -> None:
        """A pod that lost it cannot keep or end another's."""
        await pods.a.claim(REQUEST, "a", "")
        assert await pods.a.extend(REQUEST, "a")
        assert not await pods.b.extend(REQUEST, "b")
        await pods.b.release(REQUEST, "b")
        assert (await pods.b.claim(REQUEST, "b", "")).lease is Lease.THEIRS
        await pods.a.release(REQUEST, "a")
        assert (await pods.b.claim(REQUEST, "b", "")).lease is Lease.OURS
        assert not await pods.a.extend(REQUEST, "a")

    async def test_a_fill_ends_it_and_is_found_by_all(self, pods: Pods) -> None:
        """The token comes back as it was, and not one moment newer or longer-lived."""
        token = pods.token("t1", age=2)
        stored = await pods.put(token)
        assert (stored.secret, stored.fingerprint) == (token.secret, "t1")
        assert (stored.source, stored.authorization) == ("store", b"Bearer t1")
        for there, here in (
            (stored.fetch_began, token.fetch_began),
            (stored.fresh_until, token.fresh_until),
            (stored.expires_at, token.expires_at),
        ):
            assert here - 0.2 < there <= here

    async def test_a_token_looked_at_before_is_passed_over(self, pods: Pods) -> None:
        """It was not good enough for this pod: it fetches, and the others still find the old one meanwhile."""
        await pods.put(pods.token("t1"))
        assert (await pods.a.claim(REQUEST, "a", "t1")).lease is Lease.OURS
        assert (await pods.b.claim(REQUEST, "b", "t1")).lease is Lease.THEIRS
        found = (await pods.b.claim(REQUEST, "b", "")).token
        assert found is not None
        assert found.fingerprint == "t1"

    async def test_b07_a_token_about_to_expire_is_not_kept(self, pods: Pods) -> None:
        """Nor does any pod wait for it."""
        claim = await pods.a.claim(REQUEST, "a", "")
        token = replace(pods.token("t1", life=0.02), generation=claim.generation)
        assert await pods.a.fill(REQUEST, token, "a")
        await pods.wait(0.03)
        assert (await pods.b.claim(REQUEST, "b", "")).lease is Lease.OURS


class TestSetbacks:
    """Why there is no token is learned once."""

    @pytest.mark.parametrize("code", [None, "invalid_scope"])
    async def test_a_setback_is_shared_for_its_time(self, pods: Pods, code: str | None) -> None:
        """No pod gets the lease before; then it holds what to count from."""
        await pods.a.claim(REQUEST, "a", "")
        setback = Setback(pods.clock.now() + 1, 3, "no answer", code)
        await pods.a.give_up(REQUEST, "a", setback)
        found = await pods.b.claim(REQUEST, "b", "")
        assert (found.lease, found.token) == (Lease.NOBODYS, None)
        assert found.setback is not None
        assert (found.setback.failures, found.setback.reason, found.setback.code) == (3, "no answer", code)
        assert setback.until - 0.2 < found.setback.until <= setback.until
        await pods.wait(1)
        later = await pods.b.claim(REQUEST, "b", "")
        assert later.lease is Lease.OURS
        assert later.setback is not None
        assert later.setback.failures == 3

    async def test_a_stored_token_goes_before_a_setback(self, pods: Pods) -> None:
        """One failed renewal is no reason to go without the token there is."""
        await pods.put(pods.token("t1"))
        await pods.a.claim(REQUEST, "a", "t1")
        await pods.a.give_up(REQUEST, "a", Setback(pods.clock.now() + 9, 1, "out", None))
        assert (await pods.stored()).fingerprint == "t1"
        assert (await pods.b.claim(REQUEST, "b", "t1")).setback is not None

    async def test_a_fill_forgets_it(self, pods: Pods) -> None:
        """The next outage starts with one second again."""
        await pods.a.claim(REQUEST, "a", "")
        await pods.a.give_up(REQUEST, "a", Setback(pods.clock.now() + 0.01, 5, "out", None))
        await pods.wait(0.02)
        await pods.put(pods.token("t1"))
        assert (await pods.b.claim(REQUEST, "b", "t1")).setback is None


class TestBust:
    """A token is no good."""

    async def test_b20_it_is_deleted_and_the_generation_moves_on(self, pods: Pods) -> None:
        """By more than one, for the time is in it."""
        stored = await pods.put(pods.token("t1"))
        sent_at = pods.clock.now()
        busted = await pods.b.bust(REQUEST, stored, sent_at)
        assert (busted.news, busted.floor, busted.cooling, busted.probing) == (True, sent_at, 0, False)
        claim = await pods.b.claim(REQUEST, "b", "")
        assert (claim.lease, claim.token) == (Lease.OURS, None)
        assert claim.generation > max(stored.generation, 1_600_000_000_000)

    async def test_b25_a_late_one_never_deletes_the_successor(self, pods: Pods) -> None:
        """Compare, then bust."""
        old = await pods.put(pods.token("t1"))
        await pods.put(pods.token("t2"))
        assert (await pods.b.bust(REQUEST, old, pods.clock.now())).news
        assert (await pods.stored()).fingerprint == "t2"

    async def test_the_second_pod_to_say_so_hears_that_it_is_known(self, pods: Pods) -> None:
        """And from when on tokens count: a fetch that began in between is good enough for it too."""
        stored = await pods.put(pods.token("t1"))
        first = pods.clock.now()
        await pods.a.bust(REQUEST, stored, first)
        generations = await pods.a.generations([REQUEST.key])
        await pods.wait(0.5)
        second = pods.clock.now()
        again = await pods.b.bust(REQUEST, stored, second)
        assert not again.news
        assert first <= again.floor < second
        assert await pods.a.generations([REQUEST.key]) == generations

    async def test_a_token_given_anew_can_be_bust_anew(self, pods: Pods) -> None:
        """The authorization server repeats itself, and it died again."""
        first = await pods.put(pods.token("t1"))
        await pods.a.bust(REQUEST, first, pods.clock.now())
        anew = await pods.put(pods.token("t1"))
        assert (await pods.b.bust(REQUEST, anew, pods.clock.now())).news
        assert (await pods.c.claim(REQUEST, "c", "")).lease is Lease.OURS

    async def test_b48_a_fetch_begun_before_it_fills_nothing(self, pods: Pods) -> None:
        """The lease stays, and the fetch that follows under it counts."""
        stored = await pods.put(pods.token("t1"))
        before = await pods.a.claim(REQUEST, "a", "t1")
        await pods.b.bust(REQUEST, stored, pods.clock.now())
        assert not await pods.a.fill(REQUEST, replace(pods.token("t2"), generation=before.generation), "a")
        assert (await pods.b.claim(REQUEST, "b", "")).lease is Lease.THEIRS
        after = await pods.a.claim(REQUEST, "a", "")
        assert await pods.a.fill(REQUEST, replace(pods.token("t3"), generation=after.generation), "a")
        assert (await pods.stored()).fingerprint == "t3"

    async def test_a_pod_behind_with_the_generation_catches_up(self, pods: Pods) -> None:
        """It knows of none of the busts before its own."""
        for name in ("t1", "t2", "t3"):
            stored = await pods.put(pods.token(name))
            known = await pods.c.generations([REQUEST.key])
            await pods.b.bust(REQUEST, replace(stored, generation=0), pods.clock.now())
            moved = await pods.c.generations([REQUEST.key])
            assert known is not None
            assert moved is not None
            assert moved[REQUEST.key] > known[REQUEST.key]

    async def test_generations_of_many_keys(self, pods: Pods) -> None:
        """0 where nothing was ever bust."""
        stored = await pods.put(pods.token("t1"))
        await pods.b.bust(REQUEST, stored, pods.clock.now())
        keys = [OTHER.key, REQUEST.key, *(f"m2m:{number}" for number in range(1200))]
        found = await pods.c.generations(keys)
        assert found is not None
        assert list(found) == keys
        assert [key for key, generation in found.items() if generation] == [REQUEST.key]
        assert await pods.c.generations([]) == {}


class TestCoolDown:
    """Fresh tokens are refused too, and the whole fleet lets the refusals pass."""

    async def test_b21_within_the_window_nothing_is_bust(self, pods: Pods) -> None:
        """The token stays, and parallel refusals of one round open one window."""
        stored = await pods.put(pods.token("t1"))
        window = await pods.a.cool_down(REQUEST, stored, 1.25)
        assert 1.2 <= window <= 1.25
        assert 0 < await pods.b.cool_down(REQUEST, stored, 1.25) <= window
        assert 0 < await pods.b.cool_down(REQUEST, pods.token("t2"), 1.25) <= window
        busted = await pods.b.bust(REQUEST, stored, pods.clock.now())
        assert not busted.news
        assert 0 < busted.cooling <= window
        assert (await pods.stored()).fingerprint == "t1"

    async def test_b21_after_it_one_pod_probes_and_its_failure_doubles_the_window(self, pods: Pods) -> None:
        """The others see that the key still cools down."""
        await pods.a.cool_down(REQUEST, await pods.put(pods.token("t1")), 1.0)
        await pods.wait(1.01)
        stored = await pods.stored()
        busts = [await pod.bust(REQUEST, stored, pods.clock.now()) for pod in (pods.a, pods.b, pods.c)]
        assert [busted.probing for busted in busts] == [True, False, False]
        assert [busted.news for busted in busts] == [True, False, False]
        assert all(busted.cooling > 20 for busted in busts[1:])
        assert 1.9 <= await pods.a.cool_down(REQUEST, pods.token("t2"), 1.0) <= 2.0

    async def test_an_accepted_successor_ends_it(self, pods: Pods) -> None:
        """In every pod."""
        stored = await pods.put(pods.token("t1"))
        await pods.a.cool_down(REQUEST, stored, 1.0)
        await pods.b.healed(REQUEST)
        assert (await pods.c.bust(REQUEST, stored, pods.clock.now())).news
