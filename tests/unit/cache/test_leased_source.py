"""Several pods over one store, on one clock: which pod fetches, which ones wait, and the effect of busts on a cache."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sidecar.cache.lease import LEASE
from sidecar.cache.leased_source import OVERTAKEN, POLL, LeasedSource
from sidecar.cache.refused_tokens import Bust
from sidecar.cache.revocations import Revocations
from sidecar.cache.tokens import TokenCache
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.labels import parse_selector
from sidecar.core.secret import Secret
from sidecar.oauth.token import TokenRequest, bearer
from sidecar.telemetry.fleet_events import BustSent
from tests.support.clock import FakeClock, settle
from tests.support.fleet_fakes import FakeServer, FakeStore
from tests.support.journal import RecordingJournal
from tests.support.randomness import FixedRandomness
from tests.support.token_cache_rig import LEDGER, ScriptedSource

LONGEST_POLL = POLL[0]
"""With randomness that always draws the low end."""


class LeasingPod:
    """One cache over its own way to the store; all pods fetch from the one source."""

    def __init__(self, fleet: "TwoPods") -> None:
        self.store = FakeStore(fleet.clock, fleet.server)
        self.journal = RecordingJournal()
        self.revocations = Revocations()
        self.clock = fleet.clock
        self.shared = LeasedSource(
            source=fleet.source,
            store=self.store,
            revocations=self.revocations,
            clock=fleet.clock,
            randomness=fleet.randomness,
        )
        self.cache = TokenCache(
            source=self.shared,
            fleet=self.store,
            revocations=self.revocations,
            clock=fleet.clock,
            randomness=fleet.randomness,
            journal=self.journal,
        )

    def hear(self, message: Bust | str) -> None:
        if isinstance(message, Bust):
            self.cache.evict(message)
        else:
            self.shared.filled(message)

    def ask(self, request: TokenRequest = LEDGER) -> asyncio.Task[str]:
        async def ask() -> str:
            return (await self.cache.token(request)).secret.reveal()

        return asyncio.create_task(ask())

    def peek(self) -> str | None:
        token = self.cache.peek(LEDGER, self.clock.now())
        return token.secret.reveal() if token else None

    async def refused(self) -> str:
        """A request with the token in memory, sent just now, is refused a moment later."""
        token = self.cache.peek(LEDGER, self.clock.now())
        assert token is not None
        sent_at = self.clock.now()
        await self.clock.advance(0.01)
        return (await self.cache.renew(LEDGER, token, sent_at)).secret.reveal()

    def busts_sent(self) -> int:
        return len([event for event in self.journal.events if isinstance(event, BustSent)])


class TwoPods:
    """Pods that receive each other's messages at once, while `connected`."""

    def __init__(self, count: int = 3) -> None:
        self.clock = FakeClock()
        self.server = FakeServer()
        self.source = ScriptedSource(self.clock)
        self.source.life = 3600
        self.randomness = FixedRandomness()
        self.pods = [LeasingPod(self) for _ in range(count)]
        self.connected = True
        self.server.listeners.append(self._tell)

    def _tell(self, message: Bust | str) -> None:
        for pod in self.pods if self.connected else ():
            pod.hear(message)

    async def warm(self) -> None:
        for pod in self.pods:
            assert await pod.ask() == "t1"


@pytest.fixture
async def fleet() -> AsyncIterator[TwoPods]:
    fleet = TwoPods()
    yield fleet
    for pod in fleet.pods:
        await pod.cache.close()


