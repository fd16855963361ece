"""One connection: the frames that arrive, and what concerns all streams. Both sides share it. `outgoing` sends.

Rule 1. Frames are read one after the other from what a read brought; the rest of a frame waits for the next read.
Rule 2. The peer's first frame is SETTINGS: else PROTOCOL_ERROR.
Rule 3. A header block is joined from its frames, within MAX_BLOCK and MAX_CONTINUATIONS; nothing may come between.
        Every block is decoded, also that of a stream that has ended, because the decoder's table depends on it.
Rule 4. A fault of a stream resets it, once; a fault of the connection ends it with GOAWAY, after which nothing is read.
        A stream that was never opened cannot be reset (RFC 9113 section 5.1), so its fault is the connection's.
Rule 5. A frame on a stream that was never opened is PROTOCOL_ERROR. On a stream that this side reset, frames that the
        peer sent before it knew are ignored. On one that has ended, DATA and HEADERS are STREAM_CLOSED.
Rule 6. All of DATA counts for the connection's window, also where it is thrown away.
Rule 7. SETTINGS and PING are acknowledged in their turn, before anything that a later frame causes.
Rule 8. Allowances (rule 3 of `limits`) are of the connection: resets, SETTINGS, and frames that bring nothing. An
        upstream may reset every stream of the sidecar's: some do so after early answers (RFC 9113 section 8.1). Late
        frames without content on a stream that has ended count too, beyond UNDER_WAY for each reset.
"""

import asyncio
from abc import abstractmethod
from typing import cast

from sidecar.http1.connection import HIGH_WATER, LINGER, LOW_WATER
from sidecar.http1.deadlines import NEVER, Deadlines
from sidecar.http1.limits import MAX_HEAD
from sidecar.http2 import frames, limits
from sidecar.http2.fields import Block
from sidecar.http2.frames import DEFAULT_WINDOW, ErrorCode, FrameFault
from sidecar.http2.hpack import Decoder, HeadersTooLarge
from sidecar.http2.limits import MAX_BLOCK, MAX_CONTINUATIONS, Allowance
from sidecar.http2.outgoing import Outbox, Outgoing

_OURS = [(frames.INITIAL_WINDOW_SIZE, limits.STREAM_WINDOW), (frames.MAX_HEADER_LIST_SIZE, MAX_HEAD)]


