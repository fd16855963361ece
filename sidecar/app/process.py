"""Settings of a serving process: descriptors, malloc, the cycle collector."""

import gc
import resource
from contextlib import suppress

from sidecar.core.errors import LimitReached

LEAST_DESCRIPTORS = 64
"""Number of open files below which a sidecar with a few clients and neighbours cannot serve."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one: it is often 1024, which idle clients can use up.

    Raises LimitReached if that is too low.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # if the system has a lower one of its own
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < LEAST_DESCRIPTORS:
        raise LimitReached(
            f"cannot serve: the limit of open files is {limit}; raise it to {LEAST_DESCRIPTORS} or more (ulimit -n)"
        )


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_KEPT = 4 * 1024 * 1024
_MAPPED = 1024 * 1024


def keep_freed_memory() -> None:
    """Let glibc reuse up to 4 MiB of freed memory before it returns it to the kernel.

    By itself it gives back all but a few hundred KiB. A large body passes through in blocks of that size, so each
    of them came on fresh pages: over TLS they took as long as all the rest. Other C libraries have no such call.
    """
    import ctypes  # noqa: PLC0415  0.6 MiB that only a server need have

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
        mallopt(_M_MMAP_THRESHOLD, _MAPPED)


def spare_the_collector() -> None:
    """Keep the cycle collector from delaying requests.

    What exists after the start lives as long as the process: freezing it takes it out of every collection. What
    a request makes is freed by reference counts; the few cycles (failed connections, mostly) can wait, but not for
    megabytes of them. A reload makes tens of thousands of objects at once, and a collection of the middle generation
    takes up to half a millisecond for a thousand: so it comes after 30,000 of them.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 2, 700)
