"""One connection to the admin server: its one request, and how it ends.

The connections of `http1` carry one request after another, and are compiled to be fast. An admin connection ends after
its answer, and has a time limit.
"""

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

from sidecar.admin.messages import Answer, Head, problem, read_head
from sidecar.core.errors import MessageMalformed, RequestRefused
from sidecar.http1.message import early_fault, judge_request

MAX_HEAD = 32 * 1024
"""Limit: head of a request to the admin server (bytes). Beyond: 431."""
_HELD = 64 * 1024
"""Bytes of a body that are kept until the handler reads them. Beyond, the connection reads no more."""
_DROPPED = 1024 * 1024
"""Bytes that a client may send after the answer. They are dropped, so that no reset overtakes the answer."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

Handler = Callable[["Connection", Head], Awaitable[Answer | None]]
"""Answers a request. Returns None if it has written the answer itself. Raises nothing."""
Connections = dict["Connection", None]
"""All open connections, the oldest first."""


class Connection(asyncio.Protocol):
    """One admin connection, which is cut off at its time limit."""

    def __init__(self, handler: Handler, lifetime: float, others: Connections) -> None:
        self._handler = handler
        self._others = others
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._end: asyncio.TimerHandle | None = self._loop.call_later(lifetime, self.cut)
        self._held = bytearray()
        self._scanned = 0
        self._head: Head | None = None
        self._body: asyncio.Future[bytes] | None = None
        self._wanted = 0
        self._eof = False
        self._dropped: int | None = None
        """How many bytes arrived after the answer; None before it."""
        self.answering: asyncio.Task[None] | None = None
        """The task in which the handler answers the request."""
        others[self] = None  # now, because many may be accepted before the first is made

    # Events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self not in self._others:  # cut off since it was accepted
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._eof = True
        self.stay()
        self._others.pop(self, None)
        self._break_body()

    def data_received(self, data: bytes) -> None:
        if self._dropped is not None:
            self._drop(len(data))
            return
        self._held += data
        if self._head is None:
            self._look_for_head()
        elif self._body is not None:
            self._look_for_body()
        if len(self._held) > _HELD and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Keep the other half open for an answer that is due. Live events never end, so they end with the client."""
        self._eof = True
        self._break_body()
        return self.answering is not None and not self.stays

    # The request

    def _look_for_head(self) -> None:
        try:
            head = complete_head(self._held, self._scanned)
            self._scanned = len(self._held)
            self._head = read_head(head) if head else None
        except RequestRefused as fault:  # not named: a parser's words reveal the software
            self.answer(problem(fault.status))
            return
        if self._head is not None:
            del self._held[: len(head)]
            self.answering = self._loop.create_task(self._answer(self._head))

    async def _answer(self, head: Head) -> None:
        try:
            answer = await self._handler(self, head)
            if answer is None:
                self.close()
            else:
                self.answer(answer)
        finally:
            self.answering = None

    async def read_body(self, length: int) -> bytes:
        """Return the first `length` bytes of the body. Raises RequestRefused if the client sends fewer."""
        self._body = self._loop.create_future()
        self._wanted = length
        self._look_for_body()
        if self._eof:
            self._break_body()
        elif not self._body.done() and self._head is not None and self._head.waits:
            with suppress(ConnectionError):  # which `connection_lost` reports
                self.write(_CONTINUE)
        return await self._body

    def _look_for_body(self) -> None:
        if self._body is not None and not self._body.done() and len(self._held) >= self._wanted:
            self._body.set_result(bytes(self._held[: self._wanted]))

    def _break_body(self) -> None:
        if self._body is not None and not self._body.done():
            self._body.set_exception(RequestRefused(400, "the body is shorter than its Content-Length"))

    # The answer

    def answer(self, answer: Answer) -> None:
        """Send the answer, then close. Until then, bytes of the client are dropped, so that no reset overtakes it."""
        if self._transport is None or self._transport.is_closing() or self._dropped is not None:
            return
        self._transport.write(answer.encoded(self._head.method if self._head else ""))
        unread = self._head is None or (self._head.has_body and self._body is None)
        self._dropped = 0
        if unread and not self._eof and self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
            self._drop(len(self._held))
        else:
            self._transport.close()
        self._held.clear()

    def _drop(self, size: int) -> None:
        self._dropped = (self._dropped or 0) + size
        if self._dropped > _DROPPED:
            self.close()

    def write(self, data: bytes) -> None:
        """Send a part of an answer. Raises ConnectionError once the client is disconnected, or sends no more."""
        if self._eof or self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the client is disconnected")
        self._transport.write(data)

    # Ends

    @property
    def stays(self) -> bool:
        """Whether the connection has no time limit."""
        return self._end is None

    def stay(self) -> None:
        """Do not cut it off: the writer limits its time from now on."""
        if self._end is not None:
            self._end.cancel()
            self._end = None

    def untaken(self) -> int:
        """Return how many bytes the peer has not read: those in our buffer and in the kernel's."""
        if self._transport is None:
            return 0
        return self._transport.get_write_buffer_size() + _in_kernel(self._transport.get_extra_info("socket"))

    def close(self) -> None:
        """End it once everything written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """End it at once."""
        self.stay()
        self._others.pop(self, None)
        if self._transport is not None:
            self._transport.abort()


def complete_head(held: bytearray, scanned: int) -> bytes:
    """Return the head with its empty line, or no bytes while it is incomplete. Raises RequestRefused.

    An earlier call found no fault in the first `scanned` bytes.
    """
    end = held.find(b"\r\n\r\n", max(0, scanned - 3))
    if (len(held) if end < 0 else end) > MAX_HEAD:
        raise RequestRefused(431, f"the head is longer than {MAX_HEAD} bytes")
    head = bytes(held) if end < 0 else bytes(held[: end + 4])
    fault = early_fault(head, scanned)
    if fault is not None:
        raise fault
    if end < 0:
        return b""
    try:
        judge_request(head)
    except MessageMalformed as error:
        raise RequestRefused(400, str(error)) from None
    return head


def _in_kernel(peer: socket.socket) -> int:
    """Return how many bytes sent are not acknowledged; on a Unix socket, how many are not read."""
    try:
        answer = fcntl.ioctl(peer.fileno(), termios.TIOCOUTQ, bytes(struct.calcsize("i")))
    except OSError:  # unknown on this system, or the connection has ended
        return 0
    (count,) = struct.unpack("i", answer)
    return int(count)
