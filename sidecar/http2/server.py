"""The client's side: one connection, a story for each of its streams.

| state    | meaning                                       | new streams    | left by                              |
| -------- | --------------------------------------------- | -------------- | ------------------------------------ |
| open     | it takes requests                             | a story each   | the drain, a fault, idle, the client |
| warned   | GOAWAY 2^31-1 and a PING were sent: it drains | a story each   | the answer to the PING               |
| leaving  | GOAWAY with the last stream was sent          | REFUSED_STREAM | the end of the last stream           |
| failed   | GOAWAY with a code was sent; nothing is read  | -              | the client, or LINGER                |

Rule 1. A stream's number is odd and higher than all before it: else PROTOCOL_ERROR, or STREAM_CLOSED for one that has
        been open.
Rule 2. More than MAX_STREAMS at a time get REFUSED_STREAM, which clients send again.
Rule 3. A malformed request resets its stream; a well-formed one that is refused gets its status.
Rule 4. Trailers end the stream: else PROTOCOL_ERROR.
Rule 5. A connection without streams for the keep-alive time-out ends with GOAWAY.
Rule 6. A drain refuses no request that was sent before the client knew of it: hence the two steps. A stream that the
        client opens after the second step is refused, and the other streams continue.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import cast

from sidecar.core.errors import RequestRefused
from sidecar.core.ports import Clock
from sidecar.core.problem import Problem
from sidecar.http1.deadlines import NEVER
from sidecar.http1.request_body import ReplayBudget
from sidecar.http1.shared.exchange import Exchange
from sidecar.http1.shared.listener import Listener
from sidecar.http2 import frames
from sidecar.http2.by_hand import ByHand
from sidecar.http2.connection import Connection
from sidecar.http2.fields import Block
from sidecar.http2.frames import MAX_STREAM, ErrorCode, FrameFault
from sidecar.http2.header_block import is_grpc, request_head, trailers
from sidecar.http2.heads import RequestHead
from sidecar.http2.hpack import HeadersTooLarge
from sidecar.http2.limits import HEAD_TIMEOUT, MAX_STREAMS
from sidecar.http2.messages import Request, own_answer, own_trailers, request_of
from sidecar.http2.outgoing import Outbox
from sidecar.http2.relay import Relay
from sidecar.http2.streams import Stream

_DRAIN_PING = b"drained?"
_SLOW = 60.0
"""Seconds in which a client has to take some of an answer of the sidecar's own."""


Relays = Callable[["ClientStream", Request, ReplayBudget, Clock, ByHand], Relay]


class Service:
    """What requests over HTTP/2 are served with."""

    def __init__(
        self,
        story: Callable[[Exchange], Coroutine[object, None, bool]],
        refused: Callable[[RequestRefused], Problem],
        budget: ReplayBudget,
        clock: Clock,
        outbox: Outbox,
        *,
        broken: Callable[[Exception], None],
        relays: Relays,
    ) -> None:
        """Take `refused`: it logs a request that gets no story, and returns its answer. `relays` makes exchanges.

        Call `broken` with an exception that a story raises.
        """
        self.story = story
        self.refused = refused
        self.broken = broken
        self.budget = budget
        self.clock = clock
        self.outbox = outbox
        self.relays = relays

    def take_over(self, listener: Listener, transport: asyncio.Transport, data: bytes) -> None:
        """Serve a connection whose first bytes are the preface of HTTP/2, and these."""
        connection = ClientConnection(listener, self)
        transport.set_protocol(cast(asyncio.BaseProtocol, connection))
        connection.connection_made(transport)
        connection.data_received(data[len(frames.PREFACE) :])


