"""What a connection sends: control frames at once, bodies as far as the peer's credit and the transport allow.

Rule 1. Everything that one read causes leaves in one write for each connection that has something to send (`Outbox`).
Rule 2. A stream whose content exceeds the peer's credit waits, and is served in turn, a frame each. That happens once
        for all the credit that a read brings.
Rule 3. While the peer does not read, no content is sent, and no more than MAX_UNREAD of the rest.
Rule 4. Header blocks are written without a dynamic table; the first one announces that (RFC 7541 section 6.3).
Rule 5. The streams that this side has reset are remembered, because frames may still arrive on them.
Rule 6. Bytes that have arrived give the connection's credit back (rule 9 of `limits`).
"""

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from sidecar.http2 import frames
from sidecar.http2.frames import DEFAULT_WINDOW, ErrorCode, FrameFault
from sidecar.http2.hpack import RESET
from sidecar.http2.limits import CONNECTION_WINDOW, MAX_UNREAD, Incoming, ResetStreams, Returned, exceeds

if TYPE_CHECKING:
    from sidecar.http2.streams import Stream


class Outbox:
    """The connections of an event loop that have something to send (rule 1)."""

    __slots__ = ("_depth", "_ready", "_scheduled")

    def __init__(self) -> None:
        self._ready: list[Outgoing] = []
        self._depth = 0
        self._scheduled = False

    def begin(self) -> None:
        """Collect until `end`."""
        self._depth += 1

    def end(self) -> None:
        """Write all that was collected."""
        self._depth -= 1
        if not self._depth:
            self._flush()

    def add(self, connection: "Outgoing") -> None:
        """Note a connection that has something to send."""
        self._ready.append(connection)
        if not self._depth and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        while self._ready:
            ready, self._ready = self._ready, []
            for connection in ready:
                connection.flush()


class Outgoing(ABC):
    """See the head of this module."""

    transport: asyncio.Transport

    def __init__(self, outbox: Outbox) -> None:
        self.closed = False
        self.failed = False
        """Whether it ends, and reads nothing more."""
        self.takes_bodies = True
        """Whether the transport takes more content."""
        self.credit = DEFAULT_WINDOW
        """Bytes of content that the peer allows, all streams together."""
        self.granted = DEFAULT_WINDOW
        """All credit that the peer has given the connection so far."""
        self.credit_came = False
        """Whether the current read brought credit, so that content which waits may go at its end."""
        self._returned = Returned()
        self._returned_to_streams = Returned()
        self.initial_credit = DEFAULT_WINDOW
        self.window = Incoming(CONNECTION_WINDOW)
        self.outbox = outbox
        self._out: list[bytes] = []
        self._ended = False
        """Whether the output has ended."""
        self._first_block = True
        self._waiting: dict[Stream, None] = {}
        self.streams: dict[int, Stream] = {}
        self._reset = ResetStreams()

    @property
    def sent(self) -> int:
        """Bytes of content sent so far."""
        return self.granted - self.credit

    def put(self, data: bytes) -> None:
        """Send frames, with what else the current read causes."""
        if self.closed or self._ended:
            return
        if not self._out:
            self.outbox.add(self)
        self._out.append(data)

    def put_block(self, stream: int, block: bytes, end: bool) -> None:
        """Send a header block (rule 4)."""
        if self._first_block:
            self._first_block = False
            block = RESET + block
        self.put(frames.headers(stream, block, end))

    def flush(self) -> None:
        """Write what was put."""
        out, self._out = self._out, []
        if not out or self.closed or self._ended or self.transport.is_closing():
            return
        self.transport.write(out[0] if len(out) == 1 else b"".join(out))
        if not self.takes_bodies and self.transport.get_write_buffer_size() > MAX_UNREAD:
            self.transport.abort()

    def end_output(self) -> None:
        """Write what was put, and the end of the output; over TLS that is the end of the connection."""
        self.flush()
        if self._ended or self.closed or self.transport.is_closing():
            return
        self._ended = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """Send no content for now (rule 3)."""
        self.takes_bodies = False

    def resume_writing(self) -> None:
        """Send content again."""
        self.takes_bodies = True
        self.outbox.begin()
        self.pump()
        self.outbox.end()

    def wait_for_credit(self, stream: "Stream") -> None:
        """Note a stream whose content waits."""
        self._waiting[stream] = None

    def no_longer_waits(self, stream: "Stream") -> None:
        """Note that nothing of the stream waits."""
        self._waiting.pop(stream, None)

    def pump(self) -> None:
        """Send what waits, as far as there is credit (rule 2)."""
        moving = list(self._waiting)
        while moving:
            moving = [stream for stream in moving if stream.pump()]

    def grant(self, number: int, by: int) -> bool:
        """Take credit from the peer, for a stream or with 0 for the connection; return whether content was sent for it.

        Raises FrameFault.
        """
        if not number:
            if exceeds(self.credit, by):
                raise FrameFault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is too large")
            self.credit += by
            self.granted += by
            self.credit_came = True
            return self._returned.covers(by, self.sent)
        stream = self.streams.get(number)
        if stream is not None:
            if exceeds(stream.credit, by):
                raise FrameFault(ErrorCode.FLOW_CONTROL_ERROR, "the stream's window is too large", number)
            stream.credit += by
            self.credit_came = True
        return self._returned_to_streams.covers(by, self.sent)

    def change_initial_credit(self, size: int) -> None:
        """Take the credit with which the peer's streams begin (rule 6 of `limits`). Raises FrameFault."""
        by = size - self.initial_credit
        self.initial_credit = size
        for stream in self.streams.values():
            if exceeds(stream.credit, by):
                raise FrameFault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window is too large")
            stream.credit += by
        self.credit_came = True

    def return_credit(self, size: int) -> None:
        """Return the connection's credit for content that has arrived (rule 6)."""
        credit = self.window.taken(size) if size else 0
        if credit:
            self.put(frames.window_update(0, credit))

    # Streams

    def forget(self, stream: "Stream") -> None:
        """Note that a stream has ended."""
        if self.streams.pop(stream.number, None) is not None:
            self.stream_ended()

    def note_reset(self, number: int) -> None:
        """Remember a stream that this side reset, because frames of the peer may still arrive on it."""
        self._reset.add(number)

    def was_reset(self, number: int) -> bool:
        """Return whether the stream is not open, and this side reset it or may have done so."""
        return number not in self.streams and self._reset.may_have(number)

    def lose_streams(self, why: str) -> None:
        """End all streams."""
        for stream in tuple(self.streams.values()):
            stream.give_up()
            stream.lost(why)

    @abstractmethod
    def stream_ended(self) -> None:
        """A stream has ended."""
