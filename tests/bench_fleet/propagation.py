"""How long a bust takes to all sidecars, beside what a message takes to as many bare redis-py subscribers.

Both are processes of their own, and each line they print has its moment: `bust_applied` once a sidecar has read,
verified and applied the message (before its log's thread writes the line), the bare one as soon as it has it. The clock
starts before the bust's script is sent, or before the bare PUBLISH of a message as long. The two take turns, and the
order changes each round. Before, the sidecars get the token again, and all is quiet for a moment.

On few cores the processes wait for each other, and a moment at which the machine is elsewhere holds up all of them:
so the two are compared by the median over rounds of each round's 99th percentile, which of 50 is the slowest.
"""

import asyncio
import math
from collections.abc import Iterable
from itertools import chain
from statistics import median

from tests.bench_fleet.children import Child, delays, in_turn, subscriber
from tests.bench_fleet.commands import asked, commands, scripts
from tests.bench_fleet.figures import Figure
from tests.bench_fleet.stage import Stage

CHANNEL = "bare"
MESSAGE = b"x" * 300
"""As long as a bust."""
QUIET = 0.3
"""Seconds; what is logged is written 0.1 s later."""


async def measure(stage: Stage, group: str, rounds: int) -> tuple[list[Figure], dict[str, object]]:
    """So many busts, and as many messages."""
    count = len(stage.sidecars)
    bare = await in_turn(count, lambda: subscriber(stage.redis.port, CHANNEL))
    ours: list[list[float]] = []
    theirs: list[list[float]] = []
    questions: list[int] = []
    try:
        await _bust(stage)  # the first ones do not count
        await _message(stage, bare)
        calls = stage.calls
        for number in range(rounds):
            before = await commands(stage.client)
            for turn in range(2):
                if (number + turn) % 2:
                    ours.append(await _bust(stage))
                else:
                    theirs.append(await _message(stage, bare))
            questions.append(scripts(before, await commands(stage.client)))
    finally:
        for each in bare:
            each.kill()
    calls = stage.calls - calls
    mine, other = percentiles(chain(*ours)), percentiles(chain(*theirs))
    slow, bare_slow = (median(percentiles(each)[1] for each in every) for every in (ours, theirs))
    figures = [
        Figure(group, f"Bust received by {count} sidecars: p50 / p99 / maximum, ms", mine, decimals=1),
        Figure(group, f"Message received by {count} bare subscribers, the same, ms", other, decimals=1),
        Figure(group, "p99 of a round, median: sidecars / bare, ms", [slow, bare_slow], decimals=1),
        Figure(group, "Ratio of these two", [slow / bare_slow], 2, decimals=2),
        Figure(group, "Token calls per bust", [calls / rounds], 1, decimals=2),
        Figure(
            group,
            "Redis operations per bust and sidecar, the new token included",
            [sum(questions) / rounds / count],
            decimals=2,
        ),
    ]
    return figures, {"sidecars": ours, "bare": theirs, "questions": questions}


async def hot(stage: Stage, group: str, times: int) -> tuple[list[Figure], dict[str, object]]:
    """Requests while memory has the token."""
    await _refill(stage)
    before = await commands(stage.client)
    for _ in range(times):
        assert set(await stage.ask_all()) == {200}
    after = await commands(stage.client)
    requests = times * len(stage.sidecars)
    figure = Figure(
        group, f"Redis commands in {requests:,} requests with the token in memory", [asked(before, after)], 0
    )
    return [figure], {"commands": dict(after - before)}


async def _bust(stage: Stage) -> list[float]:
    await _refill(stage)
    token, onlooker = await stage.stored(), stage.onlooker
    await asyncio.sleep(QUIET)

    async def bust() -> None:
        busted = await onlooker.member.fleet.bust(stage.request, token, onlooker.clock.now())
        assert busted.news

    return await delays(stage.sidecars, b'"bust_applied"', onlooker.clock, bust)


async def _message(stage: Stage, bare: list[Child]) -> list[float]:
    await asyncio.sleep(QUIET)
    clock = stage.onlooker.clock
    return await delays(bare, b"message", clock, lambda: stage.client.publish(CHANNEL, MESSAGE))


async def _refill(stage: Stage) -> None:
    assert set(await stage.ask_all()) == {200}


def percentiles(seconds: Iterable[float]) -> list[float]:
    """Median, 99th percentile and most, in milliseconds."""
    ordered = sorted(seconds)
    return [1000 * ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.99, 1)]
