"""How many token requests a fleet without a token sends."""

import asyncio
import time

from tests.bench_fleet.figures import Figure
from tests.bench_fleet.stage import Stage
from tests.support.processes import get
from tests.support.wire_client import ask

REQUESTS = 10
"""To each sidecar at once."""
ANSWER_SECONDS = 0.5
"""How long the token endpoint takes meanwhile, so that all are there before the token is."""


async def measure(stage: Stage, group: str) -> tuple[list[Figure], dict[str, object]]:
    """Begin with sidecars that have just started."""
    started = stage.calls
    at_once = await _at_once(stage)
    killed, seconds = await _killed(stage)
    count = len(stage.sidecars) + 1
    figures = [
        Figure(group, f"Token calls while {count} processes start", [started], 1),
        Figure(group, f"Token calls, cold start, {REQUESTS} requests at once to each", [at_once], 1),
        Figure(group, "Token calls, the same, and the fetching pod is killed (-9)", [killed], 2),
        Figure(group, "Redis operations that timed out (100 ms) meanwhile", [await stage.unanswered()]),
        Figure(group, "Wait of the other pods then, s", [seconds], decimals=1),
        Figure(group, f"Start of {count} processes, s", [stage.start_seconds], decimals=1),
    ]
    return figures, {"seconds_after_kill": seconds}


async def _at_once(stage: Stage) -> int:
    await stage.forget_all()
    before = stage.calls
    stage.authorization.hold = hold = asyncio.Event()
    asyncio.get_running_loop().call_later(ANSWER_SECONDS, hold.set)
    assert set(await stage.ask_all(REQUESTS)) == {200}
    return stage.calls - before


async def _killed(stage: Stage) -> tuple[int, float]:
    """One of them asks first and so has the lease; the others wait for what it will never store."""
    await stage.forget_all()
    before = stage.calls
    stage.authorization.hold = hold = asyncio.Event()
    holder = stage.sidecars.pop()
    lost = asyncio.gather(ask(holder.address, get()), return_exceptions=True)
    await stage.authorization.reached(before + 1)
    waiting = asyncio.ensure_future(stage.ask_all(REQUESTS))
    await asyncio.sleep(ANSWER_SECONDS)
    holder.kill()
    began = time.perf_counter()
    hold.set()
    assert set(await waiting) == {200}
    seconds = time.perf_counter() - began
    await lost
    return stage.calls - before, seconds