class ClientStream(Stream):
    """One request and its answer."""

    __slots__ = ("_patience", "_run", "_seen", "_service", "dismissed", "relay")

    def __init__(self, connection: "ClientConnection", number: int) -> None:
        super().__init__(connection, number)
        self._run = ByHand()
        self.relay: Relay | None = None
        """None before the story begins and after it ends."""
        self._patience = NEVER
        self._seen = 0
        """Bytes that were sent when the client was checked last."""
        self.dismissed = False
        """Whether it was cut off because the sidecar stops."""

    def begin(self, service: Service, head: RequestHead, *, end: bool) -> None:
        """Run the story of a request."""
        request = request_of(head)
        self._service = service
        self.unsent = head.content_length
        self.relay = relay = service.relays(self, request, service.budget, service.clock, self._run)
        if end:
            self.end_input()
            relay.upload.ended = True
        self._run.run(service.story(relay), self._broken)

    def _broken(self, error: Exception) -> None:
        """End the stream, because its story has raised an exception."""
        self._service.broken(error)
        if self.relay is not None:
            self.relay.end()

    def head_arrived(self, block: Block, *, end: bool) -> None:
        if not end:
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, "trailers must end the stream", self.number)
        head = trailers(block, self.number)
        self.end_input()
        if self.relay is not None:
            self.relay.trailers_from_client(head)
        if self.local_ended:
            self.connection.forget(self)

    def body_arrived(self, content: bytes, *, end: bool) -> None:
        if self.relay is not None:
            self.relay.body_from_client(content, end=end)

    def output_ended(self) -> None:
        relay = self.relay
        if not self.remote_ended:
            self.reset(ErrorCode.NO_ERROR)
        if relay is not None:
            relay.client_took_all()
        else:
            self.give_up()

    def reset_arrived(self, code: int) -> None:
        if self.relay is not None:
            self.relay.client_left(code)

    def faulty(self, fault: FrameFault) -> None:
        self.reset(fault.code)
        self.reset_arrived(ErrorCode.CANCEL)

    def lost(self, why: str) -> None:
        self.reset_arrived(ErrorCode.CANCEL)

    def watch(self, patience: float) -> None:
        """Give the client this many seconds, each time that it takes some of what waits for it."""
        if self.waits:
            self._patience = patience
            self._seen = self.written
            self.deadline = self.connection.deadlines.next_tick + patience

    def silent(self) -> None:
        if self.written != self._seen:
            self.watch(self._patience)
        else:
            self.stuck()

    def stuck(self) -> None:
        """End the exchange, because the client does not take the answer."""
        self.reset(ErrorCode.CANCEL)
        self.reset_arrived(ErrorCode.CANCEL)

    def answer_ourselves(self, problem: Problem, *, grpc: bool, head_only: bool) -> None:
        """Answer without an upstream."""
        block, body = own_answer(problem, grpc=grpc, head_only=head_only)
        self.source = None
        self.send_head(block, end=not body)
        if body:
            self.send_body(body, end=True)
            self.watch(_SLOW)

    def end_ourselves(self, problem: Problem) -> None:
        """End a gRPC answer that has begun: send a status in trailers, after the content that waits."""
        self.source = None
        self.send_end(own_trailers(problem))
        self.watch(_SLOW)

    def story_ended(self) -> None:
        """The story gives the stream back; the end of an answer may still wait for credit."""
        self.relay = None
        if self.closed or (self.local_ended and self.remote_ended):
            self.give_up()
        elif not self.waits:
            self.reset(ErrorCode.INTERNAL_ERROR)


