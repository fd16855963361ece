"""The story of a request: match, token, send, and if the token is refused, renew and send once more; relay.

Rule 1. Nothing goes upstream without the route's token; no token, no request.
Rule 2. A request is sent twice at most, the second time with another token and the same bytes.
Rule 3. Nothing is sent again once a byte of the answer has gone to the client, or when the body is too big
        to have been kept.
Rule 4. When renewal fails, the client gets the upstream's own refusal, not one of ours.
Rule 5. An answer that breaks off is broken off for the client too.

The bus is a hint; the 401 is the truth.
"""

import asyncio
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal, Protocol

from sidecar.core.browser import guard
from sidecar.core.challenge import Verdict, bearer_error, judge, parse
from sidecar.core.errors import (
    RequestRefused,
    SidecarError,
    TokenRefused,
    TokenUnavailable,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from sidecar.core.events import Failed, Refused, RequestRecord, Resent
from sidecar.core.ports import Clock, Journal
from sidecar.core.problem import render
from sidecar.core.router import Router, upstream_target
from sidecar.core.routes import Route
from sidecar.core.target import Target, split
from sidecar.core.token import Token, TokenRequest
from sidecar.http1.deadlines import NEVER
from sidecar.http1.message import (
    UNTIL_CLOSE,
    Request,
    Response,
    relayed_interim,
    relayed_request,
    relayed_response,
)
from sidecar.http1.pool import Pool
from sidecar.http1.server import ClientConnection
from sidecar.http1.upload import ReplayBudget, Upload
from sidecar.http1.upstream import UpstreamConnection

_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"))
_REQUEST_ID = re.compile(rb"[0-9A-Za-z._:/+=@-]{1,128}")
_TRACE_PARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


class Tokens(Protocol):
    """What the story asks of the token cache."""

    def peek(self, request: TokenRequest, now: float) -> Token | None: ...
    async def token(self, request: TokenRequest) -> Token: ...
    async def renew(self, request: TokenRequest, refused: Token, sent_at: float) -> Token: ...
    def cooling(self, request: TokenRequest, now: float) -> bool: ...
    def cool_down(self, request: TokenRequest, token: Token) -> None: ...
    def healed(self, request: TokenRequest) -> None: ...


@dataclass(frozen=True, slots=True)
class Lane:
    """A route with the pool that leads to its upstream."""

    route: Route
    pool: Pool
    authority: bytes


@dataclass(frozen=True, slots=True)
class Table:
    """What a reload replaces as a whole."""

    router: Router
    lanes: Mapping[str, Lane]
    """By the route's name."""


class Proxy:
    """What all exchanges have in common."""

    def __init__(
        self,
        table: Table,
        tokens: Tokens,
        journal: Journal,
        clock: Clock,
        *,
        instance: str,
        budget: ReplayBudget,
    ) -> None:
        """`instance` begins the ids of requests that bring none of their own."""
        self.table = table
        self.tokens = tokens
        self.journal = journal
        self.clock = clock
        self.budget = budget
        self.draining = False
        self._instance = instance
        self._count = 0
        self._behind: set[asyncio.Task[Token]] = set()

    async def serve(self, client: ClientConnection) -> None:
        """Tell the story of every request of one client."""
        try:
            while (request := await client.next_request()) is not None:
                exchange = Exchange(self, client, request)
                try:
                    reusable = await exchange.run()
                finally:
                    self._finished(exchange.record)
                if not reusable:
                    break
        except RequestRefused as refusal:
            record = RequestRecord(self.clock.now(), "", "", self.next_id(), "")
            answer_problem(client, refusal, record, head_only=False, close=True)
            self._finished(record)
        finally:
            client.finish()

    def _finished(self, record: RequestRecord) -> None:
        record.finished = self.clock.now()
        self.journal.request_finished(record)

    def next_id(self) -> str:
        """Make the id of a request that brought none."""
        self._count += 1
        return f"{self._instance}-{self._count:x}"

    def renew_behind(self, wanted: TokenRequest, refused: Token, sent_at: float) -> None:
        """Renew for the requests to come; this one cannot be sent again."""
        task = asyncio.get_running_loop().create_task(self.tokens.renew(wanted, refused, sent_at))
        self._behind.add(task)
        task.add_done_callback(self._renewed)

    def _renewed(self, task: asyncio.Task[Token]) -> None:
        self._behind.discard(task)
        if not task.cancelled():
            task.exception()  # told to the journal where it happened


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_begun",
        "_client",
        "_connection",
        "_lane",
        "_proxy",
        "_request",
        "_sent_at",
        "_upload",
        "record",
    )

    def __init__(self, proxy: Proxy, client: ClientConnection, request: Request) -> None:
        self._proxy = proxy
        self._client = client
        self._request = request
        self._connection: UpstreamConnection | None = None
        self._upload: Upload | None = None
        self._begun = False
        self._sent_at = 0.0
        notes = request.notes
        request_id = ""
        trace_id = ""
        if b"x-request-id" in notes and _REQUEST_ID.fullmatch(notes[b"x-request-id"]):
            request_id = notes[b"x-request-id"].decode()
        if b"traceparent" in notes and (parent := _TRACE_PARENT.fullmatch(notes[b"traceparent"])):
            trace_id = parent[1].decode()
        self.record = RequestRecord(
            proxy.clock.now(), request.method.decode(), "", request_id or proxy.next_id(), trace_id
        )

    async def run(self) -> bool:
        """Tell the story; return whether the client's connection can carry another."""
        try:
            target = self._match()
            route = self._lane.route
            if not route.total_timeout:
                return await self._story(route, target)
            async with asyncio.timeout(route.total_timeout):
                return await self._story(route, target)
        except SidecarError as error:
            return self._fail(error)
        except TimeoutError:
            return self._fail(UpstreamTimeout(f"the exchange took longer than {route.total_timeout:g} s"))
        except asyncio.CancelledError:
            self.record.error = self.record.error or "client_gone"
            raise
        except Exception as bug:  # noqa: BLE001  one request's bug must not take the others down
            where = f"{type(bug).__name__} at {_place(bug)}"
            self._proxy.journal.tell(Failed(where="exchange", error=where))
            return self._fail(bug)
        finally:
            self._end()

    def _match(self) -> Target:
        request, table, record = self._request, self._proxy.table, self.record
        target = split(request.target)
        record.path = target.path.decode("latin-1")
        host = table.router.admit(target.authority or request.host)
        notes = request.notes
        if b"origin" in notes or b"sec-fetch-site" in notes:
            guard(sec_fetch_site=notes.get(b"sec-fetch-site"), origin=notes.get(b"origin"))
        route = table.router.match(host, target.path)
        if route is None:
            raise RequestRefused(404, f"no route matches {record.path}")
        record.route = route.name
        self._lane = table.lanes[route.name]
        return target

    async def _story(self, route: Route, target: Target) -> bool:
        onward = upstream_target(route, target)
        wanted = route.token
        if wanted is None:
            return await self._relay(await self._send(onward, None))

        token = await self._token(wanted)
        answer = await self._send(onward, token)
        if answer.status in route.refused_statuses:
            successor = await self._successor(route, wanted, token, answer)
            if successor is not None:
                self._drop_connection()
                answer = await self._send(onward, successor)
                self._judge_second(route, wanted, successor, answer)
        return await self._relay(answer)

    async def _token(self, wanted: TokenRequest) -> Token:
        record, tokens = self.record, self._proxy.tokens
        record.tenant = wanted.tenant
        token = tokens.peek(wanted, record.started)
        if token is not None:
            record.token = "memory"
        else:
            record.token = "fetch"
            token = await tokens.token(wanted)
        record.fp = token.fingerprint
        return token

    # Sending

    async def _send(self, onward: bytes, token: Token | None) -> Response:
        lane, request, upload = self._lane, self._request, self._upload
        if upload is not None and upload.error is not None:
            raise upload.error
        self.record.attempts += 1
        head = relayed_request(
            request, onward, lane.authority, token.authorization if token is not None else None
        )
        try:
            answer = await self._ask(lane.pool.take() or await lane.pool.connect(), head)
        except UpstreamUnreachable:
            if not self._lost_before_use():
                raise
            # The upstream closed an idle connection in the very moment we used it. It has not answered a byte, and
            # doing an idempotent request twice is harmless (RFC 9110 section 9.2.2): this is not a second send.
            self._drop_connection()
            answer = await self._ask(await lane.pool.connect(), head)
        self.record.upstream_seconds += self._proxy.clock.now() - self._sent_at
        return answer

    def _lost_before_use(self) -> bool:
        connection = self._connection
        return (
            connection is not None
            and connection.used
            and not connection.heard
            and self._request.method in _IDEMPOTENT
            and (self._upload is None or self._upload.replayable)
        )

    def _ask(self, connection: UpstreamConnection, head: bytes) -> Awaitable[Response]:
        request = self._request
        self._connection = connection
        connection.idle_timeout = self._lane.route.idle_timeout or NEVER
        self._sent_at = self._proxy.clock.now()
        answer = connection.send(head, request.method, request.length, self._interim)
        if request.length:
            self._send_body(connection)
        return answer

    def _send_body(self, connection: UpstreamConnection) -> None:
        if self._upload is None:
            self._upload = Upload(self._client, self._proxy.budget)
            self._upload.aim(connection)
            self._client.idle_timeout = connection.idle_timeout
            self._client.pipe(self._upload)
        else:
            self._upload.aim(connection)
        connection.flush()

    def _interim(self, response: Response) -> None:
        """Relay a 1xx answer, but no second `100 Continue` to a client that has already sent its body."""
        if self._request.http10 or (
            response.status == 100 and self._upload is not None and self._upload.bytes_in
        ):
            return
        self._client.write(relayed_interim(response))

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._upload is not None:
            self._upload.detach()
        connection.discard()
        self._lane.pool.give_back(connection)

    # Refused

    async def _successor(
        self, route: Route, wanted: TokenRequest, refused: Token, answer: Response
    ) -> Token | None:
        """Return the token to send the request with once more, or None to relay the refusal."""
        challenges = parse(answer.values(b"www-authenticate"))
        verdict = judge(
            answer.status, challenges, on_401=route.on_401, refused_statuses=route.refused_statuses
        )
        if verdict is Verdict.RELAY:
            return None
        tokens = self._proxy.tokens
        cooling = tokens.cooling(wanted, self._proxy.clock.now())
        self._proxy.journal.tell(
            Refused(
                request_id=self.record.request_id,
                route=route.name,
                tenant=wanted.tenant,
                fp=refused.fingerprint,
                status=answer.status,
                error=bearer_error(challenges),
                decision="cooling" if cooling else "renew",
            )
        )
        if cooling:
            return None
        upload = self._upload
        if upload is not None:
            upload.detach()
            if not upload.replayable:
                self._proxy.renew_behind(wanted, refused, self._sent_at)
                return None
        try:
            return await tokens.renew(wanted, refused, self._sent_at)
        except (TokenUnavailable, TokenRefused):
            self._resent(route, refused, "failed")
            return None

    def _judge_second(self, route: Route, wanted: TokenRequest, token: Token, answer: Response) -> None:
        self.record.fp = token.fingerprint
        self.record.token = "fetch"
        if answer.status in route.refused_statuses:
            self._proxy.tokens.cool_down(wanted, token)
            self._resent(route, token, "refused")
        else:
            self._proxy.tokens.healed(wanted)
            self._resent(route, token, "healed")

    def _resent(self, route: Route, token: Token, outcome: Literal["healed", "refused", "failed"]) -> None:
        self._proxy.journal.tell(
            Resent(request_id=self.record.request_id, route=route.name, fp=token.fingerprint, outcome=outcome)
        )

    # Answering

    async def _relay(self, answer: Response) -> bool:
        client, request, connection = self._client, self._request, self._connection
        assert connection is not None
        close = not request.keep_alive or client.reading_body or self._proxy.draining
        head, length = relayed_response(answer, request, close)
        self.record.status = answer.status
        self._begun = True
        body = connection.whole_body()
        if body is not None and length >= 0:
            client.write(head + body)
            client.body_bytes = len(body)
            return not close
        client.begin(head, length)
        client.source = connection
        client.idle_timeout = connection.idle_timeout
        connection.pipe(client)
        client.flush()
        await connection.finished()
        return not close and length != UNTIL_CLOSE

    def _fail(self, error: Exception) -> bool:
        """Answer with our own problem, or break the answer off if one has begun."""
        client, request = self._client, self._request
        if self._begun:
            self.record.error = render(error, self.record.request_id).word
            client.abort()
            return False
        if self._upload is not None:
            self._upload.detach()
        close = not request.keep_alive or client.reading_body or self._proxy.draining
        answer_problem(client, error, self.record, head_only=request.method == b"HEAD", close=close)
        return not close

    def _end(self) -> None:
        client, connection, upload, record = self._client, self._connection, self._upload, self.record
        client.source = None
        if connection is not None:
            self._lane.pool.give_back(connection)
        if upload is not None:
            upload.detach()
            upload.release()
            record.bytes_in = upload.bytes_in
        record.bytes_out = client.body_bytes


def answer_problem(
    client: ClientConnection, error: Exception, record: RequestRecord, *, head_only: bool, close: bool
) -> None:
    """Answer with a problem of our own (RFC 9457)."""
    problem = render(error, record.request_id)
    record.status = problem.status
    record.error = problem.word
    lines = [b"HTTP/1.1 %d %b" % (problem.status, HTTPStatus(problem.status).phrase.encode())]
    lines += [name + b": " + value for name, value in problem.fields]
    lines.append(b"Content-Length: %d" % len(problem.body))
    if close:
        lines.append(b"Connection: close")
    client.begin(b"\r\n".join(lines) + b"\r\n\r\n", len(problem.body))
    if not head_only:
        client.write_body([problem.body])
    client.end_body([])


def _place(bug: Exception) -> str:
    """Tell where a bug was raised; its text may hold anything and is never told."""
    trace = bug.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
