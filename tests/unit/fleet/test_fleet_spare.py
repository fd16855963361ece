"""What memory still has spares the fleet a fetch: Redis may go and come back, empty or not, at no cost."""

from collections.abc import AsyncIterator

import pytest

from sidecar.cache.lease import Claim
from sidecar.core.labels import parse_selector
from sidecar.oauth.token import TokenRequest
from tests.support.clock import FakeClock
from tests.support.fleet_fakes import FakeStore
from tests.support.token_cache_rig import LEDGER, Rig

TTL = 35.0
"""Seconds after which memory's token is to be looked up."""


class Fading(FakeStore):
    """A store whose silence nobody knows of yet."""

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
    """Before anybody knows that it is away a look-up fails; what is in memory is as good as a new token."""
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
    """A pod that missed the message knows by the generation that its token is dead."""
    assert (await pods.one.token(), await pods.other.token()) == ("t1", "t1")
    refused = pods.one.cache.peek(LEDGER, pods.one.clock.now())
    assert refused is not None
    await pods.one.refusal(refused)
    pods.one.server.tokens.clear()
    await pods.advance(TTL)
    await pods.other.token()
    assert pods.other.source.asked == 1


async def test_b52_what_was_revoked_meanwhile_is_not_put_back(pods: Pods) -> None:
    """Nor is it used where nobody can be asked."""
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
    """Whoever looks first decides, also for a pod whose own token is newer: else a bust would not reach both."""
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
