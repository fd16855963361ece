"""Waiting for a state. However busy the machine is, no test fails for the time it takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from inspect import isawaitable

PATIENCE = 60.0
"""Seconds any single wait may take before the test fails: only what never happens takes so long."""
AT_LEISURE = 20.0
"""Seconds a Redis has for each operation where no outage is the point: it shares the processors with the tests."""
PARTS = 50
PAUSE = 0.002
"""Seconds between two looks."""


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until the condition holds. Raise TimeoutError where it never does."""
    async with asyncio.timeout(PATIENCE):
        while not await _holds(condition):
            await asyncio.sleep(PAUSE)


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    found = condition()
    return await found if isawaitable(found) else found


async def awake(seconds: float) -> None:
    """Let the event loop run for that long. A turn that is late, for lack of a processor, counts as one part."""
    for _ in range(PARTS):
        await asyncio.sleep(seconds / PARTS)


async def comes(what: Coroutine[object, object, object]) -> bool:
    """Return whether it comes while the event loop runs for a while; what does not is given up."""
    waiting = asyncio.ensure_future(what)
    await awake(0.2)
    came = waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    return came


async def at_rest(count: Callable[[], int]) -> int:
    """Wait until the count stays the same while the event loop runs on; return it."""
    seen = -1
    while seen != (now := count()):
        seen = now
        await awake(0.1)
    return seen


def block_until(condition: Callable[[], bool]) -> None:
    """Wait the same way where there is no event loop."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(PAUSE)
