"""One request over HTTP/2 between a stream of a client and one of an upstream: sent once or twice, answered once.

The story calls it as `http1.relay` describes. The streams call it with what arrives:

Rule 1. For an ordinary request, the story is woken twice at most: by the answer's head and by the end of the answer.
        What lies between goes from stream to stream.
Rule 2. A request is sent with its own content, which `request_body` keeps for a second send.
Rule 3. An answer's content that arrives before the story has decided is kept, without credit.
Rule 4. A request that the upstream did not process, by its own word (REFUSED_STREAM, GOAWAY) or because an idle
        connection was lost at its reuse, is sent again once; the latter only if idempotent. It is not the second send.
Rule 5. A reset of the upstream before the head is an error of ours, with a status. A later one resets the client's
        stream with its code, unless that denies a fault. The client's reset ends the story and, with its code, the
        upstream's stream.
Rule 6. An answer may be complete before its request. The client's stream is then reset with NO_ERROR (RFC 9113 section
        8.1), the upstream's with CANCEL.
Rule 7. Silence counts as in HTTP/1.1: of the upstream, or of a client that does not send the content or take the
        answer. Anything that moves in either direction ends it.
"""

from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from sidecar.core.errors import (
    MessageMalformed,
    RequestRefused,
    SidecarError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from sidecar.core.ports import Clock
from sidecar.core.problem import Problem
from sidecar.http1.deadlines import NEVER
from sidecar.http1.message import Response
from sidecar.http1.next_hop import Moved
from sidecar.http1.pool import OriginPool
from sidecar.http1.relay import IDEMPOTENT
from sidecar.http1.request_body import ReplayBudget
from sidecar.http1.shared.exchange import Exchange
from sidecar.http2 import messages
from sidecar.http2.by_hand import ByHand
from sidecar.http2.frames import ErrorCode
from sidecar.http2.heads import ResponseHead, Trailers, relayed_trailers
from sidecar.http2.messages import Answer, Request
from sidecar.http2.pool import Pool
from sidecar.http2.request_body import Upload
from sidecar.http2.streams import add_piece
from sidecar.http2.upstream import Unprocessed, UpstreamConnection, UpstreamStream

if TYPE_CHECKING:
    from sidecar.http2.server import ClientStream

_Result = TypeVar("_Result")


class Relay(Exchange):
    """See the head of this module."""

    __slots__ = (  # noqa: SIM905  a name a line would take twenty
        "_answer _answer_ended _client _clock _code_down _code_up _connection _error _head _idle_timeout _kept _owner "
        "_piping _pool _run _seen _target _traceparent _trailers _upload _upstream upload"
    ).split()

    def __init__(
        self, client: "ClientStream", request: Request, budget: ReplayBudget, clock: Clock, run: ByHand
    ) -> None:
        super().__init__(request)
        self.http2 = True
        self._head = request.head
        self.upload = Upload(client, budget)
        self._client, self._clock, self._run = client, clock, run
        self._pool: Pool | None = None
        self._owner = ""
        self._target = self._traceparent = self._trailers = b""
        self._connection: UpstreamConnection | None = None
        self._upstream: UpstreamStream | None = None
        self._idle_timeout = NEVER
        self._answer: Answer | None = None
        self._kept: list[bytes] = []
        self._piping = self._answer_ended = False
        self._error: SidecarError | None = None
        self._code_up: int = ErrorCode.CANCEL  # with which the upstream's stream is reset
        self._code_down: int = ErrorCode.INTERNAL_ERROR
        self._seen = 0

    @property
    def dismissed(self) -> bool:
        return self._client.dismissed

    def waiting(self, work: Coroutine[object, None, _Result]) -> Awaitable[_Result]:
        return self._run.waiting(work)

    # Sending

    def reach(self, pool: OriginPool, target: bytes, owner: str) -> bool:
        assert isinstance(pool, Pool)
        self._pool, self._target, self._owner = pool, target, owner
        self._traceparent = b"" if self.trace is None else self.trace.next_hop(pool.origin, target)
        self._connection = pool.take(owner)
        return self._connection is not None

    async def connect(self) -> None:
        assert self._pool is not None
        self.sent_at = self._clock.now()
        await self._run.become_task()
        self._connection = await self._pool.connect(self._owner)
        self.sent_at = 0.0

    async def send(self, authorization: bytes | None, idle_timeout: float) -> Response:
        pool = self._pool
        assert pool is not None
        block = messages.request_block(
            self._head,
            self._target,
            pool.origin,
            pool.pseudo_fields,
            authorization=authorization,
            hidden=self.hidden,
            traceparent=self._traceparent,
        )
        self._idle_timeout = idle_timeout or NEVER
        try:
            for again in (True, False):
                await self._ask(block)
                if not again or not self._may_repeat():
                    break
                self.drop()
                self._connection = pool.take(self._owner)
                if self._connection is None:
                    await self.connect()
            self._raise_error()
        except (UpstreamTimeout, UpstreamUnreachable, MessageMalformed) as error:
            if self._upstream is not None:
                pool.unanswered(str(error))
            raise
        answer = self._answer
        assert answer is not None
        if pool.in_doubt:
            pool.answered()
        self.upstream_seconds += self._clock.now() - self.sent_at
        self.upstream_status = answer.status
        return answer

    async def _ask(self, block: bytes) -> None:
        """Open a stream and wait for the head of the answer, or an error."""
        try:
            self._open(block)
        except Unprocessed as error:
            self._error = error
        while self._answer is None and self._error is None:
            await self._run.event()

    def _raise_error(self) -> None:
        if isinstance(self._error, Unprocessed):
            raise UpstreamUnreachable(str(self._error))
        if self._error is not None:
            raise self._error

    def _open(self, block: bytes) -> None:
        """Open the upstream's stream. Raises Unprocessed, and RequestRefused for the client's content."""
        connection, upload = self._connection, self.upload
        assert connection is not None
        self.sent_at = self._clock.now()
        empty = upload.ended and not upload.arrived and not upload.trailers
        self._upstream = stream = connection.open(self, self.request.method, block, end=empty)
        self._connection = None  # the place is taken
        if not empty:
            upload.aim(stream)
        self._moved()

    def _may_repeat(self) -> bool:
        """Return whether the upstream did not process the request (rule 4)."""
        error = self._error
        if not isinstance(error, Unprocessed) or not self.upload.replayable:
            return False
        return error.certain or self.request.method in IDEMPOTENT

    def _moved(self) -> None:
        upstream, client = self._upstream, self._client
        if upstream is not None:
            upstream.deadline = client.connection.deadlines.next_tick + self._idle_timeout
            self._seen = upstream.written + client.written

    # What arrives from the client

    def body_from_client(self, content: bytes, *, end: bool) -> None:
        """Content of the request arrived."""
        self.upload.arrive(content, end=end)
        self._moved()

    def trailers_from_client(self, trailers: Trailers) -> None:
        """The request ended with trailers."""
        self.upload.end(relayed_trailers(trailers, self.hidden, grpc=self._head.is_grpc))

    def client_left(self, code: int) -> None:
        """The client has reset the stream, or its connection is lost."""
        self._code_up = code
        self._run.cancel()

    def client_took_all(self) -> None:
        """All of the answer was sent."""
        self._run.wake()

    # What arrives from the upstream

    def interim_arrived(self, head: ResponseHead) -> None:
        """A 1xx answer arrived."""
        self._moved()
        self._client.send_head(messages.interim_block(head), end=False)

    def answer_arrived(self, head: ResponseHead, *, end: bool) -> None:
        """The answer's head arrived."""
        self._moved()
        self._answer = messages.answer_of(head, ends=end)
        self._answer_ended = end
        self._run.wake()

    def body_from_upstream(self, content: bytes, *, end: bool) -> None:
        """Content of the answer arrived."""
        self._answer_ended = end
        if self._piping:
            self._client.send_body(content, end=end)
            if end:
                self._client.watch(self._idle_timeout)
        elif content:
            add_piece(self._kept, content)
        self._moved()

    def trailers_from_upstream(self, trailers: Trailers) -> None:
        """The answer ended with trailers."""
        block = relayed_trailers(trailers, grpc=self._head.is_grpc)
        self._answer_ended = True
        if self._piping:
            self._client.send_end(block)
            self._client.watch(self._idle_timeout)
            return
        self._trailers = block

    def upstream_failed(self, error: SidecarError, code: int = ErrorCode.INTERNAL_ERROR) -> None:
        """The answer, or the rest of it, will never arrive."""
        self.upload.detach()
        if self._answer_ended and self._answer is not None:
            return  # it has arrived whole; only the request was not taken to its end
        self._error = error
        self._code_down = code
        self._run.wake()

    def upstream_silent(self, stream: UpstreamStream) -> None:
        """Nothing has moved for the idle time-out (rule 7)."""
        client = self._client
        if self._seen != stream.written + client.written:
            self._moved()
        elif self._answer is None:
            begun = self.upload.arrived or b"expect" not in self.request.notes
            if begun and not self.upload.ended and not stream.waits:
                stream.reset(ErrorCode.CANCEL)
                self.upstream_failed(RequestRefused(408, "the request's body stopped arriving"))
            else:
                self._time_out(stream, "the upstream did not answer in time")
        elif client.waits or not client.connection.takes_bodies:
            client.stuck()
        else:
            self._time_out(stream, "the upstream stopped in the middle of its answer")

    def _time_out(self, stream: UpstreamStream, why: str) -> None:
        stream.time_out()
        self.upstream_failed(UpstreamTimeout(why))

    # Sending once more

    def hold_body(self) -> bool:
        return self.upload.hold()

    def drop(self) -> None:
        self.upload.detach()
        self.sent_at, self.upstream_status = 0.0, 0
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.part(ErrorCode.CANCEL)
        self._return_place()
        self._kept, self._answer, self._error, self._answer_ended, self._trailers = [], None, None, False, b""

    def _return_place(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._pool is not None:
            self._pool.give_back(connection)

    # Answering

    def relocated(self, response: Response, moved: Moved) -> Response:
        assert isinstance(response, Answer)
        return messages.relocated(response, moved)

    def must_close(self) -> bool:
        return False

    def answer_at_once(self, response: Response, *, close: bool) -> bool:
        assert isinstance(response, Answer)
        if not response.ends:
            return False
        self.begun = True
        self._client.send_head(messages.answer_block(response), end=True)
        return True

    async def stream_answer(self, response: Response, *, close: bool) -> bool:
        assert isinstance(response, Answer)
        client, error = self._client, self._error
        if error is not None:  # mypy narrows a local name only, so that mypyc reads the attribute again below
            raise error
        self.begun = True
        client.source = self._upstream
        client.send_head(messages.answer_block(response), end=False)
        kept, self._kept = self._kept, []
        for content in kept:
            client.send_body(content, end=False)
        self._piping = True
        self._moved()
        if self._answer_ended:
            client.send_end(self._trailers)
            client.watch(self._idle_timeout)
        while not client.local_ended:
            if self._error is not None:
                raise self._error
            await self._run.event()
        return True

    async def tunnel(self, response: Response) -> None:
        raise MessageMalformed("HTTP/2 knows no 101")

    def answer_ourselves(self, problem: Problem, *, close: bool) -> None:
        self.upload.detach()
        head = self._head
        self._client.answer_ourselves(problem, grpc=head.is_grpc, head_only=head.method == b"HEAD")

    def cut(self, problem: Problem) -> None:
        self._client.reset(self._code_down)

    def end(self) -> tuple[int, int]:
        client, upstream, upload = self._client, self._upstream, self.upload
        client.source = self._upstream = self._error = None  # an error holds frames that refer to this object
        if not self.upstream_status and self.sent_at:
            self.upstream_seconds += self._clock.now() - self.sent_at
        try:
            upload.detach()
            upload.release()
            if upstream is not None:
                upstream.part(self._code_up)
            self._return_place()
        finally:
            client.story_ended()
        return upload.arrived, client.written
