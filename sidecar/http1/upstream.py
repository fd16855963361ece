"""The upstream's side: one connection, one exchange at a time.

| state    | meaning                                | bytes that arrive           | the upstream closes      |
| -------- | -------------------------------------- | --------------------------- | ------------------------ |
| IDLE     | in its pool                            | unexpected: close           | close                    |
| AWAITING | the request is sent                    | become a head               | no answer, or half a head|
| HELD     | the answer's head is with the story    | are held, within HIGH_WATER | remembered               |
| PIPING   | the answer's body flows to the client  | go to the client            | the end, or truncation   |
| DONE     | the answer is complete                 | unexpected: close           | not used again           |
| PARTING  | it closes after what was written       | are thrown away             | closed                   |

Silence counts where it is the upstream's: AWAITING its answer to a request that is sent, or PIPING a body that the
client takes, it raises UpstreamTimeout. In its pool a connection is closed after a while; PARTING it is cut off.

An answer may come while the request's body is still being sent: sending and reading do not wait for each other. When
a write fails because the upstream has closed, what it sent before that is read first (see `arrived`).
"""

import asyncio
from collections.abc import Callable
from enum import Enum

from sidecar.core.errors import MessageMalformed, SidecarError, UpstreamTimeout, UpstreamUnreachable
from sidecar.http1.arrived import read_arrived
from sidecar.http1.body import body_of
from sidecar.http1.connection import HIGH_WATER, LINGER, Connection, Sink
from sidecar.http1.deadlines import NEVER, Deadlines
from sidecar.http1.foreign import check_beginning, cut_off, unasked
from sidecar.http1.limits import MAX_HEAD
from sidecar.http1.message import REMEMBERED, Response, parse_response

_MAX_INTERIM = 16


class UpstreamState(Enum):
    """See the table at the head of this module."""

    IDLE = "idle"
    AWAITING = "awaiting"
    HELD = "held"
    PIPING = "piping"
    DONE = "done"
    PARTING = "parting"


# Naming an Enum's member costs a search each time.
_IDLE, _AWAITING, _HELD, _PIPING, _DONE, _PARTING = UpstreamState


