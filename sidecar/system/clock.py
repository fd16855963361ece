"""The machine's clock and its randomness."""

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from functools import partial


def _elapsed() -> Callable[[], float]:
    """Return the seconds since some moment, including time in which the machine slept if the system counts it."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if boot_time is None else partial(time.clock_gettime, boot_time)


_READINGS = 5
"""Difference of two clocks read one after the other; too small if the process was interrupted between them."""


class SystemClock:
    """Durations by a clock that never changes when the host's clock is set, dates by the host's clock.

    So a step of the wall clock neither ends a token that is to live an hour nor prolongs it, and a clock that was
    wrong at the start and has been set right since judges every date rightly.
    """

    def __init__(self) -> None:
        self._elapsed = _elapsed()
        self._start = max(time.time() - self._elapsed() for _ in range(_READINGS))

    def now(self) -> float:
        """Return the moment, counted from the wall time at which this clock was made."""
        return self._start + self._elapsed()

    wall = staticmethod(time.time)  # called for each request's log line: no further call

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; other tasks run meanwhile."""
        await asyncio.sleep(seconds)


class SystemRandomness:
    """The operating system's generator for keys, a quick one for jitter."""

    def token_bytes(self, count: int) -> bytes:
        """Return `count` bytes fit for keys and nonces."""
        return secrets.token_bytes(count)

    def uniform(self, low: float, high: float) -> float:
        """Return a number from `low` to `high`; never for secrets."""
        return random.uniform(low, high)  # noqa: S311  jitter keeps no secret
