"""The upstream refuses the token all of a sudden, twenty times, while every sidecar has requests."""

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack

from redis.asyncio.client import PubSub

from tests.bench_fleet.figures import Figure
from tests.bench_fleet.stage import Stage
from tests.support.processes import Load
from tests.support.waiting import until

REVOCATIONS = 20
RATE = 5.0
"""Requests a second to each sidecar."""
CONNECTIONS = 2


async def measure(stage: Stage, group: str) -> tuple[list[Figure], dict[str, object]]:
    """The server itself reports what was deleted: the token once for each revocation, and nothing newer."""
    await stage.client.config_set("notify-keyspace-events", "Kg")
    happened: Counter[bytes] = Counter()
    unanswered = await stage.unanswered()

    async def note(pubsub: PubSub) -> None:
        async for message in pubsub.listen():
            if message["type"] == "message":
                happened[message["data"]] += 1

    async with stage.client.pubsub() as pubsub, AsyncExitStack() as running:
        await pubsub.subscribe(f"__keyspace@0__:{stage.key}")
        noting = asyncio.create_task(note(pubsub))
        loads = [
            await running.enter_async_context(Load(each.address, rate=RATE, connections=CONNECTIONS))
            for each in stage.sidecars
        ]
        revoked = [await _revoke(stage, happened) for _ in range(REVOCATIONS)]
        await running.aclose()
        noting.cancel()
    await stage.client.config_set("notify-keyspace-events", "")
    answers = sum((load.answers for load in loads), Counter[str]())
    slowest = max(seconds for load in loads for seconds in load.seconds)
    calls, deleted = zip(*revoked, strict=True)
    failed = answers.total() - answers["200"]
    what = f"{REVOCATIONS} revocations under {RATE * len(loads):.0f} requests a second"
    figures = [
        Figure(group, f"{what}: requests", [answers.total()]),
        Figure(group, "… answered 401 to the client", [answers["401"]], 0),
        Figure(group, "… failed otherwise", [failed - answers["401"]], 0),
        Figure(group, "… token calls for one revocation, most", [max(calls)], 1),
        Figure(group, "… newer tokens deleted", [sum(max(0, each - 1) for each in deleted)], 0),
        Figure(group, "… questions to Redis given up after 100 ms", [await stage.unanswered() - unanswered]),
        Figure(group, "… slowest request, ms", [1000 * slowest]),
    ]
    return figures, {"answers": dict(answers), "calls": calls, "deletions": deleted}


async def _revoke(stage: Stage, happened: Counter[bytes]) -> tuple[int, int]:
    """Revoke the newest token and see it replaced; how many token calls and deletions that and its aftermath took."""
    issued = stage.authorization.issued
    await asyncio.sleep(random.uniform(0.2, 0.4))
    before, deleted = len(issued), happened[b"del"]
    stage.authorization.revoke(issued[-1])
    await until(lambda: len(issued) > before)
    await asyncio.sleep(0.4)
    return len(issued) - before, happened[b"del"] - deleted