class ClientConnection(Connection):
    """One client."""

    serves = True

    def __init__(self, listener: Listener, service: Service) -> None:
        super().__init__(listener.deadlines, service.outbox)
        self._listener = listener
        self._service = service
        self._warned = self._leaving = False
        self._last_late = 0
        """The highest stream that the client opened after GOAWAY had excluded it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.idle_until = self.deadlines.next_tick + HEAD_TIMEOUT
        if not self._listener.admit(self):
            self.transport.abort()
        elif self._listener.draining:
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._listener.forget(self)

    def greeting(self, settings: list[tuple[int, int]]) -> bytes:
        return frames.settings([(frames.MAX_CONCURRENT_STREAMS, MAX_STREAMS), *settings])

    def greeting_arrived(self) -> None:
        self._rest()

    def _rest(self) -> None:
        self.idle_until = self.deadlines.next_tick + self._listener.limits.keep_alive_timeout

    # Streams

    def never_opened(self, number: int) -> bool:
        return number > max(self.last_stream, self._last_late) or number % 2 == 0

    def block_arrived(self, number: int, block: Block, *, end: bool) -> None:
        if not self._open(number):
            return
        try:
            head = request_head(block, number)
        except RequestRefused as refusal:
            self.refuse(number, refusal, end=end, grpc=is_grpc(block.fields))
            return
        self._new(number).begin(self._service, head, end=end)

    def _open(self, number: int) -> bool:
        """Return whether a new stream may begin (rules 1 and 2). Raises FrameFault."""
        if number % 2 == 0:
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, "a client's streams have odd numbers")
        if not self.never_opened(number):
            if self.was_reset(number):
                self.ignore_block()
                return False
            raise FrameFault(ErrorCode.STREAM_CLOSED, "HEADERS on a stream that has ended")
        if self._leaving:
            self._last_late = number
            raise FrameFault(ErrorCode.REFUSED_STREAM, "the connection accepts no more streams", number)
        self.last_stream = number
        if len(self.streams) >= MAX_STREAMS:
            raise FrameFault(ErrorCode.REFUSED_STREAM, "too many streams", number)
        return True

    def _new(self, number: int) -> ClientStream:
        self._listener.requests += 1
        self.idle_until = NEVER
        self.streams[number] = stream = ClientStream(self, number)
        return stream

    def refuse(self, number: int, refusal: RequestRefused, *, end: bool, grpc: bool = False) -> None:
        """Answer a request that gets no story (rule 3)."""
        stream = self._new(number)
        stream.remote_ended = end
        stream.answer_ourselves(self._service.refused(refusal), grpc=grpc, head_only=False)

    def fields_too_large(self, number: int, error: HeadersTooLarge) -> None:
        """Refuse a request with a status, and reset a stream for its trailers.

        gRPC clients take that reset for RESOURCE_EXHAUSTED. A block over MAX_BLOCK does not get here: it ends the
        connection, because its fields were not decoded.
        """
        stream = self.streams.get(number)
        if stream is not None:
            raise FrameFault(ErrorCode.ENHANCE_YOUR_CALM, str(error), number)
        if self._open(number):
            refusal = RequestRefused(431, str(error))
            self.refuse(number, refusal, end=self.block_ends_stream, grpc=is_grpc(error.fields))

    def stream_ended(self) -> None:
        if self.streams:
            return
        self._rest()
        if self._leaving and not self.failed:
            self.finish()

    # Ends

    @property
    def busy(self) -> int:
        """How many requests are with their stories."""
        return len(self.streams)

    @property
    def at_rest(self) -> bool:
        """Whether no request is in flight, and the client has read all that was written."""
        return not self.streams and not self.transport.get_write_buffer_size()

    def idle_for_too_long(self) -> None:
        self.leave()
        self.finish()

    def drain(self) -> None:
        """Begin to end: take what the client has sent before it knows (rule 6)."""
        if not self._warned and not self.failed:
            self._warned = True
            self.put(frames.goaway(MAX_STREAM, ErrorCode.NO_ERROR) + frames.ping(_DRAIN_PING))

    def ping_answered(self, payload: bytes) -> None:
        if payload == _DRAIN_PING and self._warned and not self._leaving:
            self.leave()
            if not self.streams:
                self.finish()

    def leave(self) -> None:
        """Take no more streams."""
        if not self._leaving and not self.failed:
            self._leaving = True
            self.put(frames.goaway(self.last_stream, ErrorCode.NO_ERROR))

    def end(self) -> None:
        """End now."""
        for stream in tuple(self.streams.values()):
            assert isinstance(stream, ClientStream)
            stream.dismissed = True
        self.leave()
        self.lose_streams("the sidecar stops")
        self.flush()
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    def goaway_arrived(self, last: int, code: int, text: bytes) -> None:
        """A client that leaves opens no more streams; those that it has come to their ends."""
