"""The body of a request to the token API: read whole, within a bound."""

import asyncio

from sidecar.core.errors import RequestRefused, SidecarError
from sidecar.http1.message import Request
from sidecar.http1.server import ClientConnection
from sidecar.token_api.reports import MAX_REPORT

BODY_TIMEOUT = 10.0
"""Limit: time between two parts of the body of a reported refusal (seconds). Beyond: 408."""


class _Whole:
    """The sink of a body."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self.ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @property
    def write_paused(self) -> bool:
        return False

    def write_body(self, pieces: list[bytes]) -> None:
        self._size += sum(map(len, pieces))
        if self._size > MAX_REPORT:
            self._pieces.clear()
            self.break_body(RequestRefused(400, f"the body is longer than {MAX_REPORT} bytes"))
            return
        self._pieces += pieces

    def end_body(self, trailers: list[bytes]) -> None:
        if not self.ended.done():
            self.ended.set_result(b"".join(self._pieces))

    def break_body(self, error: SidecarError) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)


async def read_body(client: ClientConnection, request: Request) -> bytes:
    """Return the request's whole body. Raises RequestRefused."""
    if not request.length:
        return b""
    whole = _Whole()
    client.idle_timeout = BODY_TIMEOUT
    if b"expect" in request.notes and not request.http10:
        client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.pipe(whole)
    return await whole.ended
