"""The upstream's side: one connection, many requests at a time.

| state    | meaning                                    | new streams | left by                                       |
| -------- | ------------------------------------------ | ----------- | --------------------------------------------- |
| greeting | TLS and TCP are there, SETTINGS are not    | no          | the peer's SETTINGS, or a fault               |
| open     | it takes requests                          | yes         | GOAWAY, the last stream number, a fault, idle |
| leaving  | the streams that it has come to their ends | no          | the last of them                              |
| closed   |                                            | no          | -                                             |

Rule 1. The peer's first frame shows whether it uses HTTP/2. Another protocol is named (`http1.foreign`).
Rule 2. No more streams than the peer allows, and it is never sent a PING of ours: some count them as abuse.
Rule 3. Streams above the last one of a GOAWAY were not processed, nor one that is reset with REFUSED_STREAM.
Rule 4. A connection without streams closes after IDLE_TIMEOUT, with GOAWAY.
Rule 5. The answer: heads of 1xx, one head, content, then the end or trailers. Anything else is malformed.
Rule 6. When a request times out, and nothing has arrived on the connection since it was sent, the peer may have
        vanished: the connection gets no more streams.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from sidecar.core.errors import MessageMalformed, SidecarError, UpstreamUnreachable
from sidecar.http1.deadlines import NEVER, Deadlines
from sidecar.http1.foreign import malformed_greeting
from sidecar.http2 import frames
from sidecar.http2.connection import Connection
from sidecar.http2.fields import Block
from sidecar.http2.frames import ErrorCode, FrameFault
from sidecar.http2.header_block import response_head, trailers
from sidecar.http2.hpack import HeadersTooLarge
from sidecar.http2.outgoing import Outbox
from sidecar.http2.streams import Stream

if TYPE_CHECKING:
    from sidecar.http2.relay import Relay

IDLE_TIMEOUT = 60.0
"""Limit: time that an upstream's HTTP/2 connection without streams is kept (seconds). Beyond: it is closed."""
_UNTIL_TOLD = 100
"""Streams at the same time until the peer's settings are known."""
_MAX_INTERIM = 16
_NOT_BROKEN_OFF = (ErrorCode.NO_ERROR, ErrorCode.REFUSED_STREAM, ErrorCode.HTTP_1_1_REQUIRED)
"""Codes with which a client would take a part of an answer for the whole, or send the request again."""
_LAST_NUMBER = 2**31 - 1


class Unprocessed(UpstreamUnreachable):
    """The upstream did not process the request: certainly, or probably, as its connection was lost at its reuse."""

    def __init__(self, reason: str, *, certain: bool = True) -> None:
        super().__init__(reason)
        self.certain = certain


def _named(code: int) -> str:
    return ErrorCode(code).name if code <= max(ErrorCode) else f"0x{code:x}"


class UpstreamStream(Stream):
    """One request and its answer."""

    __slots__ = ("_answered", "_interims", "_method", "_reads", "relay")

    def __init__(self, connection: "UpstreamConnection", number: int, relay: "Relay", method: bytes) -> None:
        super().__init__(connection, number)
        self.relay: Relay | None = relay
        """None once its answer is not read any more."""
        self._method = method
        self._answered = False
        self._interims = 0
        self._reads = connection.reads

    def head_arrived(self, block: Block, *, end: bool) -> None:
        relay = self.relay
        if self._answered:
            if not end:
                raise FrameFault(ErrorCode.PROTOCOL_ERROR, "trailers must end the stream", self.number)
            head_of_end = trailers(block, self.number)
            self.end_input()
            if relay is not None:
                relay.trailers_from_upstream(head_of_end)
        else:
            head = response_head(block, self.number)
            if head.status < 200:
                self._interims += 1
                if end or self._interims > _MAX_INTERIM:
                    raise FrameFault(ErrorCode.PROTOCOL_ERROR, "a 1xx cannot end the stream", self.number)
                if relay is not None:
                    relay.interim_arrived(head)
                return
            self._answered = True
            self.unsent = head.expected(self._method)
            if end:
                self.end_input()
            if relay is not None:
                relay.answer_arrived(head, end=end)
        if end and self.local_ended:
            self.connection.forget(self)

    def body_arrived(self, content: bytes, *, end: bool) -> None:
        if not self._answered:
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, "DATA before the head of the answer", self.number)
        if self.relay is not None:
            self.relay.body_from_upstream(content, end=end)

    def output_ended(self) -> None:
        """The request has been sent."""

    def reset_arrived(self, code: int) -> None:
        error: SidecarError = UpstreamUnreachable(f"the upstream reset the stream with {_named(code)}")
        if code == ErrorCode.REFUSED_STREAM and not self._answered:
            error = Unprocessed("the upstream refused the stream")
        self._fail(error, ErrorCode.INTERNAL_ERROR if code in _NOT_BROKEN_OFF else code)

    def faulty(self, fault: FrameFault) -> None:
        self.reset(fault.code)
        self._fail(MessageMalformed(f"the answer breaks HTTP/2: {fault.text}"), ErrorCode.PROTOCOL_ERROR)

    def lost(self, why: str) -> None:
        connection = self.connection
        assert isinstance(connection, UpstreamConnection)
        error = connection.fault
        if self._answered and not isinstance(error, MessageMalformed):
            error = MessageMalformed(f"{why if error is None else error} in the middle of the answer")
        elif error is None and not self._interims and connection.used:
            error = Unprocessed(f"{why} before it answered", certain=False)
        self._fail(error or UpstreamUnreachable(f"{why} before it answered"))

    def unprocessed(self) -> None:
        """A GOAWAY of the peer's excludes the stream (rule 3)."""
        self.give_up()
        self._fail(Unprocessed("the upstream closes the connection and did not process the request"))

    def _fail(self, error: SidecarError, code: int = ErrorCode.INTERNAL_ERROR) -> None:
        if self.relay is not None:
            self.relay.upstream_failed(error, code)

    def silent(self) -> None:
        if self.relay is not None:
            self.relay.upstream_silent(self)

    def time_out(self) -> None:
        """Reset the stream, because the upstream is silent (rule 6)."""
        connection = self.connection
        assert isinstance(connection, UpstreamConnection)
        if connection.reads == self._reads:
            connection.leaving = True
        self.reset(ErrorCode.CANCEL)

    def part(self, code: int) -> None:
        """Read nothing more of the answer; reset the stream if it has not ended."""
        self.relay = None
        self.reset(code)


