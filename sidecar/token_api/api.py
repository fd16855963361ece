"""Handle a request to the token API: read the call, guard it, find the entry, hand out its token.

A reported refusal is judged as on a route, and followed by the same bust and renewal. The answer is the successor.
"""

import asyncio

from sidecar.core.errors import (
    NotListed,
    NotTheToken,
    RequestRefused,
    SidecarError,
    StillCooling,
    TokenRefused,
    TokenUnavailable,
    UnknownTenant,
)
from sidecar.core.ports import Clock
from sidecar.http1.message import Request
from sidecar.http1.next_hop import own_answer
from sidecar.http1.server import ClientConnection
from sidecar.oauth.refusals.server_text import clean
from sidecar.oauth.subject_token import blamed
from sidecar.oauth.token import Token, TokenRequest
from sidecar.proxy import own_answers
from sidecar.proxy.challenge import Verdict
from sidecar.proxy.healing import Healing
from sidecar.proxy.ports import Callers
from sidecar.proxy.refusal import judged
from sidecar.proxy.request_records import RequestRecords
from sidecar.proxy.routes import Route
from sidecar.proxy.unknown_tenants import UnknownTenants
from sidecar.telemetry.events import Failed
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.tracing import Tracer
from sidecar.token_api import answers
from sidecar.token_api.body import read_body
from sidecar.token_api.calls import Call, Form, check_query, read_call
from sidecar.token_api.entries import Served
from sidecar.token_api.guards import admit
from sidecar.token_api.handed_out import HandedOut, HandedOutTokens
from sidecar.token_api.ports import ReportedTokens
from sidecar.token_api.reports import Report, read_proxy_report, read_report

REPORTER = 100
"""Characters of a program's `User-Agent` that are logged."""


