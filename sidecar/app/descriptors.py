"""How many file descriptors clients may use, and the event for a shortage of them.

Clients that only connect could otherwise use up those that the admin port needs to answer the kubelet, and those of
connections to upstreams, Redis and authorization servers. So some are reserved; of the rest, clients of the data port
have two thirds, and connections to upstreams, which fewer clients need at the same moment, one third.
"""

import errno
import os
import resource
from collections.abc import Callable
from dataclasses import replace

from sidecar.core.ports import Clock
from sidecar.http1.limits import ServerLimits
from sidecar.telemetry.events import OutOfDescriptors
from sidecar.telemetry.ports import Journal

KEPT = 128
"""Reserved for the admin port, Redis, authorization servers, AWS, files and the log; half of a low limit."""
LOOK_EVERY = 1.0
TELL_EVERY = 60.0


def limit() -> int:
    """Return how many descriptors the process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft


def for_clients(limits: ServerLimits, descriptors: int) -> ServerLimits:
    """Return the limits with at most as many connections of clients as these descriptors allow."""
    if descriptors == resource.RLIM_INFINITY:
        return limits
    room = (descriptors - min(KEPT, descriptors // 2)) * 2 // 3
    return replace(limits, max_connections=max(1, min(limits.max_connections, room)))


async def watch(clock: Clock, journal: Journal, refused: Callable[[], int]) -> None:
    """Check until cancelled whether clients are closed for lack of descriptors; emit an event, once a minute at most.

    `refused` counts those that were closed because other clients use all descriptors for clients. Without any
    descriptor left, the event loop accepts new clients only to close them, silently.
    """
    seen = 0
    while True:
        await clock.sleep(LOOK_EVERY)
        if refused() == seen and _one_is_free():
            continue
        journal.tell(
            OutOfDescriptors(limit(), "raise the limit (ulimit -n), or lower the routes' max_connections")
        )
        await clock.sleep(TELL_EVERY - LOOK_EVERY)
        seen = refused()


def _one_is_free() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    return True
