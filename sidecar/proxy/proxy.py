"""Handle a request: match, token, send, and if the token is refused, renew and send once more; relay.

Rule 1. Nothing goes upstream without the route's token; no token, no request.
Rule 2. A request is sent twice at most, the second time with another token and the same bytes.
Rule 3. A request is not sent again once a byte of the answer was sent to the client. Nor is a request whose body was
        too large to keep.
Rule 4. When renewal fails, the client gets the upstream's own refusal, not one of ours.
Rule 5. When the upstream breaks off an answer, the sidecar breaks it off for the client too. A gRPC call ends with
        an error status.

Only a 401 shows that a token no longer works, or a gRPC call that ends with UNAUTHENTICATED. One that ends so after its
first message is not sent again (rule 3); its token is renewed for later calls.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from sidecar.core.errors import (
    DeadlinePassed,
    RequestRefused,
    SidecarError,
    TokenRefused,
    TokenUnavailable,
    UnknownTenant,
    UpstreamTimeout,
    WrongVersion,
)
from sidecar.core.ports import Clock
from sidecar.core.problem import Grpc, Problem, render
from sidecar.http1.message import Response
from sidecar.http1.next_hop import own_answer
from sidecar.http1.relay import Relay
from sidecar.http1.request_body import ReplayBudget
from sidecar.http1.server import ClientConnection
from sidecar.http1.shared.exchange import Exchange
from sidecar.oauth.subject_token import blamed
from sidecar.oauth.token import Token, TokenRequest
from sidecar.proxy import own_answers
from sidecar.proxy.healing import Healing
from sidecar.proxy.ports import Callers, Tokens
from sidecar.proxy.refusal import may_refuse, read_refusal
from sidecar.proxy.request_records import RequestRecords
from sidecar.proxy.routes import Route
from sidecar.proxy.table import Table
from sidecar.proxy.unknown_tenants import UnknownTenants
from sidecar.telemetry.events import Failed
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.request_record import RequestRecord, Send, TokenOrigin
from sidecar.telemetry.tracing import Tracer

_UNAUTHENTICATED = int(Grpc.UNAUTHENTICATED)


class Proxy:
    """Serve clients."""

    def __init__(
        self,
        table: Table,
        *,
        tokens: Tokens,
        callers: Callers,
        journal: Journal,
        clock: Clock,
        budget: ReplayBudget,
        instance: str,
        tracer: Tracer | None = None,
    ) -> None:
        """Take `instance` as the beginning of request ids that the sidecar creates.

        Nothing is traced without a `tracer`.
        """
        self.table = table
        self.draining = False
        """Whether answers close their connections."""
        self.unknown_tenants = UnknownTenants(clock, journal)
        self._tokens = tokens
        self._callers = callers
        self._healing = Healing(tokens, journal, clock)
        self._records = RequestRecords(journal, clock, f"{instance}-", tracer)
        self._journal = journal
        self._clock = clock
        self._budget = budget

    async def serve(self, client: ClientConnection) -> None:
        """Handle each request of one client."""
        try:
            while (request := await client.next_request()) is not None:
                if not await self.exchange(Relay(client, request, self._budget, self._clock)):
                    break
        except RequestRefused as refusal:
            problem = self.refused(refusal)
            client.write(own_answer(problem, close=True) + problem.body)
        finally:
            client.finish()

    async def exchange(self, relay: Exchange) -> bool:
        """Handle one request; return whether its connection can carry another."""
        record = self._records.begin(relay.request)
        record.http2 = relay.http2
        relay.trace = record.trace
        try:
            return await self._answer(relay, record)
        except asyncio.CancelledError:
            record.error = "drained" if relay.dismissed else "client_gone"
            raise
        except Exception as error:  # noqa: BLE001  a bug in one request must not stop the others
            return self._fail(error, relay, record)
        finally:
            record.bytes_in, record.bytes_out = relay.end()
            record.upstream_seconds = relay.upstream_seconds
            record.upstream_status = relay.upstream_status
            record.grpc_status = relay.grpc_status
            record.sent_at = relay.sent_at
            self._records.finish(record)

    def refused(self, refusal: RequestRefused) -> Problem:
        """Return the answer to bytes that are no request that can be handled, and log it."""
        return self._records.refuse(refusal)

    def _answer(self, relay: Exchange, record: RequestRecord) -> Awaitable[bool]:
        """Answer one request within its route's time; return whether the connection can carry another."""
        route, target = self.table.match(relay.request, record)
        if route.origin.http2 is not relay.http2:
            raise _wrong_version(route)
        story = self._story(route, target, relay, record)
        return relay.waiting(self._within(route.total_timeout, story)) if route.total_timeout else story

    async def _within(self, seconds: float, story: Coroutine[object, None, bool]) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await story
        except TimeoutError:
            raise UpstreamTimeout(f"the exchange took longer than {seconds:g} s") from None

    async def _story(self, route: Route, target: bytes, relay: Exchange, record: RequestRecord) -> bool:
        pool = self.table.pools[route.name]
        relay.hidden = route.hidden
        if route.token is not None and route.token.brought:
            record.tenant = route.token.tenant
            callers = self._callers.route(route, relay.request.value, self.table.tenants)
            route = await relay.waiting(callers)
        wanted = route.token
        token = None
        if wanted is not None:
            record.tenant = wanted.tenant
            token = self._tokens.peek(wanted, record.started)
            if token is None:
                token = await relay.waiting(self._wait_for_token(wanted, relay, record))
            _note(record, token, "memory" if record.token == "none" else token.source)
        record.attempts = 1
        if not relay.reach(pool, target, route.owner):
            await relay.connect()
            token = await self._still_good(wanted, token, relay, record)
        authorization = token.authorization if token is not None else None
        answer = await relay.send(authorization, route.idle_timeout)

        if answer.judged >= 400 and token is not None and may_refuse(answer.judged, route):
            successor = await self._successor(route, token, answer, relay, record)
            if successor is not None:
                token = successor
                answer = await self._send_again(route, target, successor, answer, relay=relay, record=record)

        if route.rewrite_location:
            answer = self.table.put_right(answer, relay, route)
        record.status = answer.status
        close = self.draining or relay.must_close()
        if relay.answer_at_once(answer, close=close):
            return not close
        if answer.status == 101:
            await relay.tunnel(answer)
            return False
        whole = await relay.stream_answer(answer, close=close)
        if relay.grpc_status == _UNAUTHENTICATED and token is not None and answer.judged == answer.status:
            self._healing.refused_late(route, token, answer, relay.sent_at, record)
        return whole and not close

    async def _wait_for_token(self, wanted: TokenRequest, relay: Exchange, record: RequestRecord) -> Token:
        record.token = "fetch"
        try:
            return await self._in_time(lambda: self._tokens.token(wanted), relay, record)
        except TokenRefused as refusal:
            raise blamed(refusal) from None

    async def _in_time(
        self, work: Callable[[], Coroutine[object, None, Token]], relay: Exchange, record: RequestRecord
    ) -> Token:
        """Wait for a token, but no longer than the client waits for its call. Raises DeadlinePassed."""
        patience = relay.patience
        left = None if patience is None else max(0.0, record.started + patience - self._clock.now())
        with self._records.waiting(record):
            try:
                async with asyncio.timeout(left):
                    return await work()
            except TimeoutError:
                raise DeadlinePassed("the call's grpc-timeout passed while it waited for a token") from None

    async def _still_good(
        self, wanted: TokenRequest | None, token: Token | None, relay: Exchange, record: RequestRecord
    ) -> Token | None:
        """Return the token to send once a connection is open: meanwhile the first one may have expired or been bust."""
        if wanted is None:
            return None
        now = self._clock.now()
        latest = self._tokens.peek(wanted, now) or await self._wait_for_token(wanted, relay, record)
        if latest is not token:
            _note(record, latest, latest.source)
        return latest

    # Refused

    async def _successor(
        self, route: Route, refused: Token, answer: Response, relay: Exchange, record: RequestRecord
    ) -> Token | None:
        """Return the token to send the request with once more, or None to relay the refusal."""
        wanted = route.token
        said = read_refusal(answer, route, answer.judged)
        if self._healing.decide(said, route, refused, record) != "renew" or wanted is None:
            return None
        if not relay.hold_body():
            self._healing.renew_behind(wanted, refused, relay.sent_at)
            return None
        try:
            sent_at = relay.sent_at
            renewal = self._in_time(lambda: self._tokens.renew(wanted, refused, sent_at), relay, record)
            return await relay.waiting(renewal)
        except (TokenUnavailable, TokenRefused, DeadlinePassed):
            self._healing.second_send(route, refused, record, "failed")
            return None

    async def _send_again(
        self,
        route: Route,
        target: bytes,
        successor: Token,
        refusal: Response,
        *,
        relay: Exchange,
        record: RequestRecord,
    ) -> Response:
        """Send the request for the second and last time, and return the answer."""
        record.first = Send(relay.sent_at, relay.upstream_seconds, refusal.status, relay.grpc_status)
        relay.drop()
        record.attempts = 2
        _note(record, successor, successor.source)
        try:
            if not relay.reach(self.table.pools[route.name], target, route.owner):
                await relay.connect()
            answer = await relay.send(successor.authorization, route.idle_timeout)
        except SidecarError:
            self._healing.second_send(route, successor, record, "failed")
            raise
        self._healing.judge_second(route, successor, answer, record)
        return answer

    # Failed

    def broken(self, error: Exception) -> None:
        """Log an exception that left an exchange."""
        self._journal.tell(Failed.of("exchange", error))

    def _fail(self, error: Exception, relay: Exchange, record: RequestRecord) -> bool:
        """Answer with a problem of our own, or break off an answer that has begun."""
        if not isinstance(error, SidecarError):
            self.broken(error)
        if isinstance(error, UnknownTenant):
            self.unknown_tenants.note(error, record)
        if relay.begun:
            problem = render(error, record.request_id)
            own_answers.note(problem, record)
            relay.cut(problem)
            return False
        # The client that sent what we refuse may have meant the following bytes differently, so close the connection.
        close = isinstance(error, RequestRefused) or self.draining or relay.must_close()
        problem = own_answers.problem_of(error, record)
        relay.answer_ourselves(problem, close=close)
        if relay.grpc_status >= 0:
            record.status = 200
        return not close


def _wrong_version(route: Route) -> WrongVersion:
    if route.origin.http2:
        return WrongVersion(f"route {route.name} uses HTTP/2: send HTTP/2, or remove `protocol: http2`")
    return WrongVersion(f"route {route.name} uses HTTP/1.1: send HTTP/1.1, or set `protocol: http2`")


def _note(record: RequestRecord, token: Token, source: TokenOrigin) -> None:
    record.fp = token.fingerprint
    record.token = source