class TokenApi:
    """Serve programs and proxies."""

    def __init__(
        self,
        served: Served,
        *,
        tokens: ReportedTokens,
        callers: Callers,
        unknown_tenants: UnknownTenants,
        journal: Journal,
        clock: Clock,
        instance: str,
        fingerprint_key: bytes,
        tracer: Tracer | None = None,
    ) -> None:
        """Take `fingerprint_key`, with which tokens were named; and `instance`, the beginning of request ids."""
        self._served = served
        self.draining = False
        """Whether answers close their connections."""
        self._tokens = tokens
        self._callers = callers
        self._unknown_tenants = unknown_tenants
        self._healing = Healing(tokens, journal, clock)
        self._handed_out = HandedOutTokens()
        self._records = RequestRecords(journal, clock, f"{instance}-t", tracer)
        self._journal = journal
        self._clock = clock
        self._fingerprint_key = fingerprint_key
        self._admitted: tuple[Call, bytes, bytes] | None = None
        """The last call that passed the guards, which are the same for it until a reload."""

    @property
    def served(self) -> Served:
        """What is served now."""
        return self._served

    def serve_only(self, served: Served) -> None:
        """Serve this from now on."""
        self._served, self._admitted = served, None

    async def serve(self, client: ClientConnection) -> None:
        """Handle each request of one client."""
        try:
            while (request := await client.next_request()) is not None:
                record = self._records.begin(request)
                client.body_bytes = 0
                try:
                    close = await self._respond(client, request, record)
                except asyncio.CancelledError:
                    record.error = "drained" if client.dismissed else "client_gone"
                    raise
                finally:
                    self._records.finish(record)
                if close:
                    break
        except RequestRefused as refusal:  # the bytes were no request
            problem = self._records.refuse(refusal)
            client.write(own_answer(problem, close=True) + problem.body)
        finally:
            client.finish()

    async def _respond(self, client: ClientConnection, request: Request, record: RequestRecord) -> bool:
        """Answer one request; return whether its connection is closed after it."""
        try:
            call = read_call(request.target, tenant_in_path=self._served.tenant_in_path)
            handed = await self._answer(client, request, call, record)
        except Exception as error:  # noqa: BLE001  a bug in one request must not stop the others
            return self._refuse(client, request, record, error)
        close = self._must_close(client, request)
        token, record.status = handed.token, 200
        record.fp = token.fingerprint
        left = token.left(self._clock.now(), self._clock.wall())
        answer, record.bytes_out = answers.with_token(call.form, handed, expires_in=left, close=close)
        client.write(answer)
        return close

    def _must_close(self, client: ClientConnection, request: Request) -> bool:
        return self.draining or request.http10 or not request.keep_alive or client.reading_body

    def _refuse(
        self, client: ClientConnection, request: Request, record: RequestRecord, error: Exception
    ) -> bool:
        if not isinstance(error, SidecarError):
            self._journal.tell(Failed.of("token API", error))
        if isinstance(error, NotListed):
            record.path = record.path or error.path
        if isinstance(error, UnknownTenant):
            self._unknown_tenants.note(error, record)
        close = self._must_close(client, request)
        problem = own_answers.problem_of(error, record)
        body = b"" if request.method == b"HEAD" else problem.body
        client.write(own_answer(problem, close=close) + body)
        record.bytes_out = len(body)
        return close

    async def _answer(
        self, client: ClientConnection, request: Request, call: Call, record: RequestRecord
    ) -> HandedOut:
        """Return the token that answers the call. Raises SidecarError."""
        served = self._served
        record.path = call.path
        admitted = (call, request.method, request.block)
        if admitted != self._admitted:  # most programs send the same fields again
            admit(call, request, unix=served.unix, authorize=served.authorize)
            check_query(call)
            self._admitted = admitted
        entry = served.entry(call.name)
        record.route = entry.name
        report = await self._report(client, request, call, entry, record) if call.form.reports else None
        route = served.of_tenant(entry, call, request)
        wanted = _wanted(route, record)
        if wanted.brought:
            route = await self._callers.route(route, request.value, served.tenants)
            wanted = _wanted(route, record)
        if report is not None:
            reporter = clean((request.value(b"user-agent") or b"").decode("latin-1"))[:REPORTER]
            token = await self._successor(route, wanted, report, record, reporter)
            return self._handed_out.replace(wanted, token, self._clock.now())
        found = self._tokens.peek(wanted, record.started)
        if found is None:
            found = await self._load(wanted, record)
        else:
            record.token = "memory"
        return self._handed_out.use(wanted, found)

    async def _report(
        self, client: ClientConnection, request: Request, call: Call, entry: Route, record: RequestRecord
    ) -> Report:
        if call.form is Form.REPORT:
            body = await read_body(client, request)
            record.bytes_in = len(body)
            return read_report(body)
        if entry.token is not None and b"authorization" in entry.token.brought:
            raise RequestRefused(
                400,
                "Authorization brings this entry's subject, not the refused token: POST /token/{name}/refused",
            )
        return read_proxy_report(request, self._fingerprint_key)

    async def _load(self, wanted: TokenRequest, record: RequestRecord) -> Token:
        record.token = "fetch"
        try:
            with self._records.waiting(record):
                token = await self._tokens.token(wanted)
        except TokenRefused as refusal:
            raise blamed(refusal) from None
        record.token = token.source
        return token

    # Refused

    async def _successor(
        self, route: Route, wanted: TokenRequest, report: Report, record: RequestRecord, reporter: str
    ) -> Token:
        """Return the token that replaces the refused one. Raises NotTheToken, StillCooling, and as `token` does."""
        handed = self._handed_out.find(wanted, report.fp)
        if handed is None:
            raise NotTheToken(
                "the token API did not hand out this token for this entry, or did so long ago: request a token"
            )
        refused = handed.token
        record.fp = refused.fingerprint
        said = judged(report.status, report.challenges, route)
        if said.verdict is Verdict.RENEW:
            current = self._tokens.spare(wanted)
            if handed.reported and (current is None or current.secret != refused.secret):
                return await self._load(wanted, record)  # reported before: it is bust, and being renewed
            self._doubt(wanted, handed)
        decision = self._healing.decide(said, route, refused, record, reporter=reporter)
        if decision == "relay":
            raise NotTheToken(
                "another token would not help: the refusal is about the request, or another scheme"
            )
        if decision == "cooling":
            raise self._still_cooling(wanted)
        return await self._renewed(wanted, handed, record)

    def _doubt(self, wanted: TokenRequest, handed: HandedOut) -> None:
        """Begin a cool-down if the report must not cause a renewal, and end one that the token has outlived."""
        now = self._clock.now()
        if self._tokens.cools_for(wanted, now):
            return
        if self._handed_out.doubts(wanted, handed, now):
            self._tokens.cool_down(wanted, handed.token)
        elif handed.replaced_at is not None and not handed.doubted:
            self._tokens.healed(wanted)

    async def _renewed(self, wanted: TokenRequest, handed: HandedOut, record: RequestRecord) -> Token:
        handed.reported = True
        record.token = "fetch"
        try:
            with self._records.waiting(record):
                token = await self._tokens.renew(wanted, handed.token, self._clock.now())
        except (TokenUnavailable, TokenRefused) as error:
            if self._tokens.cools_for(wanted, self._clock.now()):
                raise self._still_cooling(wanted) from None
            raise blamed(error) if isinstance(error, TokenRefused) else error from None
        record.token = token.source
        return token

    def _still_cooling(self, wanted: TokenRequest) -> StillCooling:
        return StillCooling(self._tokens.cools_for(wanted, self._clock.now()))


def _wanted(route: Route, record: RequestRecord) -> TokenRequest:
    """Return the route's token request, and note its tenant in the record."""
    assert route.token is not None
    record.tenant = route.token.tenant
    return route.token
