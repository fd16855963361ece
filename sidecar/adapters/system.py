"""The machine's clock and its randomness, and how the process is set up for serving."""

import asyncio
import gc
import random
import resource
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial


def _elapsed() -> Callable[[], float]:
    """Seconds since some moment, counting those the machine slept through where the system can tell."""
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if boot_time is None else partial(time.clock_gettime, boot_time)


_READINGS = 5
"""Of two clocks one after the other; where the machine was elsewhere between them, the difference is too small."""


class SystemClock:
    """Durations by a clock that setting the host's clock never moves, dates by the host's clock.

    So a step of the wall clock neither ends a token that is to live an hour nor prolongs it, and a clock that was
    wrong at the start and has been set right since judges every date rightly.
    """

    def __init__(self) -> None:
        self._elapsed = _elapsed()
        self._start = max(time.time() - self._elapsed() for _ in range(_READINGS))

    def now(self) -> float:
        """Return the moment, counted from the wall time at which this clock was made."""
        return self._start + self._elapsed()

    wall = staticmethod(time.time)  # each request's log line is dated: no call more than it takes

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; other tasks run meanwhile."""
        await asyncio.sleep(seconds)


class SystemRandomness:
    """The operating system's generator for keys, a quick one for jitter."""

    def token_bytes(self, count: int) -> bytes:
        """`count` bytes fit for keys and nonces."""
        return secrets.token_bytes(count)

    def uniform(self, low: float, high: float) -> float:
        """A number from `low` to `high`; never for secrets."""
        return random.uniform(low, high)  # noqa: S311  jitter keeps no secret


def raise_descriptor_limit() -> None:
    """Open as many sockets as we may: the soft limit is often 1024, which idle clients alone can fill."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # where the system has a lower one of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT = 4 * 1024 * 1024
_MAPPED = 1024 * 1024


def keep_freed_memory() -> None:
    """Let glibc use up to 4 MiB of freed memory again before it gives them back to the kernel.

    By itself it gives back all but a few hundred KiB. A large body passes through in blocks of that size, so each
    of them came on fresh pages: over TLS they took as long as all the rest. Other C libraries have no such call.
    """
    import ctypes  # noqa: PLC0415  0.6 MiB that only a server need have

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED)


def spare_the_collector() -> None:
    """Keep the cycle collector off the requests' time.

    What exists after the start lives as long as the process: freezing it takes it out of every collection. What
    a request makes is freed by reference counts; the few cycles (failed connections, mostly) can wait, but not for
    megabytes of them. A reload makes tens of thousands of objects at once, and a collection of the middle generation
    takes up to half a millisecond for a thousand: so it comes after 30,000 of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 2, 700)
