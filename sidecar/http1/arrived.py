"""Unread bytes of a connection: those before it is used again, and those before a write on it failed.

An upstream may answer a request's head and close while the body is still being sent. What reaches it after that is
answered with a reset: our next write fails, and the event loop closes the connection without another read. Reading
before each write does not help, because the answer and the reset may arrive between the two.

Linux keeps what arrived before a reset until it is read. The event loop closes a socket only after it has called
`connection_lost`, so that is where it is read.
"""

import os
import select
from asyncio import BaseTransport
from collections.abc import Callable
from functools import partial

MOST = 1024 * 1024
"""They are handed on at once, also to a slow reader. Limit: unread response of an upstream that closed its
connection during an upload (bytes). Beyond: the response is cut off."""
_BLOCK = 64 * 1024


def read_arrived(transport: BaseTransport, take: Callable[[bytes], None]) -> bool:
    """Hand on what the kernel still holds for this transport; return whether all of it was read."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return False
    for _ in range(MOST // _BLOCK):
        try:
            data = os.read(sock.fileno(), _BLOCK)
        except OSError:
            return False
        if not data:
            return True
        take(data)
    return False


def arrivals(transport: BaseTransport) -> Callable[[], object]:
    """Return a call whose result is true if bytes, or their end, lie unread in the kernel.

    Over TLS they are still encrypted, and may be of TLS itself; servers send little of that, and hardly ever late.
    """
    poll = select.poll()
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        poll.register(sock.fileno(), select.POLLIN)
    return partial(poll.poll, 0)
