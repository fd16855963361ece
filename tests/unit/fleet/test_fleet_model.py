"""A model of the fleet: whatever happens to pods, bus, store and tokens, in whatever order, this holds.

No token is sent that the pod knew to be refused when the request came; no bust takes more than the token it names; with
the store up a key is fetched once at a time; what was bust stays so; and in the end everything heals.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sidecar.core.labels import Labels, parse_selector
from tests.support.examples import examples
from tests.support.fleet_model import REQUESTS, ModelFleet, ModelPod

MOST_PODS = 4
HEALED_WITHIN = 120.0
"""Seconds until every pod is served again, whatever happened before: cool-downs and setbacks end by then."""

numbers = st.integers(0, MOST_PODS - 1)
names = st.sampled_from(sorted(REQUESTS))
skews = st.sampled_from([0.0, 0.0, -3000.0, 0.4, 7000.0])
selectors = st.sampled_from(
    [parse_selector({"service": "a"}), parse_selector({"tenant": "acme"}), parse_selector({})]
)
moments = st.sampled_from([0.002, 0.02, 0.1, 0.4, 3.1])
troubles = st.sampled_from(
    ["slow", "slow", "quick", "out", "flush", "stop or restart", "kill", "start", "apart"]
)


class FleetModel(RuleBasedStateMachine):
    """Rules begin something; how far it gets before the next one begins differs."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()

    def run(self, what: Coroutine[None, None, None]) -> None:
        self.loop.run_until_complete(what)

    def then(self, wait: float, what: Callable[[], object]) -> None:
        """Do it within the loop, and let that many seconds pass."""

        async def do() -> None:
            what()
            await self.fleet.clock.advance(wait)

        self.run(do())

    def pod(self, number: int) -> ModelPod:
        return self.fleet.pods[number % len(self.fleet.pods)]

    @initialize(seed=st.integers(0, 1000), first=skews, second=skews)
    def begin(self, seed: int, first: float, second: float) -> None:
        async def begin() -> None:
            self.fleet = ModelFleet(seed)
            for skew in (first, second, 0.0):
                self.fleet.start(skew)
            for pod in self.fleet.pods:
                pod.do(pod.ask(REQUESTS["a"]))
            await self.fleet.clock.advance(1.0)

        self.run(begin())

    @rule(number=numbers, name=names, wait=moments)
    def ask(self, number: int, name: str, wait: float) -> None:
        pod = self.pod(number)
        self.then(wait, lambda: pod.do(pod.ask(REQUESTS[name])))

    @rule(name=names, wait=moments)
    def all_ask(self, name: str, wait: float) -> None:
        self.then(wait, lambda: [pod.do(pod.ask(REQUESTS[name])) for pod in self.fleet.pods])

    @rule(numbers=st.lists(numbers, max_size=3), name=names, wait=moments)
    def revoke(self, numbers: list[int], name: str, wait: float) -> None:
        """At the authorization server; these pods are the first to notice."""
        self.then(0.0, lambda: self.fleet.revoke(REQUESTS[name]))
        asking = [self.pod(number) for number in numbers]
        self.then(wait, lambda: [pod.do(pod.ask(REQUESTS[name])) for pod in asking])

    @rule(number=numbers, chosen=selectors, wait=moments)
    def bust(self, number: int, chosen: Labels, wait: float) -> None:
        self.then(wait, lambda: self.fleet.bust(self.pod(number), chosen))

    @rule(seconds=st.sampled_from([3.1, 12.0, 31.0, 545.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.then(seconds, lambda: None)

    @rule(number=numbers, wait=moments)
    def cut_or_mend(self, number: int, wait: float) -> None:
        """What the others say."""
        pod = self.pod(number)
        self.then(wait, lambda: (self.fleet.cut if pod.ear.whole.is_set() else self.fleet.mend)(pod))

    @rule(number=numbers, which=st.integers(0, 5), wait=moments)
    def repeat(self, number: int, which: int, wait: float) -> None:
        self.then(wait, lambda: self.fleet.repeat(self.pod(number), which))

    @rule(trouble=troubles, number=numbers, skew=skews, wait=moments)
    def trouble(self, trouble: str, number: int, skew: float, wait: float) -> None:
        fleet = self.fleet
        match trouble:
            case "slow" | "quick":
                fleet.slowness, fleet.out = {"slow": 5.0, "quick": 0.05}[trouble], False
            case "out":
                fleet.out = True
            case "flush":
                self.then(0.0, fleet.stop)
                self.then(wait, lambda: fleet.restart(empty=True))
            case "apart":  # each comes to hold a token of its own, of another age
                self.then(0.0, fleet.stop)
                for pod in fleet.pods:
                    self.then(9.0, partial(pod.do, pod.ask(REQUESTS["a"])))
                self.then(wait, lambda: fleet.restart(empty=False))
            case "stop or restart":
                self.then(wait, fleet.stop if fleet.up else lambda: fleet.restart(empty=False))
            case "kill" if len(fleet.pods) > 1:
                fetching = [fetch.pod for fetch in fleet.fetching if fetch.pod in fleet.pods]
                self.then(wait, lambda: fleet.kill(fetching[0] if fetching else self.pod(number)))
            case "start" if len(fleet.pods) < MOST_PODS:
                self.then(wait, lambda: fleet.start(skew))

    @invariant()
    def nothing_is_wrong(self) -> None:
        if hasattr(self, "fleet"):
            for pod in self.fleet.pods:
                pod.look()
            assert not self.fleet.wrong, self.fleet.wrong

    def teardown(self) -> None:
        try:
            if hasattr(self, "fleet"):
                self.run(self._heal())
                self.nothing_is_wrong()
        finally:
            if hasattr(self, "fleet"):
                self.run(self.fleet.close())
            self.loop.close()

    async def _heal(self) -> None:
        """With everything up again, every pod is served in the end, for at most a fetch a pod and key."""
        fleet = self.fleet
        fleet.slowness, fleet.out, fleet.lossy = 0.05, False, False
        fleet.restart(empty=False)
        await fleet.clock.advance(15.0)  # what is under way comes to its end
        before, since = fleet.fetches, fleet.clock.now()
        while not await self._all_served():
            assert fleet.clock.now() - since < HEALED_WITHIN
        assert fleet.fetches - before <= (len(fleet.pods) + 1) * len(REQUESTS)

    async def _all_served(self) -> bool:
        asked = [
            asyncio.ensure_future(pod.ask(request))
            for pod in self.fleet.pods
            for request in REQUESTS.values()
        ]
        await self.fleet.clock.advance(5.0)
        return all(each.done() and each.result() == 200 for each in asked)


TestFleet = FleetModel.TestCase
TestFleet.settings = settings(
    max_examples=examples(60), stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
