"""Redis absent, killed and stopped under real sidecars with load upon them: only the log shows it.

How long an outage lasts is shortened here; `make outages` takes its time, and looks at the latency too.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from statistics import quantiles

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.processes import File, Load, Process, get, redis_health, serving, spawn
from tests.support.redis_server import RedisServer, free_port, own_redis  # noqa: F401  a fixture
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, awake
from tests.support.wire_client import ask

pytestmark = pytest.mark.unmeasured

SECONDS = float(os.environ.get("OUTAGE_SECONDS", "3"))
AT_FULL_LENGTH = SECONDS >= 30
PODS = 2
TOKENS = 3
CONNECTIONS = 6
RATE = 120
"""Requests a second to each pod."""
KEY = "A" * 43 + "="
NOTICED = 4.0
"""Seconds within which a silent link is noticed."""
SLACK = 1.0
"""Seconds for the looking."""
P99_MAY_GROW = 0.005


class LoadedFleet:
    """Sidecars with the same configuration."""

    def __init__(self, pods: list[Process]) -> None:
        self.pods = pods

    async def are_one(self) -> None:
        """Wait until store and bus are up in every pod."""
        async with asyncio.timeout(PATIENCE):
            while [await self._status(pod) for pod in self.pods] != [{"store": "up", "bus": "up"}] * PODS:
                await asyncio.sleep(0.02)

    async def notice_silence(self) -> None:
        """Wait until every pod knows that its bus is down, which is soon."""
        limit = asyncio.create_task(awake(NOTICED + SLACK))
        async with asyncio.timeout(PATIENCE):
            while {(await self._status(pod))["bus"] for pod in self.pods} != {"down"}:
                await asyncio.sleep(0.02)
        assert not limit.done()
        limit.cancel()

    async def logged(self, event: str) -> None:
        """Wait until every pod has logged the event."""
        async with asyncio.timeout(PATIENCE):
            while 0 in self.counts(event):
                await asyncio.sleep(0.02)

    def counts(self, event: str) -> list[int]:
        return [len(pod.events(event)) for pod in self.pods]

    async def readiness(self) -> list[tuple[int, bool]]:
        """Answers to the probes: the status, and whether something is missing."""
        answers = [await ask(pod.admin, get(b"/readyz")) for pod in self.pods]
        return [(answer.status, json.loads(answer.body)["degraded"]) for answer in answers]

    async def _status(self, pod: Process) -> Mapping[str, str]:
        return redis_health(json.loads((await ask(pod.admin, get(b"/status"))).body))


class Loads:
    """The same steady load on every pod."""

    def __init__(self, loads: list[Load]) -> None:
        self._loads = loads

    async def reach(self, count: int) -> None:
        await asyncio.gather(*(load.reach(count) for load in self._loads))

    @property
    def outcomes(self) -> set[str]:
        return {outcome for load in self._loads for outcome in load.answers}

    def mark(self) -> list[int]:
        return [len(load.seconds) for load in self._loads]

    def p99(self, begin: list[int], end: list[int]) -> float:
        """Of all requests answered between two marks."""
        spans = zip(self._loads, begin, end, strict=True)
        return quantiles([taken for load, one, other in spans for taken in load.seconds[one:other]], n=100)[
            98
        ]


@asynccontextmanager
async def load_upon(fleet: LoadedFleet) -> AsyncIterator[Loads]:
    async with AsyncExitStack() as stack:
        loads = [Load(pod.address, rate=RATE, connections=CONNECTIONS) for pod in fleet.pods]
        yield Loads([await stack.enter_async_context(load) for load in loads])


Start = Callable[[str], AbstractAsyncContextManager[LoadedFleet]]


@pytest.fixture
def start(
    tmp_path: Path, secret_file: Path, upstream: Upstream, authorization_server: AuthorizationServer
) -> Start:
    """Starts the fleet on a Redis URL. A token a connection of the load, some of them the same."""

    def document(url: str) -> Mapping[str, object]:
        request = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
        return {
            "cache": {"memory_ttl": "300ms"},
            "redis": {"url": url, "encryption_keys": [{"id": "k1", "key": {"env": "FLEET_KEY"}}]},
            "credentials": {"app": {"client_id": "app", "client_secret": {"file": str(secret_file)}}},
            "tokens": {f"t{number}": {**request, "scope": [f"s{number}"]} for number in range(TOKENS)},
            "routes": [
                {
                    "name": f"r{number}",
                    "match": {"prefix": f"/{number}"},
                    "upstream": upstream.url,
                    "token": f"t{number % TOKENS}",
                }
                for number in range(CONNECTIONS)
            ],
        }

    @asynccontextmanager
    async def start(url: str) -> AsyncIterator[LoadedFleet]:
        async with AsyncExitStack() as stack:
            pods = []
            for number in range(PODS):
                file = File(tmp_path / f"pod{number}.yaml")
                child = await spawn(file, document(url), environ={"FLEET_KEY": KEY})
                pods.append(await stack.enter_async_context(serving(child)))
            yield LoadedFleet(pods)

    return start


async def hears_busts(
    fleet: LoadedFleet, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """What one pod is refused, the other does not send again."""
    one, other = fleet.pods
    for pod in fleet.pods:
        assert (await pod.get(b"/0"))[0] == 200
    dead = upstream.tokens[-1]
    authorization_server.revoke(dead)
    assert (await one.get(b"/0"))[0] == 200
    async with asyncio.timeout(PATIENCE):
        while not [line for line in other.events("bust_applied") if line["kind"] == "token"]:
            await asyncio.sleep(0.01)
    before = len(upstream.tokens)
    assert (await other.get(b"/0"))[0] == 200
    assert dead not in upstream.tokens[before:]


async def test_b47_redis_may_come_later_than_the_sidecars(
    start: Start, upstream: Upstream, authorization_server: AuthorizationServer, tmp_path: Path
) -> None:
    """Each pod serves by itself, ready but degraded; when Redis comes they are a fleet, without being asked."""
    redis = RedisServer(tmp_path, port=free_port())
    async with start(redis.url) as fleet:
        with ExitStack() as later:
            async with load_upon(fleet) as load:
                await load.reach(RATE)
                await fleet.logged("store_down")
                assert await fleet.readiness() == [(200, True)] * PODS
                later.enter_context(redis)
                await fleet.are_one()
                await load.reach(RATE)
            assert await fleet.readiness() == [(200, False)] * PODS
            assert load.outcomes == {"200"}
            assert len(authorization_server.issued) == TOKENS * PODS
            await hears_busts(fleet, upstream, authorization_server)
        assert (fleet.counts("store_down"), fleet.counts("store_up")) == ([1] * PODS, [1] * PODS)


async def test_b47_a_silent_link_is_noticed_and_comes_back(
    start: Start,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    own_redis: RedisServer,  # noqa: F811
) -> None:
    """A stopped Redis keeps its connections open: only our own ping detects it."""
    async with start(own_redis.url) as fleet:
        await fleet.are_one()
        own_redis.pause()
        await fleet.notice_silence()
        own_redis.resume()
        await fleet.are_one()
        await hears_busts(fleet, upstream, authorization_server)


@pytest.mark.timeout(300 + 3 * SECONDS)
@pytest.mark.parametrize("outage", ["killed", "stopped"])
async def test_b49_no_request_fails_while_redis_is_away(
    start: Start,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    own_redis: RedisServer,  # noqa: F811
    outage: str,
) -> None:
    """One warning, no error, no more token requests; afterwards the fleet is one again by itself."""
    async with start(own_redis.url) as fleet:
        await fleet.are_one()
        async with load_upon(fleet) as load:
            await load.reach(2 * RATE if AT_FULL_LENGTH else RATE)
            calm = load.mark()
            assert len(authorization_server.issued) == TOKENS
            own_redis.kill() if outage == "killed" else own_redis.pause()
            await fleet.logged("store_down")
            opened = load.mark()
            await asyncio.sleep(SECONDS)
            down = load.mark()
            own_redis.start() if outage == "killed" else own_redis.resume()
            await fleet.are_one()
            await load.reach(RATE)
            if AT_FULL_LENGTH:
                before, meanwhile = load.p99([0] * PODS, calm), load.p99(opened, down)
                assert meanwhile <= before + P99_MAY_GROW
        assert load.outcomes == {"200"}
        assert (fleet.counts("store_down"), fleet.counts("store_up")) == ([1] * PODS, [1] * PODS)
        assert len(authorization_server.issued) == TOKENS
        await hears_busts(fleet, upstream, authorization_server)