class UpstreamConnection(Connection):
    """One connection to an origin."""

    serves = False

    def __init__(
        self, deadlines: Deadlines, outbox: Outbox, changed: Callable[["UpstreamConnection"], None]
    ) -> None:
        """Call `changed` when a place for a stream may be free, and when there will be none any more."""
        super().__init__(deadlines, outbox)
        self.owner = ""
        self.used = False
        """Whether it has had a stream before."""
        self.leaving = False
        self.reads = 0
        """How often something arrived."""
        self.fault: SidecarError | None = None
        """Why the connection failed, if the peer broke the rules."""
        self.reserved = 0
        """Places that are promised to requests."""
        self._changed = changed
        self._allowed = _UNTIL_TOLD
        self._greeted: asyncio.Future[None] | None = None

    @property
    def has_room(self) -> bool:
        """Whether one more stream may be opened."""
        return (
            self.greeted
            and not (self.leaving or self.failed or self.closed)
            and len(self.streams) + self.reserved < self._allowed
        )

    @property
    def closing(self) -> bool:
        """Whether it takes no more streams, ever."""
        return self.leaving or self.failed or self.closed

    async def wait_until_greeted(self) -> None:
        """Wait for the peer's first settings. Raises MessageMalformed, UpstreamUnreachable."""
        if not self.greeted and not self.closing:
            self._greeted = asyncio.get_running_loop().create_future()
            await self._greeted
        if not self.greeted:
            raise self.fault or UpstreamUnreachable("the upstream closed the connection before the request")
        if not self._allowed:
            raise UpstreamUnreachable("the upstream allows no HTTP/2 streams")

    def open(self, relay: "Relay", method: bytes, block: bytes, *, end: bool) -> UpstreamStream:
        """Open a stream with this block, at a place that was reserved. Raises Unprocessed."""
        self.reserved -= 1
        if self.closing:
            self.reserved += 1
            raise Unprocessed("the upstream closed the connection before the request", certain=True)
        number = self.last_stream + 2 if self.last_stream else 1
        self.last_stream = number
        self.leaving = number >= _LAST_NUMBER - 2
        stream = UpstreamStream(self, number, relay, method)
        self.streams[number] = stream
        self.idle_until = NEVER
        stream.send_head(block, end=end)
        return stream

    # Connection

    def greeting(self, settings: list[tuple[int, int]]) -> bytes:
        return frames.PREFACE + frames.settings([(frames.ENABLE_PUSH, 0), *settings])

    def greeting_arrived(self) -> None:
        self.idle_until = self.deadlines.next_tick + IDLE_TIMEOUT
        self._end_greeting()

    def _end_greeting(self) -> None:
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        if not self.greeted and not self.failed:
            self.fault = malformed_greeting(self._held + data)  # rule 1
            if self.fault is not None:
                self.failed = True
                self.transport.abort()
                return
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end_greeting()
        self._changed(self)

    def fail(self, code: int, text: str) -> None:
        self.fault = MessageMalformed(f"the upstream breaks HTTP/2: {text}")
        super().fail(code, text)
        self._end_greeting()
        self._changed(self)

    def never_opened(self, number: int) -> bool:
        return number > self.last_stream or number % 2 == 0

    def block_arrived(self, number: int, block: Block, *, end: bool) -> None:
        if self.never_opened(number):
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream that was never opened")
        if not self.was_reset(number):
            raise FrameFault(ErrorCode.STREAM_CLOSED, "HEADERS on a stream that has ended")
        self.ignore_block()

    def fields_too_large(self, number: int, error: HeadersTooLarge) -> None:
        raise FrameFault(ErrorCode.ENHANCE_YOUR_CALM, str(error), number)

    def streams_allowed(self, number: int) -> None:
        self._allowed = number
        self._changed(self)

    def stream_ended(self) -> None:
        self.used = True
        if not self.streams:
            self.idle_until = self.deadlines.next_tick + IDLE_TIMEOUT
            if self.leaving:
                self.part()
        self._changed(self)

    def idle_for_too_long(self) -> None:
        self.part()

    def part(self) -> None:
        """End for good (rule 4); the streams that it has are lost."""
        self.leaving = True
        if not self.failed and not self.closed:
            self.put(frames.goaway(0, ErrorCode.NO_ERROR))
            self.lose_streams("the connection was closed")
            self.finish()
            self._changed(self)

    def goaway_arrived(self, last: int, code: int, text: bytes) -> None:
        self.leaving = True
        if code:
            self.fault = UpstreamUnreachable(f"the upstream ended the connection with {_named(code)}")
        for stream in tuple(self.streams.values()):
            if stream.number > last:
                assert isinstance(stream, UpstreamStream)
                stream.unprocessed()
        if not self.streams:
            self.part()
        self._end_greeting()
        self._changed(self)
