"""One request between a client's connection and those of an upstream: sent once or twice, answered once.

The story calls it in the order that `shared.exchange` has.
"""

from collections.abc import Awaitable

from sidecar.core.errors import MessageMalformed, UpstreamTimeout, UpstreamUnreachable
from sidecar.core.ports import Clock
from sidecar.core.problem import Problem
from sidecar.http1 import next_hop
from sidecar.http1.deadlines import NEVER
from sidecar.http1.headers import UNTIL_CLOSE
from sidecar.http1.message import Request, Response, offers_websocket
from sidecar.http1.next_hop import Moved, relayed_request, relayed_response
from sidecar.http1.pool import OriginPool, Pool
from sidecar.http1.request_body import ReplayBudget, Upload
from sidecar.http1.server import ClientConnection
from sidecar.http1.shared.exchange import Exchange
from sidecar.http1.tunnel import Tunnel
from sidecar.http1.upstream import UpstreamConnection

IDEMPOTENT = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"))


class Relay(Exchange):
    """See the head of this module. Its maker calls `end` on it, however the exchange went."""

    __slots__ = (
        "_budget",
        "_bytes_up",
        "_client",
        "_clock",
        "_connection",
        "_owner",
        "_pool",
        "_target",
        "_traceparent",
        "_upload",
    )

    def __init__(
        self, client: ClientConnection, request: Request, budget: ReplayBudget, clock: Clock
    ) -> None:
        super().__init__(request)
        self._client = client
        client.body_bytes = 0
        self._budget = budget
        self._clock = clock
        self._pool: Pool | None = None
        self._owner = ""
        self._connection: UpstreamConnection | None = None
        self._upload: Upload | None = None
        self._bytes_up = 0

    @property
    def dismissed(self) -> bool:
        return self._client.dismissed

    # Sending

    def reach(self, pool: OriginPool, target: bytes, owner: str = "") -> bool:
        assert isinstance(pool, Pool)
        self._pool = pool
        self._owner = owner
        self._target = target
        self._traceparent = b"" if self.trace is None else self.trace.next_hop(pool.origin, target)
        self._connection = pool.take(owner)
        return self._connection is not None

    async def connect(self) -> None:
        assert self._pool is not None
        self.sent_at = self._clock.now()
        self._connection = await self._pool.connect(self._owner)
        self.sent_at = 0.0

    async def send(self, authorization: bytes | None, idle_timeout: float) -> Response:
        pool, connection = self._pool, self._connection
        assert pool is not None
        assert connection is not None
        head = relayed_request(
            self.request,
            self._target,
            pool.authority,
            authorization,
            self.hidden,
            origin=pool.serialized_origin,
            traceparent=self._traceparent,
        )
        answer: Response | None = None
        try:
            try:
                answer = await self._ask(connection, head, idle_timeout)
            except UpstreamUnreachable:
                if not self._lost_before_use():
                    raise
                self.drop()
            if answer is None:
                # The upstream closed an idle connection at the moment of its reuse. No byte of an answer has arrived,
                # and doing an idempotent request twice is harmless (RFC 9110 section 9.2.2): this is not a second send.
                await self.connect()
                connection = self._connection
                assert connection is not None
                answer = await self._ask(connection, head, idle_timeout)
        except (UpstreamTimeout, UpstreamUnreachable, MessageMalformed) as error:
            if self._connection is not None:
                pool.unanswered(str(error))
            raise
        if pool.in_doubt:
            pool.answered()
        self.upstream_seconds += self._clock.now() - self.sent_at
        self.upstream_status = answer.status
        return answer

    def _lost_before_use(self) -> bool:
        connection = self._connection
        return (
            connection is not None
            and connection.used
            and not connection.heard
            and self.request.method in IDEMPOTENT
            and (self._upload is None or self._upload.replayable)
        )

    def _ask(self, connection: UpstreamConnection, head: bytes, idle_timeout: float) -> Awaitable[Response]:
        request = self.request
        if self._upload is not None and self._upload.error is not None:
            raise self._upload.error
        self._client.idle_timeout = connection.idle_timeout = idle_timeout or NEVER
        self.sent_at = self._clock.now()
        answer = connection.send(head, request.method, request.length, self._interim)
        if b"upgrade" in request.notes:
            connection.offered = offers_websocket(request)
        if request.length:
            self._send_body(connection)
        return answer

    def _send_body(self, connection: UpstreamConnection) -> None:
        if self._upload is None:
            self._upload = Upload(self._client, self._budget, self.hidden)
            self._upload.aim(connection)
            self._client.pipe(self._upload)
            if b"expect" in self.request.notes and not self._upload.bytes_in:
                connection.waited_for = True
                self._client.deadline = NEVER
        else:
            self._upload.aim(connection)
        connection.flush()
        connection.asked = not connection.transport.is_closing()

    def _interim(self, response: Response) -> None:
        """Relay a 1xx answer, but no second `100 Continue` to a client that has already sent some of its body."""
        sent = self._upload is not None and self._upload.bytes_in
        if response.status == 100 and self._connection is not None and self._connection.waited_for:
            self._connection.waited_for = False
            self._client.expect_body()
        if not self.request.http10 and not (response.status == 100 and sent):
            self._client.write(next_hop.relayed_interim(response))

    # Sending once more

    def hold_body(self) -> bool:
        return self._upload is None or self._upload.hold()

    def drop(self) -> None:
        if self._upload is not None:
            self._upload.detach()
        self.sent_at, self.upstream_status = 0.0, 0
        connection, self._connection = self._connection, None
        if connection is not None and self._pool is not None:
            connection.discard()
            self._pool.give_back(connection)

    # Answering

    def relocated(self, response: Response, moved: Moved) -> Response:
        return next_hop.relocated(response, moved)

    def must_close(self) -> bool:
        return not self.request.keep_alive or self._client.reading_body

    def answer_at_once(self, response: Response, *, close: bool) -> bool:
        connection = self._connection
        assert connection is not None
        if response.length < 0:
            return False
        body = connection.whole_body()
        if body is None:
            return False
        self.begun = True
        self._client.write(relayed_response(response, self.request, close)[0] + body)
        self._client.body_bytes = len(body)
        return True

    async def stream_answer(self, response: Response, *, close: bool) -> bool:
        client, connection = self._client, self._connection
        assert connection is not None
        head, length = relayed_response(response, self.request, close)
        client.begin(head, length)
        client.source = connection
        connection.pipe(client)
        self.begun = not (connection.fault is not None and client.take_back())
        client.flush()
        await connection.finished()
        return length != UNTIL_CLOSE

    async def tunnel(self, response: Response) -> None:
        client, connection = self._client, self._connection
        assert connection is not None
        self.begun = True
        client.begin(next_hop.relayed_switch(response), UNTIL_CLOSE)
        client.flush()
        connection.begin(b"", UNTIL_CLOSE)
        try:
            await Tunnel(client, connection, connection.idle_timeout).run()
        finally:
            self._bytes_up = connection.body_bytes
        connection.take_leave()

    def answer_ourselves(self, problem: Problem, *, close: bool) -> None:
        if self._upload is not None:
            self._upload.detach()
        head, body = next_hop.own_answer(problem, close=close), problem.body
        head_only = self.request.method == b"HEAD"
        self._client.write(head if head_only else head + body)
        self._client.body_bytes = 0 if head_only else len(body)

    def cut(self, problem: Problem) -> None:
        self._client.abort()

    def end(self) -> tuple[int, int]:
        client, upload = self._client, self._upload
        client.source = None
        if not self.upstream_status and self.sent_at:
            self.upstream_seconds += self._clock.now() - self.sent_at
        if self._connection is not None and self._pool is not None:
            self._pool.give_back(self._connection)
        self._connection = self._upload = None  # either may hold the error that refers to this object
        if upload is None:
            return self._bytes_up, client.body_bytes
        upload.detach()
        upload.release()
        return upload.bytes_in, client.body_bytes