class UpstreamConnection(Connection):
    """One connection to an origin."""

    __slots__ = (
        "_answer",
        "_before",
        "_end_of_answer",
        "_interim",
        "_interims",
        "_keep_alive",
        "_length",
        "_method",
        "_on_leaving",
        "_scanned",
        "_sending",
        "_state",
        "_unread_before",
        "asked",
        "fault",
        "heard",
        "offered",
        "owner",
        "unread_arrivals",
        "used",
        "waited_for",
    )

    unread_arrivals: Callable[[], object]

    def __init__(self, deadlines: Deadlines, on_leaving: Callable[["UpstreamConnection"], None]) -> None:
        """Call `on_leaving` when it begins to part, and when it is closed."""
        super().__init__(deadlines)
        self._on_leaving = on_leaving
        self._state = _IDLE
        self._method = b""
        self._interim: Callable[[Response], None] | None = None
        self._interims = 0
        self._before: Response | None = None
        self._scanned = 0
        self._sending = False
        self._keep_alive = False
        self._length = 0
        self._answer: asyncio.Future[Response] | None = None
        self._end_of_answer: asyncio.Future[None] | None = None
        self.fault: SidecarError | None = None
        self._unread_before = 0
        self.owner = ""
        """The owner that may reuse it; "" for any request whose connections are not isolated."""
        self.used = False
        """Whether it has carried an exchange before."""
        self.asked = False
        """Whether the current request has begun to leave, as far as is known before its answer; for one with a body."""
        self.heard = False
        """Whether a byte of the current answer has arrived."""
        self.offered = False
        """Whether the upstream may switch to WebSocket."""
        self.waited_for = False
        """Whether the client sends no body before the upstream requests it (`Expect: 100-continue`)."""

    # Sending

    def send(
        self, head: bytes, method: bytes, body_length: int, interim: Callable[[Response], None]
    ) -> asyncio.Future[Response]:
        """Begin an exchange; the future is the final answer's head. `interim` is called with each 1xx answer.

        The future raises UpstreamUnreachable, UpstreamTimeout, MessageMalformed, or what broke the request's body.
        """
        self._state = _AWAITING
        self._method = method
        self._interim = interim
        self._interims = 0
        self._scanned = 0
        self.heard = self.offered = self.waited_for = self.asked = False
        self.deadline = self.deadlines.next_tick + self.idle_timeout
        self._answer = answer = self._loop.create_future()
        if body_length:
            self._sending = True
            self.begin(head, body_length)
        else:
            self.body_bytes = 0
            self.write(head)
        if self.closed or self.fault is not None:
            self._fail(UpstreamUnreachable("the upstream closed the connection"))
        return answer

    def write_body(self, pieces: list[bytes]) -> None:
        super().write_body(pieces)
        self.waited_for = False
        if self._state is _AWAITING or self._state is _PIPING:
            self.deadline = self.deadlines.next_tick + self.idle_timeout

    def end_body(self, trailers: list[bytes]) -> None:
        super().end_body(trailers)
        self._sending = False
        self.source = None
        if self._state is _AWAITING:
            self.deadline = self.deadlines.next_tick + self.idle_timeout

    def break_body(self, error: SidecarError) -> None:
        """The client's body broke off: the upstream must see that, not a clean end."""
        self.broken(error)

    # Receiving

    def bytes_held(self) -> None:
        if self._state is _AWAITING:
            try:
                self._take_answer()
            except MessageMalformed as error:
                self.broken(error)
                return
            if self._eof and self._state is _AWAITING:
                self.broken(cut_off(self._held, "the upstream closed the connection"))
        elif self._state is _HELD:
            if len(self._held) > HIGH_WATER:
                self.pause_reading()
        elif self._state is _PARTING:
            self._held = b""
        elif self._state is _IDLE:
            self.part()
            if not self.used:  # an exchange may be about to begin on it
                self.fault = unasked(bytes(self._held))
        else:
            self.close()

    def _take_answer(self) -> None:
        while held := self._held:
            self.heard = True
            end = held.find(b"\r\n\r\n", self._scanned)
            if end < 0 or end > MAX_HEAD:
                if len(held) > MAX_HEAD:
                    raise MessageMalformed(f"the answer's head is longer than {MAX_HEAD} bytes")
                check_beginning(held, self._scanned)
                self._scanned = max(0, len(held) - 3)
                return
            end += 4
            held = bytes(held)
            self._held = held[end:]
            response = parse_response(held[:end], self._method, self._before)
            self._before = response if end <= REMEMBERED else None
            self._scanned = 0
            if response.status >= 200 or (response.status == 101 and self.offered):
                self._accept(response)
                return
            self._relay_interim(response)

    def _relay_interim(self, response: Response) -> None:
        self._interims += 1
        if response.status == 101 or self._interims > _MAX_INTERIM:
            raise MessageMalformed(f"the upstream answered {response.status} as it must not")
        self.deadline = self.deadlines.next_tick + self.idle_timeout
        if self._interim is not None:
            self._interim(response)

    def _accept(self, response: Response) -> None:
        self._keep_alive = response.keep_alive
        self._length = response.length
        self._state = _HELD if response.length else _DONE
        self.deadline = NEVER
        answer = self._answer
        if answer is not None and not answer.done():
            answer.set_result(response)

    def whole_body(self) -> bytes | None:
        """Return the answer's body if all of it has arrived, as is nearly always so; the answer is then complete."""
        if self._state is _HELD and self._length == len(self._held):
            body, self._held = self._held, b""
            self._state = _DONE
            return bytes(body)
        return b"" if self._state is _DONE else None

    def pipe(self, sink: Sink) -> None:
        """Let the answer's body flow to the client."""
        self._state = _PIPING
        self._body = body_of(self._length)
        super().pipe(sink)
        if self.closed and self._state is _PIPING:
            self._break(MessageMalformed("the connection was lost in the middle of a body"))

    async def finished(self) -> None:
        """Wait until the answer's body has flowed to its end. Raises what broke it."""
        if self._state is _PIPING and self.fault is None:
            self._end_of_answer = self._loop.create_future()
            await self._end_of_answer
        if self.fault is not None:
            raise self.fault

    def body_ended(self) -> None:
        self._state = _DONE
        if self._end_of_answer is not None and not self._end_of_answer.done():
            self._end_of_answer.set_result(None)

    def broken(self, error: SidecarError) -> None:
        self._fail(error)
        self.abort()

    def _fail(self, error: SidecarError) -> None:
        if self.fault is None:
            self.fault = error
        for waiting in (self._answer, self._end_of_answer):
            if waiting is not None and not waiting.done():
                waiting.set_exception(self.fault)

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError) and self.answering:
            self._read_arrived(exc)
        super().connection_lost(exc)
        if self._state is _AWAITING:
            self._fail(cut_off(self._held, "the connection to the upstream was lost", exc))
        self._on_leaving(self)

    @property
    def answering(self) -> bool:
        """Whether what has arrived can belong to an answer.

        It cannot on a used connection to which the request could not be written: an upstream may close an idle
        connection with a 408 of its own.
        """
        state = self._state
        return state is _HELD or state is _PIPING or (state is _AWAITING and (self.asked or not self.used))

    def _read_arrived(self, error: OSError) -> None:
        """Take the rest of what arrived before a write failed: it may be the answer.

        The error of the write shows whether the upstream had ended its output, which reading no longer shows: EPIPE if
        so, ECONNRESET if not.
        """
        self.read_to_the_end()
        if read_arrived(self.transport, self.data_received) and isinstance(error, BrokenPipeError):
            self.eof_received()

    def deadline_passed(self) -> None:
        """Act on a silence: fail if it is the upstream's turn; while the client has to act, wait on."""
        if self._state is _IDLE:
            self.part()
        elif self._state is _PARTING:
            if not self._unread_before:
                self.transport.abort()
            elif self.unread() >= self._unread_before:
                self.abort()
            else:
                self._watch_last_word()
        elif self._state is _AWAITING and (not self._sending or self.write_paused or self.waited_for):
            self.broken(UpstreamTimeout("the upstream did not answer in time"))
        elif self._state is _PIPING and self._reading:
            self._break(UpstreamTimeout("the upstream stopped in the middle of its answer"))
        else:
            self.deadline = self.deadlines.next_tick + self.idle_timeout

    # Between exchanges

    def part(self) -> None:
        """End for good: with a close when everything was sent and read, else with a reset."""
        if self._state in (_IDLE, _DONE) and not self._sending and not self.transport.get_write_buffer_size():
            self.take_leave()
        elif self._state is not _PARTING:
            self.abort()
        # An error holds the frames it came through, and they hold us: without this, a failed exchange is garbage
        # that only a collection finds.
        self.fault = self._answer = self._end_of_answer = None

    def take_leave(self) -> None:
        """Close after what was written; a peer that has read it, but does not answer a TLS end, has LINGER seconds."""
        self._state = _PARTING
        self._sink = None
        self._watch_last_word()
        self.close()
        self._on_leaving(self)

    def _watch_last_word(self) -> None:
        self._unread_before = self.unread()
        self.deadline = self.deadlines.next_tick + (self.idle_timeout if self._unread_before else LINGER)

    def discard(self) -> None:
        """Throw away an answer whose body is not needed; if it has arrived whole, the connection stays usable."""
        if self._state is _HELD:
            try:
                _, rest = body_of(self._length).feed(bytes(self._held))
            except MessageMalformed:
                return
            if rest is not None:
                self._held = rest
                self._state = _DONE

    def rest(self, until: float) -> bool:
        """Get ready for another exchange, idle until then; False when this connection cannot carry one."""
        unused = self._state is _IDLE
        if not unused and (self._state is not _DONE or not self._keep_alive or self._sending):
            return False
        if self._held or self._eof or self.closed or self.fault is not None or self.transport.is_closing():
            return False
        if self.body_bytes > HIGH_WATER and self.unconfirmed():
            return False  # the upstream has answered without reading what it was sent
        self._state = _IDLE
        self._answer = self._end_of_answer = None
        self.used = self.used or not unused
        self.deadline = until
        if not self._reading:
            self.resume_reading()
        return True