class Connection(Outgoing):
    """See the head of this module. An asyncio protocol, without its base class, which would cost time when compiled."""

    def __init__(self, deadlines: Deadlines, outbox: Outbox) -> None:
        super().__init__(outbox)
        self.deadlines = deadlines
        self.deadline = NEVER
        self.idle_until = NEVER
        """When a connection without streams has been idle for too long."""
        self.last_stream = 0
        """The highest stream that the peer of a server, or a client itself, has opened."""
        self._held = b""
        self._decoder = Decoder(max_list=MAX_HEAD)
        self._block: list[bytes] | None = None
        """The fragments of a header block that goes on."""
        self._block_stream = 0
        self.block_ends_stream = False
        self._block_until = NEVER
        self.greeted = False
        """Whether the peer's first SETTINGS have arrived."""
        self._resets = Allowance(limits.MOST_RESETS)
        self._settings = Allowance(limits.MOST_SETTINGS)
        self._idle_frames = Allowance(limits.MOST_IDLE_FRAMES)
        self._sent_before = 0
        """Bytes of content that were sent before the last idle frame."""

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        self.deadlines.watch(self)
        self.deadline = self.deadlines.next_tick
        self.put(self.greeting(_OURS) + frames.window_update(0, limits.CONNECTION_WINDOW - DEFAULT_WINDOW))

    def connection_lost(self, exc: Exception | None) -> None:
        """End all streams."""
        self.closed = True
        self.deadlines.forget(self)
        self.outbox.begin()
        self.lose_streams("the connection was lost")
        self.outbox.end()

    def eof_received(self) -> None:
        """Let the transport close: HTTP/2 has no half-closed connections."""

    def data_received(self, data: bytes) -> None:
        """Read frames."""
        self.outbox.begin()
        try:
            self._read(self._held + data if self._held else data)
        except FrameFault as fault:
            self.fail(fault.code, fault.text)
        finally:
            self.outbox.end()

    # Reading

    def _read(self, data: bytes) -> None:
        at, end = 0, len(data)
        while end - at >= frames.HEAD and not self.failed:
            length = int.from_bytes(data[at : at + 3], "big")
            kind, flags = data[at + 3], data[at + 4]
            number = int.from_bytes(data[at + 5 : at + 9], "big") & frames.MAX_STREAM
            after = at + frames.HEAD + length
            if after > end and length <= frames.MIN_MAX_FRAME:
                break
            try:
                frames.check(kind, flags, number, length)
                self._frame(kind, flags, number, data[at + frames.HEAD : after])
            except FrameFault as fault:
                if not fault.stream:
                    raise
                self._stream_fault(fault)
            at = after
        self._held = b"" if self.failed else data[at:]
        if self.credit_came:
            self.credit_came = False
            self.pump()

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if not self.greeted and (kind != frames.SETTINGS or flags & frames.ACK):
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, "the first frame must be SETTINGS")
        if self._block is not None and (kind != frames.CONTINUATION or number != self._block_stream):
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, "a frame interrupts a header block")
        if kind == frames.DATA:
            self._data(flags, number, payload)
        elif kind == frames.HEADERS:
            start, end = frames.header_fragment(payload, flags, number)
            self._block_stream = number
            self.block_ends_stream = bool(flags & frames.END_STREAM)
            self._fragment(payload[start:end], flags, [])
        elif kind == frames.WINDOW_UPDATE:
            self._window_update(number, frames.read_increment(payload, number))
        elif kind == frames.CONTINUATION:
            if self._block is None:
                raise FrameFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without a header block")
            self._fragment(payload, flags, self._block)
        elif kind == frames.RST_STREAM:
            self._rst_stream(number, int.from_bytes(payload, "big"))
        else:
            self._control(kind, flags, number, payload)

    def _control(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == frames.SETTINGS:
            self._read_settings(flags, payload)
            return
        self._spend_idle()
        if kind == frames.PING:
            self._ping(flags, payload)
        elif kind == frames.GOAWAY:
            self.goaway_arrived(*frames.read_goaway(payload))
        elif kind == frames.PRIORITY:
            frames.check_priority(payload, 0, number)

    def _spend(self, allowance: Allowance, what: str) -> None:
        """Take one of an allowance. Raises FrameFault (rule 8)."""
        if not allowance.spend(self.deadlines.next_tick):
            raise FrameFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")

    def _spend_idle(self) -> None:
        sent = self.sent
        self._idle_frames.earned -= (self._sent_before - sent) // frames.MIN_MAX_FRAME  # rounded up
        self._sent_before = sent
        self._spend(self._idle_frames, "frames without effect")

    def ignore_block(self) -> None:
        """Count a header block on a stream that this side has reset: it is no progress. Raises FrameFault (rule 8)."""
        self._idle_frames.earned -= 1
        if not self._reset.expect():
            self._spend_idle()

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        if not self.window.arrive(size):
            raise FrameFault(ErrorCode.FLOW_CONTROL_ERROR, "DATA exceeds the connection's window")
        self.return_credit(size)
        start, stop = frames.padded(payload, flags)
        stream = self.streams.get(number)
        if stream is None or stream.remote_ended:
            self._no_stream(number)
            if start == stop and not self._reset.expect():
                self._spend_idle()
            return
        if not stream.window.arrive(size):
            raise FrameFault(ErrorCode.FLOW_CONTROL_ERROR, "DATA exceeds the stream's window", number)
        end = bool(flags & frames.END_STREAM)
        if stop - start < size:
            stream.untaken += size - (stop - start)
            stream.taken(size - (stop - start))  # padding
            payload = payload[start:stop]
        if payload:
            self._idle_frames.earned += 1
        elif not end:
            self._spend_idle()
            return
        stream.arrive(payload, end=end)

    def _no_stream(self, number: int) -> None:
        """Treat DATA on a stream that is not open (rule 5). Raises FrameFault."""
        self._check_opened(number, frames.DATA)
        if not self.was_reset(number):
            raise FrameFault(ErrorCode.STREAM_CLOSED, "DATA on a stream that has ended", number)

    def _check_opened(self, number: int, kind: int) -> None:
        if self.never_opened(number):
            raise FrameFault(
                ErrorCode.PROTOCOL_ERROR, f"{frames.NAMES[kind]} on a stream that was never opened"
            )

    def _fragment(self, fragment: bytes, flags: int, before: list[bytes]) -> None:
        before.append(fragment)
        if len(before) > MAX_CONTINUATIONS + 1 or sum(map(len, before)) > MAX_BLOCK:
            raise FrameFault(ErrorCode.ENHANCE_YOUR_CALM, "a header block is too long")
        if not flags & frames.END_HEADERS:
            if self._block is None:
                self._block_until = self.deadlines.next_tick + limits.HEAD_TIMEOUT
            self._block = before
            return
        self._block = None
        number, end = self._block_stream, self.block_ends_stream
        try:
            block = self._decoder.decode(fragment if len(before) == 1 else b"".join(before))
        except HeadersTooLarge as error:
            self.fields_too_large(number, error)
            return
        self._idle_frames.earned += 1
        stream = self.streams.get(number)
        if stream is None:
            self.block_arrived(number, block, end=end)
        elif stream.remote_ended:
            raise FrameFault(ErrorCode.STREAM_CLOSED, "HEADERS on a stream that has ended", number)
        else:
            stream.head_arrived(block, end=end)

    def _window_update(self, number: int, by: int) -> None:
        if number and number not in self.streams:
            self._check_opened(number, frames.WINDOW_UPDATE)
        if not self.grant(number, by):
            self._spend_idle()

    def _rst_stream(self, number: int, code: int) -> None:
        self._check_opened(number, frames.RST_STREAM)
        if self.serves:
            self._spend(self._resets, "resets")
        stream = self.streams.get(number)
        if stream is not None:
            stream.give_up()
            stream.reset_arrived(code)
        elif not self.serves and not self._reset.expect():
            self._spend_idle()

    def _read_settings(self, flags: int, payload: bytes) -> None:
        self._spend(self._settings, "SETTINGS")
        if flags & frames.ACK:
            return
        for setting, value in frames.read_settings(payload, from_server=not self.serves).items():
            if setting == frames.INITIAL_WINDOW_SIZE:
                self.change_initial_credit(value)
            elif setting == frames.MAX_CONCURRENT_STREAMS:
                self.streams_allowed(value)
        self.put(frames.SETTINGS_ACK)
        if not self.greeted:
            self.greeted = True
            self.greeting_arrived()

    def _ping(self, flags: int, payload: bytes) -> None:
        if flags & frames.ACK:
            self.ping_answered(payload)
            return
        self.put(frames.ping_ack(payload))

    def _stream_fault(self, fault: FrameFault) -> None:
        self._spend(self._resets, "resets")  # a peer can make this side reset its own streams
        stream = self.streams.get(fault.stream)
        if stream is not None:
            stream.faulty(fault)
        elif self.never_opened(fault.stream):
            raise FrameFault(fault.code, fault.text)
        elif not self.was_reset(fault.stream):
            self.put(frames.rst_stream(fault.stream, fault.code))
            self.note_reset(fault.stream)

    # Ends

    def fail(self, code: int, text: str) -> None:
        """End the connection for a fault of the peer's (rule 4)."""
        if self.failed:
            return
        self.failed = True
        self.put(frames.goaway(self.last_stream if self.serves else 0, code, text.encode("ascii", "replace")))
        self.lose_streams(f"the connection has failed: {text}")
        self.finish()

    def finish(self) -> None:
        """Close once everything was written; throw away what the peer still sends, so that no reset overtakes it."""
        self.failed = True
        self.deadline = self.deadlines.next_tick + LINGER
        self.end_output()

    def deadline_passed(self) -> None:
        """Notify streams that have been silent for too long, and see whether the connection has been idle."""
        if self.failed:
            self.transport.abort()
            return
        now = self.deadlines.now()
        self.deadline = self.deadlines.next_tick
        if self._block is not None and self._block_until <= now:
            self.fail(ErrorCode.ENHANCE_YOUR_CALM, "a header block took too long")
            return
        for stream in tuple(self.streams.values()):
            if stream.deadline <= now:
                stream.silent()
        if not self.streams and self.idle_until <= now:
            self.idle_for_too_long()

    # What the two sides do differently

    @property
    @abstractmethod
    def serves(self) -> bool:
        """Whether the peer is a client."""

    @abstractmethod
    def greeting(self, settings: list[tuple[int, int]]) -> bytes:
        """Return the first bytes to send, with these settings and others."""

    @abstractmethod
    def never_opened(self, number: int) -> bool:
        """Return whether a stream of this number was never opened."""

    @abstractmethod
    def block_arrived(self, number: int, block: Block, *, end: bool) -> None:
        """A header block arrived on a stream that is not open. Raises FrameFault."""

    @abstractmethod
    def fields_too_large(self, number: int, error: HeadersTooLarge) -> None:
        """A header block has more fields than allowed. Raises FrameFault."""

    @abstractmethod
    def idle_for_too_long(self) -> None:
        """`idle_until` has passed without a stream."""

    @abstractmethod
    def goaway_arrived(self, last: int, code: int, text: bytes) -> None:
        """The peer opens, or takes, no more streams."""

    def greeting_arrived(self) -> None:
        """The peer's first settings are known."""

    def streams_allowed(self, number: int) -> None:
        """The peer allows this number of streams at the same time."""

    def ping_answered(self, payload: bytes) -> None:
        """The peer has answered a PING."""