class TestLease:
    """One pod fetches for all."""

    async def test_b15_the_others_wait_for_its_fill(self, fleet: TwoPods) -> None:
        """They have it at the moment of the message."""
        fleet.source.delay = 0.05
        calls = [pod.ask() for pod in fleet.pods]
        await fleet.clock.advance(0.05)
        assert [call.done() for call in calls] == [True] * 3
        assert {call.result() for call in calls} == {"t1"}
        assert fleet.source.asked == 1

    async def test_b15_a_lost_message_costs_one_poll(self, fleet: TwoPods) -> None:
        """The bus is a hint."""
        fleet.connected = False
        fleet.source.delay = 0.05
        calls = [pod.ask() for pod in fleet.pods]
        await fleet.clock.advance(LONGEST_POLL)
        assert {await call for call in calls} == {"t1"}
        assert fleet.source.asked == 1

    async def test_b15_a_dead_holder_costs_one_lease_time(self, fleet: TwoPods) -> None:
        """It vanishes in the middle of its fetch, without a word."""
        first, second, third = fleet.pods
        fleet.source.open.clear()
        gone = first.ask()
        await settle()
        first.store.reachable = False
        calls = [second.ask(), third.ask()]
        await fleet.clock.advance(LEASE - 0.1)
        assert fleet.source.asked == 1
        await fleet.clock.advance(0.1 + LONGEST_POLL)
        assert fleet.source.asked == 2
        fleet.source.open.set()
        await fleet.clock.advance(LONGEST_POLL)
        assert {await call for call in calls} == {"t2"}
        assert await gone == "t1"

    async def test_b15_a_slow_holder_keeps_its_lease(self, fleet: TwoPods) -> None:
        """A fetch may take longer than a lease lives."""
        fleet.source.delay = 3 * LEASE
        calls = [pod.ask() for pod in fleet.pods]
        await fleet.clock.advance(3 * LEASE)
        assert {await call for call in calls} == {"t1"}
        assert fleet.source.asked == 1

    async def test_a_holder_that_stops_releases_it(self, fleet: TwoPods) -> None:
        """The next pod need not wait for the lease's end."""
        first, second, _ = fleet.pods
        fleet.source.open.clear()
        given_up = first.ask()
        await settle()
        call = second.ask()
        await settle()
        await first.cache.close()
        fleet.source.open.set()
        await fleet.clock.advance(0.001)
        assert await call == "t2"
        assert isinstance((await asyncio.gather(given_up, return_exceptions=True))[0], TokenUnavailable)

    async def test_a_bug_in_the_fetch_releases_it(self, fleet: TwoPods) -> None:
        """It is this pod's, not the fleet's."""
        first, second, _ = fleet.pods
        fleet.source.error = RuntimeError()
        with pytest.raises(TokenUnavailable, match="internal fault"):
            await first.ask()
        fleet.source.error = None
        assert await second.ask() == "t2"

    async def test_without_the_store_every_pod_fetches(self, fleet: TwoPods) -> None:
        """At once: there is no pod to coordinate with."""
        for pod in fleet.pods:
            pod.store.reachable = False
        assert [await pod.ask() for pod in fleet.pods] == ["t1", "t2", "t3"]

    async def test_a_store_that_goes_while_pods_wait_holds_nobody_up(self, fleet: TwoPods) -> None:
        """They look again soon, and fetch."""
        first, second, _ = fleet.pods
        fleet.source.open.clear()
        first.ask()
        await settle()
        call = second.ask()
        await settle()
        second.store.reachable = False
        fleet.source.open.set()
        fleet.connected = False
        await fleet.clock.advance(LONGEST_POLL)
        assert await call == "t2"

    async def test_an_aging_token_is_renewed_by_one_pod(self, fleet: TwoPods) -> None:
        """The others find its token when they look."""
        await fleet.warm()
        await fleet.clock.advance(3545)
        calls = [pod.ask() for pod in fleet.pods]
        assert {await call for call in calls} == {"t1"}
        await fleet.clock.advance(1)
        for pod in fleet.pods:
            pod.peek()
        await fleet.clock.advance(1)
        assert {pod.peek() for pod in fleet.pods} == {"t2"}
        assert fleet.source.asked == 2


class TestFailures:
    """They are learned once."""

    async def test_an_outage_is_shared_and_its_window_doubles_for_all(self, fleet: TwoPods) -> None:
        """1, 2, 4 s between attempts, whichever pod makes them."""
        fleet.source.error = TokenUnavailable("out", 0)
        for window in (1, 2, 4):
            asked = fleet.source.asked
            for pod in fleet.pods:
                with pytest.raises(TokenUnavailable, match="out"):
                    await pod.ask()
            assert fleet.source.asked == asked + 1
            await fleet.clock.advance(window)

    async def test_a_refusal_is_shared(self, fleet: TwoPods) -> None:
        """With its code, for its five seconds."""
        fleet.source.error = TokenRefused("no such scope", "invalid_scope")
        for pod in fleet.pods:
            with pytest.raises(TokenRefused, match="no such scope") as raised:
                await pod.ask()
            assert raised.value.code == "invalid_scope"
        assert fleet.source.asked == 1
        await fleet.clock.advance(5)
        fleet.source.error = None
        assert await fleet.pods[2].ask() == "t2"

    async def test_who_waits_for_a_fetch_that_fails_hears_of_it_at_once(self, fleet: TwoPods) -> None:
        """No poll, no fetch of its own."""
        fleet.source.delay = 0.05
        fleet.source.error = TokenUnavailable("out", 0)
        calls = [pod.ask() for pod in fleet.pods]
        await fleet.clock.advance(0.05)
        outcomes = [call.exception() for call in calls]
        assert [str(outcome) for outcome in outcomes] == ["out"] * 3
        assert fleet.source.asked == 1


