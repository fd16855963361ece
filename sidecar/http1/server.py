"""The client's side: one connection, its requests one after the other.

| state     | meaning                                     | bytes that arrive           | the client is silent     |
| --------- | ------------------------------------------- | --------------------------- | ------------------------ |
| WAITING   | the story waits for the next request        | become a head, or a fault   | 408, or just closed      |
| BUSY      | a request is with the story                 | are held, within HIGH_WATER | its body's idle time-out |
| LINGERING | answered before the whole request arrived   | are thrown away, for 30 s   | closed                   |

A connection that begins with the preface of HTTP/2 is handed over, if a route uses HTTP/2. Only a first request that
begins with a P is compared with it.

A client that closes its half may still wait for its answer, or be disconnected: a FIN does not show which. It gets an
answer that begins within HALF_CLOSED seconds. After that it counts as disconnected, and its request is cancelled.
"""

import asyncio
from enum import Enum
from typing import TYPE_CHECKING

from sidecar.core.errors import MessageMalformed, RequestRefused, SidecarError
from sidecar.http1.body import UntilCloseBody, body_of
from sidecar.http1.connection import HIGH_WATER, LINGER, LINGER_BYTES, LINGER_IN_ALL, Connection, Sink
from sidecar.http1.deadlines import NEVER
from sidecar.http1.limits import MAX_HEAD
from sidecar.http1.message import REMEMBERED, Request, early_fault, parse_request

if TYPE_CHECKING:
    from sidecar.http1.shared.listener import Listener

HALF_CLOSED = 5.0
"""Limit: time until a response begins for a client that closed its half of the connection (seconds). Beyond: the
connection is closed, and the client counts as disconnected."""


class ClientState(Enum):
    """See the table at the head of this module."""

    WAITING = "waiting"
    BUSY = "busy"
    LINGERING = "lingering"


_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4
_WAITING, _BUSY, _LINGERING = ClientState  # naming an Enum's member costs a search each time


