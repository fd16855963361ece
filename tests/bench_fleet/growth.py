"""How the questions to Redis grow with pods and with keys: pods without their servers, all in this process.

Each has what a sidecar has around its cache, with connections of its own; only the fetch is a stand-in that gives
a token at once. One process can play a thousand pods, but not all of them in the same instant: they ask a few at a
time, and how long a message takes to all says how long this process takes to read it a thousand times.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sidecar.oauth.token import TokenRequest
from tests.bench_fleet.children import in_turn
from tests.bench_fleet.commands import asked, commands, scripts
from tests.bench_fleet.figures import Figure
from tests.support.fleet_of_members import MemberFleet, MemberPod, request
from tests.support.redis_server import RedisServer
from tests.support.waiting import until

AT_A_TIME = 16
HOLDERS = 4
"""Pods that hold all the keys."""
HOT = 10_000
"""Requests answered from memory."""
LAST = 1000


@dataclass(frozen=True)
class Grown:
    """What it took at one size."""

    pods: int
    keys: int
    cold_calls: int
    cold_questions: int
    cold_seconds: float
    bust_calls: int
    bust_questions: int
    heard_ms: float
    all_questions: int
    all_ms: float
    hot_commands: int
    redis_mib: float


async def with_pods(redis: RedisServer, sizes: Sequence[int]) -> tuple[list[Figure], dict[str, object]]:
    """One key, ever more pods."""
    grown = [await _measure(redis, pods, 1) for pods in sizes]
    group = f"{_listed(sizes)} pods, one key"
    figures = [
        Figure(group, "Token calls, cold start", [each.cold_calls for each in grown], 1),
        Figure(group, "Token calls per bust", [each.bust_calls for each in grown], 1),
        Figure(
            group,
            "Redis operations per pod, cold start",
            _per_pod(grown, "cold_questions"),
            decimals=2,
        ),
        Figure(group, "Redis operations per bust and pod", _per_pod(grown, "bust_questions"), decimals=2),
        Figure(
            group,
            f"Redis commands in {HOT:,} requests with the token in memory",
            _all(grown, "hot_commands"),
            0,
        ),
        Figure(
            group, "Bust received by the last pod, ms (one process reads them all)", _all(grown, "heard_ms")
        ),
    ]
    return figures, {"sizes": [asdict(each) for each in grown]}


async def with_keys(redis: RedisServer, sizes: Sequence[int]) -> tuple[list[Figure], dict[str, object]]:
    """A few pods, ever more keys."""
    grown = [await _measure(redis, HOLDERS, keys) for keys in sizes]
    group = f"{_listed(sizes)} keys in each of {HOLDERS} pods"
    figures = [
        Figure(
            group,
            "Token calls per key, cold start",
            [each.cold_calls / each.keys for each in grown],
            1,
        ),
        Figure(group, "Token calls per bust", _all(grown, "bust_calls"), 1),
        Figure(
            group,
            "Redis operations per key and pod, cold start",
            [each.cold_questions / each.keys / each.pods for each in grown],
            decimals=2,
        ),
        Figure(group, "Redis operations per bust of one key", _all(grown, "bust_questions")),
        Figure(group, "Redis operations for a bust of all keys", _all(grown, "all_questions")),
        Figure(group, "Bust of all keys applied by the last pod, ms", _all(grown, "all_ms")),
        Figure(
            group,
            f"Redis commands in {HOT:,} requests with the token in memory",
            _all(grown, "hot_commands"),
            0,
        ),
        Figure(group, "Memory of Redis, MiB", _all(grown, "redis_mib"), decimals=1),
    ]
    return figures, {"sizes": [asdict(each) for each in grown]}


async def _measure(redis: RedisServer, pods: int, keys: int) -> Grown:
    async with MemberFleet(redis) as fleet:
        await fleet.client.flushall()
        members = await in_turn(pods, fleet.pod, AT_A_TIME)
        return await _grown(fleet, members, [request(f"service-{number}") for number in range(keys)])


async def _grown(fleet: MemberFleet, pods: Sequence[MemberPod], requests: Sequence[TokenRequest]) -> Grown:
    fetched, client, one = fleet.server.fetched, fleet.client, requests[-1]
    start, began = await commands(client), time.perf_counter()
    await _ask(pods, requests)
    cold_seconds, cold_calls = time.perf_counter() - began, len(fetched)
    cold = await commands(client)
    await _from_memory(pods, requests)
    hot = await commands(client)
    began = time.perf_counter()
    bust = asyncio.ensure_future(pods[0].refuse(one))
    await until(lambda: not any(pod.holds(one) for pod in pods[1:]))
    heard = time.perf_counter() - began
    await bust
    await _ask(pods, [one])
    busted, bust_calls = await commands(client), len(fetched) - cold_calls
    memory = (await client.info("memory"))["used_memory"]
    before_all, began = await commands(client), time.perf_counter()
    bust_of_all = asyncio.ensure_future(pods[0].bust())  # it waits for the answers too
    await until(lambda: not any(pod.cache.held() for pod in pods))
    all_seconds = time.perf_counter() - began
    await bust_of_all
    return Grown(
        pods=len(pods),
        keys=len(requests),
        cold_calls=cold_calls,
        cold_questions=scripts(start, cold),
        cold_seconds=cold_seconds,
        bust_calls=bust_calls,
        bust_questions=scripts(hot, busted),
        heard_ms=1000 * heard,
        all_questions=asked(before_all, await commands(client)),
        all_ms=1000 * all_seconds,
        hot_commands=asked(cold, hot),
        redis_mib=memory / 2**20,
    )


async def _ask(pods: Sequence[MemberPod], requests: Sequence[TokenRequest]) -> None:
    """Every pod for every token, a few at a time; the pods' turns alternate, as they would if they were apart."""
    todo = iter([(pod, each) for each in requests for pod in pods])

    async def work() -> None:
        for pod, each in todo:
            await pod.token(each)

    await asyncio.gather(*(work() for _ in range(AT_A_TIME)))


async def _from_memory(pods: Sequence[MemberPod], requests: Sequence[TokenRequest]) -> None:
    """The last ones asked for: with many keys the first have had their time in memory by now."""
    last = requests[-LAST:]
    for number in range(HOT):
        await pods[number % len(pods)].token(last[number % len(last)])


def _per_pod(grown: Iterable[Grown], name: str) -> list[float]:
    return [getattr(each, name) / each.pods for each in grown]


def _all(grown: Iterable[Grown], name: str) -> list[float]:
    return [getattr(each, name) for each in grown]


def _listed(sizes: Sequence[int]) -> str:
    return " / ".join(f"{size:,}" for size in sizes)