class TestRefused:
    """A token is refused in one pod."""

    async def test_b20_the_others_drop_it_and_find_its_successor(self, fleet: TwoPods) -> None:
        """One bust, one fetch."""
        await fleet.warm()
        assert await fleet.pods[0].refused() == "t2"
        assert [pod.peek() for pod in fleet.pods] == ["t2", None, None]
        assert [await pod.ask() for pod in fleet.pods] == ["t2"] * 3
        assert fleet.source.asked == 2
        assert [pod.busts_sent() for pod in fleet.pods] == [1, 0, 0]

    async def test_a_pod_refused_later_takes_the_successor_fetched_before_its_request(
        self, fleet: TwoPods
    ) -> None:
        """The bust did not reach it in time; the token was bust before, so this 401 is no news."""
        await fleet.warm()
        fleet.connected = False
        assert await fleet.pods[0].refused() == "t2"
        await fleet.clock.advance(1)
        assert await fleet.pods[1].refused() == "t2"
        assert fleet.source.asked == 2
        assert len(fleet.server.busts) == 1

    async def test_b28_another_token_of_the_same_age_is_no_successor(self, fleet: TwoPods) -> None:
        """It may have been revoked together with this one."""
        await fleet.warm()
        first, second, _ = fleet.pods
        fleet.connected = False
        await fleet.clock.advance(1)
        fleet.server.tokens.clear()
        await fleet.clock.advance(35)
        assert await second.ask() == "t2"
        fresh = bearer(Secret("t1", "fp-t1"), fetch_began=fleet.clock.now() - 36, life=3600, leeway=60)
        sent_at = fleet.clock.now()
        await fleet.clock.advance(0.01)
        assert (await first.cache.renew(LEDGER, fresh, sent_at)).secret.reveal() == "t3"
        assert fleet.server.tokens[LEDGER.key].secret.reveal() == "t3"

    async def test_busts_that_overtake_every_fetch_end_in_an_error(self, fleet: TwoPods) -> None:
        """Not in an endless loop."""
        pod = fleet.pods[0]
        fleet.source.delay = 1
        call = pod.ask()
        for generation in range(1, OVERTAKEN + 1):
            await fleet.clock.advance(0.5)
            fleet.server.generations[LEDGER.key] = generation
            await fleet.clock.advance(0.5)
        with pytest.raises(TokenUnavailable, match="faster"):
            await call
        assert fleet.source.asked == OVERTAKEN

    async def test_b15_busts_that_overtake_every_fetch_leave_no_lease(self, fleet: TwoPods) -> None:
        """The next pod fetches at once. It does not wait for the lease of a load that has ended."""
        fleet.source.delay = 1
        call = fleet.pods[0].ask()
        for generation in range(1, OVERTAKEN + 1):
            await fleet.clock.advance(0.5)
            fleet.server.generations[LEDGER.key] = generation
            await fleet.clock.advance(0.5)
        with pytest.raises(TokenUnavailable, match="faster"):
            await call
        other = fleet.pods[1].ask()
        await fleet.clock.advance(1)
        assert other.done()
        assert other.result() == f"t{OVERTAKEN + 1}"

    async def test_b21_a_cooling_key_keeps_its_token_in_every_pod(self, fleet: TwoPods) -> None:
        """The second pod's refusal changes nothing there: no fetch, and the token goes on being sent."""
        await fleet.warm()
        first, second, _ = fleet.pods
        token = first.cache.peek(LEDGER, fleet.clock.now())
        assert token is not None
        first.cache.cool_down(LEDGER, token)
        await settle()
        with pytest.raises(TokenUnavailable, match="the fleet waits"):
            await second.refused()
        assert second.peek() == "t1"
        assert second.cache.cooling(LEDGER, fleet.clock.now())
        assert (fleet.source.asked, len(fleet.server.busts)) == (1, 0)

    async def test_b21_the_fleets_probe_heals_the_fleet(self, fleet: TwoPods) -> None:
        """A pod that knew nothing of the window makes it, and its success ends it for all."""
        await fleet.warm()
        first, second, third = fleet.pods
        token = first.cache.peek(LEDGER, fleet.clock.now())
        assert token is not None
        first.cache.cool_down(LEDGER, token)
        await settle()
        await fleet.clock.advance(1)
        assert await second.refused() == "t2"
        second.cache.healed(LEDGER)
        await settle()
        assert await third.ask() == "t2"
        assert await third.refused() == "t3"


