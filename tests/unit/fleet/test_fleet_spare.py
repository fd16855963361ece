"""What memory still has spares the fleet a fetch: Redis may go and come back, empty or not, at no cost."""

from collections.abc import AsyncIterator
from functools import partial

import pytest

from sidecar.cache.lease import Claim
from sidecar.cache.refused_tokens import Bust
from sidecar.cache.token_memory import UNSETTLED_TTL
from sidecar.core.labels import parse_selector
from sidecar.oauth.token import TokenRequest
from tests.support.clock import FakeClock
from tests.support.fleet_fakes import FakeStore
from tests.support.token_cache_rig import LEDGER, Rig

TTL = 35.0
"""Seconds after which memory's token is to be looked up."""


class Fading(FakeStore):
    """A store whose outage is not yet detected."""

    silent = False

    async def claim(self, request: TokenRequest, owner: str, passing_over: str) -> Claim:
        return Claim() if self.silent else await super().claim(request, owner, passing_over)


class Pods:
    """Two pods on one Redis."""

    def __init__(self) -> None:
        self.one = Rig(Fading)
        self.other = Rig(self._beside)
        self.both = (self.one, self.other)
        for pod in self.both:
            pod.source.life = 3600

    def _beside(self, clock: FakeClock) -> Fading:
        return Fading(clock, self.one.server)

    async def advance(self, seconds: float) -> None:
        for pod in self.both:
            await pod.clock.advance(seconds)


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    pods = Pods()
    yield pods
    for pod in pods.both:
        await pod.cache.close()


async def test_b49_a_store_that_has_just_gone_costs_no_fetch(pods: Pods) -> None:
    """Before the outage is detected a look-up fails; the token in memory is as good as a new one."""
    pod = pods.one
    await pod.token()
    await pods.advance(TTL)
    pod.store.silent = True  # type: ignore[attr-defined]
    assert (pod.peek(), await pod.token(), pod.peek(), pod.source.asked) == (None, "t1", "t1", 1)


async def test_b49_a_store_that_comes_back_empty_costs_no_fetch(pods: Pods) -> None:
    """The first pod that looks puts its token there again, for the others too."""
    await pods.one.token()
    pods.one.server.tokens.clear()
    await pods.advance(TTL)
    assert (await pods.one.token(), await pods.other.token()) == ("t1", "t1")
    assert (pods.one.source.asked, pods.other.source.asked) == (1, 0)


async def test_b48_what_was_bust_meanwhile_is_not_put_back(pods: Pods) -> None:
    """A pod that missed the message sees by the generation that its token is revoked."""
    assert (await pods.one.token(), await pods.other.token()) == ("t1", "t1")
    refused = pods.one.cache.peek(LEDGER, pods.one.clock.now())
    assert refused is not None
    await pods.one.refusal(refused)
    pods.one.server.tokens.clear()
    await pods.advance(TTL)
    await pods.other.token()
    assert pods.other.source.asked == 1


async def test_b52_what_was_revoked_meanwhile_is_not_put_back(pods: Pods) -> None:
    """Nor is it used if the store is unavailable."""
    await pods.one.token()
    await pods.advance(TTL)
    pods.one.revocations.add(parse_selector({}), pods.one.clock.now())
    await pods.advance(0.001)
    pods.one.server.tokens.clear()
    await pods.one.token()
    assert pods.one.source.asked == 2
    pods.one.store.silent = True  # type: ignore[attr-defined]
    await pods.advance(TTL)
    pods.one.revocations.add(parse_selector({}), pods.one.clock.now())
    await pods.advance(0.001)
    await pods.one.token()
    assert pods.one.source.asked == 3


async def test_b49_pods_that_fetched_for_themselves_come_to_hold_the_same_token(pods: Pods) -> None:
    """The first look-up decides, also for a pod whose own token is newer: else a bust would not reach both."""
    for pod in pods.both:
        pod.store.silent = True  # type: ignore[attr-defined]
    await pods.one.token()
    await pods.advance(1)
    pods.other.source.always = "newer"
    assert await pods.other.token() == "newer"
    for pod in pods.both:
        pod.store.silent = False  # type: ignore[attr-defined]
    await pods.advance(TTL)
    assert (await pods.one.token(), await pods.other.token(), pods.other.peek()) == ("t1", "t1", "t1")
    assert (pods.one.source.asked, pods.other.source.asked) == (1, 1)