class ClientConnection(Connection):
    """One client. The story runs as its task, and is cancelled when the client disconnects."""

    __slots__ = (
        "_before",
        "_first",
        "_limits",
        "_linger_end",
        "_lingered",
        "_listener",
        "_scanned",
        "_skipped",
        "_state",
        "_task",
        "_waiter",
        "_write_backlog",
        "dismissed",
    )

    def __init__(self, listener: "Listener") -> None:
        super().__init__(listener.deadlines)
        self._listener = listener
        self._limits = listener.limits
        self.idle_timeout = listener.limits.keep_alive_timeout
        self._state = _BUSY
        self._waiter: asyncio.Future[Request | None] | None = None
        self._before: Request | None = None
        self._first, self._skipped = True, False
        self._lingered, self._linger_end = 0, NEVER
        self._scanned = self._write_backlog = 0
        self._task: asyncio.Task[None] | None = None
        self.dismissed = False
        """Whether it was cut off because the sidecar stops."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._listener.admit(self):
            self.abort()
            return
        self._task = self._loop.create_task(self._listener.story(self))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._listener.forget(self)
        task, self._task = self._task, None  # a cancelled task keeps its exception, whose frames refer to us
        if self._waiter is not None:
            self._end_waiting()
        elif task is not None and self._state is _BUSY:
            task.cancel()

    # Requests

    async def next_request(self) -> Request | None:
        """Return the next request, or None when there will be none. Raises RequestRefused."""
        if self.write_paused:
            await self.drained()
        self._state = _WAITING
        self._scanned = 0
        request = self._take_request() if self._held else None
        if request is None:
            if self.closed or self._eof:
                return None
            limits = self._limits
            patience = limits.head_timeout if self._first or self._held else limits.keep_alive_timeout
            self.deadline = self.deadlines.next_tick + patience
            if not self._reading:
                self.resume_reading()
            self._waiter = self._loop.create_future()
            request = await self._waiter
        return request

    def bytes_held(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._look_for_request(waiter)
        elif self._state is _LINGERING:
            self._discard()
        elif len(self._held) > HIGH_WATER:
            self.pause_reading()
        if self._eof and self._state is _BUSY:
            self._doubt()

    def _look_for_request(self, waiter: asyncio.Future[Request | None]) -> None:
        try:
            request = self._take_request()
        except RequestRefused as refusal:
            self._waiter = None
            waiter.set_exception(refusal)
            return
        if request is not None or self._eof:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(request)
            return
        if self._scanned == 0:
            self.deadline = self.deadlines.next_tick + self._limits.head_timeout  # this head's first byte
        self._scanned = len(self._held)

    def _end_waiting(self) -> None:
        """End the wait: there will be no further request."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _take_request(self) -> Request | None:
        """Take a head from what is held, None while there is none. Raises RequestRefused."""
        held = self._held
        if held[:2] == b"\r\n" and not self._skipped:  # RFC 9112 section 2.2: one empty line is ignored
            self._skipped = True
            self._scanned = 0
            held = self._held = held[2:]
        end = held.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0 or end > MAX_HEAD:
            fault = early_fault(held, self._scanned) if held else None
            if fault is not None:
                if self._may_be_http2(held):
                    return None
                self._state = _BUSY
                raise fault
            return None
        if self._first and held[0] == _PREFACE[0] and self._may_be_http2(held):
            return None
        self._state = _BUSY
        self._first = self._skipped = False
        self.deadline = NEVER
        end += 4
        held = bytes(held)
        self._held = held[end:]
        request = parse_request(held if end == len(held) else held[:end], self._before)
        self._listener.requests += 1
        self._before = request if len(request.block) <= REMEMBERED else None
        if request.length:
            self._body = body_of(request.length)
        return request

    def _may_be_http2(self, held: bytes | bytearray) -> bool:
        """Return whether the connection's first bytes are of HTTP/2's preface; hand it over if they are all of it."""
        take_over = self._listener.take_over
        if not self._first or take_over is None or bytes(held[:24]) != _PREFACE[: len(held)]:
            return False
        if len(held) >= len(_PREFACE):
            self._held = b""
            self.resume_reading()  # the first read may have been a large one
            self.closed = True  # for this protocol
            self.deadlines.forget(self)
            self._listener.forget(self)
            self._end_waiting()
            take_over(self._listener, self.transport, bytes(held))
        return True

    def switch(self, sink: Sink) -> None:
        """Leave HTTP: everything the client sends from now on goes to `sink`."""
        self._body = UntilCloseBody()
        self.pipe(sink)

    @property
    def reading_body(self) -> bool:
        """Whether the current request's body has not been read to its end."""
        return self._body is not None

    def _break(self, error: SidecarError) -> None:
        super()._break(RequestRefused(400, str(error)) if isinstance(error, MessageMalformed) else error)

    def broken(self, error: SidecarError) -> None:
        """The body will never be complete: the sink that it was piped into was notified and handles it."""

    def body_ended(self) -> None:
        if self._eof and self.source is None:
            self._doubt()

    def _doubt(self) -> None:
        """The client has sent its last byte and either waits for an answer or is disconnected."""
        self.deadline = self.deadlines.next_tick + HALF_CLOSED

    # Ends

    def finish(self) -> None:
        """Close after an answer; what the client still sends is thrown away first, so that no reset overtakes it."""
        self._sink = None
        if self.closed or self.transport.is_closing():
            return
        self._state = _LINGERING
        self._linger_end = self.deadlines.next_tick + LINGER_IN_ALL
        self._watch_backlog()
        if (not self._held and self._body is None) or not self.transport.can_write_eof():
            self.close()
            return
        self.transport.write_eof()
        self.resume_reading()
        self._discard()

    def _discard(self) -> None:
        self._lingered += len(self._held)
        self._held = b""
        if self._eof or self._lingered > LINGER_BYTES:
            self.close()
        elif not self._write_backlog:
            self.deadline = min(self.deadlines.next_tick + LINGER, self._linger_end)

    @property
    def busy(self) -> bool:
        """Whether a request is with the story."""
        return self._waiter is None and self._state is _BUSY

    @property
    def at_rest(self) -> bool:
        """Whether it is between two requests, and its client has read all that was written."""
        return self._waiter is not None and not self.transport.get_write_buffer_size()

    def drain(self) -> None:
        """Nothing: in HTTP/1.1 the next answer closes the connection."""

    def end(self) -> None:
        """End now: quietly at rest, else with a reset."""
        if self.at_rest:
            self._end_waiting()
        else:
            self.dismissed = True
            self.abort()

    def break_body(self, error: SidecarError) -> None:
        """An answer begun cannot be completed: the client must see that, not a clean end."""
        if not self._head:  # else nothing of it has left, and it can be taken back
            self._state = _LINGERING  # the story gets the error, not a disconnected client
            self.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_backlog()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._state is _BUSY:
            self.deadline = self.deadlines.next_tick + self.idle_timeout if self._sink is not None else NEVER

    def _watch_backlog(self) -> None:
        self._write_backlog = self.unread() if self.transport.get_write_buffer_size() else 0
        patience = self.idle_timeout if self._write_backlog else LINGER
        self.deadline = self.deadlines.next_tick + patience

    def deadline_passed(self) -> None:
        """Act on a silence; see the table at the head of this module."""
        if self._waiter is not None:
            self.deadline = NEVER
            waiter, self._waiter = self._waiter, None
            self._state = _BUSY
            if self._held:
                waiter.set_exception(RequestRefused(408, "the request's head took too long"))
            else:
                waiter.set_result(None)
        elif self.write_paused or self._state is _LINGERING:
            if not self._write_backlog:
                self.transport.abort()  # it has been sent everything, and goes on sending
            elif self.unread() >= self._write_backlog:
                self.abort()  # it has read nothing all the time
            else:
                self._watch_backlog()
        elif self._sink is not None and self._reading:
            self._break(RequestRefused(408, "the request's body stopped arriving"))
        elif self._eof and self.source is None:
            self.abort()
        else:
            self.deadline = self.deadlines.next_tick + self.idle_timeout