class TestEvictions:
    """What the bus hands the cache."""

    async def test_b41_only_the_token_named_goes(self, fleet: TwoPods) -> None:
        """Another of the same key stays, and no message or request is sent."""
        await fleet.warm()
        pod = fleet.pods[0]
        assert not pod.cache.evict(Bust(LEDGER.key, "fp-other", 5))
        assert not pod.cache.evict(Bust("another", "fp-t1", 5))
        assert pod.peek() == "t1"
        assert pod.cache.evict(Bust(LEDGER.key, "fp-t1", 5))
        assert not pod.cache.evict(Bust(LEDGER.key, "fp-t1", 5))
        assert pod.peek() is None
        assert (fleet.source.asked, fleet.server.busts) == (1, [])

    async def test_b48_a_token_on_its_way_into_memory_does_not_arrive(self, fleet: TwoPods) -> None:
        """The bust arrives before the answer that holds it: the pod asks for one that was fetched later."""
        await fleet.warm()
        pod = fleet.pods[0]
        await fleet.clock.advance(35)
        pod.cache.evict(Bust(LEDGER.key, "fp-t1", 5))
        assert await pod.ask() == "t2"
        assert fleet.source.asked == 2

    async def test_b46_after_a_gap_what_has_another_generation_goes(self, fleet: TwoPods) -> None:
        """Behind or ahead: a flushed store knows lower ones."""
        await fleet.warm()
        pod = fleet.pods[0]
        assert pod.cache.held() == {LEDGER.key: 0}
        assert pod.cache.evict_behind({LEDGER.key: 0, "another": 9}) == 0
        assert pod.cache.evict_behind({LEDGER.key: 7}) == 1
        fleet.server.generations[LEDGER.key] = 7
        assert await pod.ask() == "t1"
        assert pod.cache.held() == {LEDGER.key: 7}
        assert pod.cache.evict_behind({LEDGER.key: 0}) == 1

    async def test_b46_what_came_in_while_generations_were_asked_for_goes_too(self, fleet: TwoPods) -> None:
        """It is unknown whether it was bust on its way; the store knows."""
        await fleet.warm()
        pod = fleet.pods[0]
        assert pod.cache.evict_behind({}) == 1
        assert await pod.ask() == "t1"

    async def test_b52_a_select_empties_memory_and_passes_over_the_store(self, fleet: TwoPods) -> None:
        """What was fetched before it counts nowhere; what is fetched after does."""
        pod, other, _ = fleet.pods
        began = fleet.clock.now() - 1
        labelled = bearer(
            Secret("t0", "fp-t0"), fetch_began=began, life=3600, leeway=60, labels=LEDGER.labels
        )
        fleet.server.tokens[LEDGER.key] = labelled
        assert [await pod.ask(), await other.ask()] == ["t0", "t0"]
        pod.revocations.add(parse_selector({"service": LEDGER.service}), fleet.clock.now())
        assert pod.cache.evict_revoked() == 1
        assert pod.peek() is None
        await fleet.clock.advance(0.01)
        assert await pod.ask() == "t1"
        assert pod.cache.evict_revoked() == 0
        assert other.peek() == "t0"

    async def test_b52_who_asks_after_a_select_is_not_given_the_token_on_its_way(
        self, fleet: TwoPods
    ) -> None:
        """It joins the fetch under way; its result is revoked already, and another fetch follows."""
        pod = fleet.pods[0]
        fleet.source.delay = 1.0
        fleet.source.labels = LEDGER.labels
        first = pod.ask()
        await fleet.clock.advance(0.5)
        pod.revocations.add(parse_selector({"service": LEDGER.service}), fleet.clock.now())
        later = pod.ask()
        await fleet.clock.advance(1.5)
        assert (await first, await later, pod.peek()) == ("t2", "t2", "t2")

    async def test_b52_selects_that_overtake_every_fetch_end_in_an_error(self, fleet: TwoPods) -> None:
        """Neither an endless loop nor a revoked token."""
        pod = fleet.pods[0]
        fleet.source.delay = 1.0
        fleet.source.labels = LEDGER.labels
        call = pod.ask()
        for _ in range(5):
            await fleet.clock.advance(0.5)
            pod.revocations.add(parse_selector({}), fleet.clock.now())
            await fleet.clock.advance(0.5)
        with pytest.raises(TokenUnavailable, match="revoked faster"):
            await call
        assert fleet.source.asked == 3
