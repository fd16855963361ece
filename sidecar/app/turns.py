"""Long work that yields to requests: in turns on the event loop, with pauses in a thread beside it.

Python runs one thread at a time. A busy thread beside the event loop makes each callback of the loop wait for the
interpreter again, and a request is several callbacks. So such a thread pauses most of the time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

TURN = 0.002
"""Seconds of the event loop after which other tasks run."""
WORK = 0.001
"""Seconds after which a thread pauses."""
REST = 0.002

_Item = TypeVar("_Item")


async def turns(items: Iterable[_Item]) -> AsyncIterator[_Item]:
    """Pass the items on, and let other tasks run whenever a turn is over."""
    end = time.perf_counter() + TURN
    for item in items:
        yield item
        if time.perf_counter() >= end:
            await asyncio.sleep(0)
            end = time.perf_counter() + TURN


async def in_turns(steps: Iterable[object]) -> None:
    """Take all steps, and let other tasks run whenever a turn is over."""
    async for _ in turns(steps):
        pass


class Pauses:
    """Called often by a thread beside the event loop; pauses it at intervals."""

    def __init__(self) -> None:
        self._due = time.perf_counter() + WORK

    def __call__(self) -> None:
        """Return at once, or after REST seconds if enough work has been done since the last pause."""
        if time.perf_counter() >= self._due:
            time.sleep(REST)
            self._due = time.perf_counter() + WORK


def without_pauses() -> None:
    """Replace Pauses if nothing runs beside the work."""
