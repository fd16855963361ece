"""A bound on the heads of answers that the standard library reads, for boto3 and requests too, which use it.

`http.client` reads on for as long as a server sends `100 Continue`, and a time-out is only one for each read. The
thread that waits for such an answer never ends, even if its result is no longer needed.
"""

import io
import socket
import time
from http.client import HTTPConnection, HTTPException, HTTPResponse

MOST = 128 << 10
"""Bytes that are read until the final answer's head has ended."""
READS = 2
"""Limit for all heads together, as a multiple of the time-out of a single read."""


def bound() -> None:
    """Bound the heads of all answers that `http.client` reads in this process from now on."""
    HTTPConnection.response_class = _Response


class _Heads(io.RawIOBase):
    """The bytes that a server sends; raises HTTPException for heads that are too long, TimeoutError for slow ones."""

    def __init__(self, raw: io.RawIOBase, seconds: float | None) -> None:
        self._raw = raw
        self._left = MOST
        self._end = None if seconds is None else time.monotonic() + READS * seconds
        self.over = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int | None:  # type: ignore[override]  # the buffer of BufferedReader
        count = self._raw.readinto(buffer)
        if not self.over:
            self._left -= count or 0
            if self._left < 0:
                raise HTTPException(f"its heads are longer than {MOST} bytes")
            if self._end is not None and time.monotonic() > self._end:
                raise TimeoutError
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(
        self, sock: socket.socket, debuglevel: int = 0, method: str | None = None, url: str | None = None
    ) -> None:
        super().__init__(sock, debuglevel, method, url)
        self._heads = _Heads(self.fp.detach(), sock.gettimeout())
        self.fp = io.BufferedReader(self._heads)

    def begin(self) -> None:
        super().begin()
        self._heads.over = True