class Apart:
    """Four pods on one store, which fails and recovers for all of them; they receive each other's busts."""

    def __init__(self) -> None:
        first = Rig(FakeStore)
        self.pods = [first, *(Rig(lambda clock: FakeStore(clock, first.server)) for _ in range(3))]
        for number, pod in enumerate(self.pods):
            pod.source.life = 3600
            pod.source.name = f"of-{number}-"
            first.server.listeners.append(partial(self._hear, pod))

    def _hear(self, pod: Rig, message: Bust | str) -> None:
        if isinstance(message, Bust):
            pod.cache.evict(message)

    @property
    def fetches(self) -> int:
        return sum(pod.source.asked for pod in self.pods)

    async def advance(self, seconds: float) -> None:
        for pod in self.pods:
            await pod.clock.advance(seconds)

    def store(self, *, reachable: bool, shaken: bool) -> None:
        for pod in self.pods:
            pod.store.reachable, pod.store.shaken = reachable, shaken

    async def held(self) -> list[str]:
        return [await pod.token() for pod in self.pods]

    async def revoke(self, dead: set[str]) -> None:
        """One request after the other; those that carry a revoked token are refused and heal."""
        for pod in self.pods:
            if await pod.token() in dead:
                token = pod.cache.peek(LEDGER, pod.clock.now())
                assert token is not None
                sent_at = pod.clock.now()
                await self.advance(0.01)
                await pod.renew(token, sent_at)
            await self.advance(0.1)


@pytest.fixture
async def apart() -> AsyncIterator[Apart]:
    apart = Apart()
    yield apart
    for pod in apart.pods:
        await pod.cache.close()


async def test_i7_after_a_short_outage_pods_hold_one_token_within_seconds(apart: Apart) -> None:
    """Each fetched for itself in three seconds without a store; then they agree, at no further fetch."""
    assert set(await apart.held()) == {"of-0-1"}
    apart.store(reachable=False, shaken=True)
    await apart.revoke({"of-0-1"})
    assert len(set(await apart.held())) == 4
    await apart.advance(3)
    fetched = apart.fetches
    apart.store(reachable=True, shaken=True)
    for _ in range(8):
        await apart.advance(UNSETTLED_TTL)
        held = await apart.held()
    assert len(set(held)) == 1
    assert apart.fetches == fetched


async def test_i7_a_revocation_after_a_short_outage_costs_one_fetch(apart: Apart) -> None:
    """For the fleet, not for each pod."""
    await apart.held()
    apart.store(reachable=False, shaken=True)
    await apart.revoke({"of-0-1"})
    apart.store(reachable=True, shaken=True)
    for _ in range(8):
        await apart.advance(UNSETTLED_TTL)
        held = await apart.held()
    apart.store(reachable=True, shaken=False)
    fetched = apart.fetches
    await apart.revoke(set(held))
    assert len(set(await apart.held())) == 1
    assert apart.fetches == fetched + 1


async def test_i7_once_they_agree_pods_look_up_as_rarely_as_before(apart: Apart) -> None:
    """Every half second until then, with `memory_ttl` between two questions afterwards."""
    pod = apart.pods[0]
    await pod.token()
    apart.store(reachable=True, shaken=True)
    await apart.advance(TTL)
    await pod.token()
    asked = pod.store.claims
    for _ in range(6):
        await apart.advance(UNSETTLED_TTL)
        await pod.token()
    assert pod.store.claims == asked + 6
    apart.store(reachable=True, shaken=False)
    await apart.advance(UNSETTLED_TTL)
    await pod.token()
    for _ in range(20):
        await apart.advance(1)
        await pod.token()
    assert pod.store.claims == asked + 7
