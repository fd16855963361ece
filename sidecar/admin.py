"""The admin server: probes, metrics, status and busts, for the kubelet, Prometheus and people in a hurry.

Whoever reaches the pod may read it, so nothing here is secret and nothing here may be worn out: a connection
carries one request, lives a few seconds at most however slow its peer, and there are only so many. Busting
takes the operators' bearer token (RFC 6750), and where none is configured nobody may.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from sidecar.core.events import Failed
from sidecar.core.ports import Journal
from sidecar.core.secret import Secret
from sidecar.core.selectors import Selector, describe, selector

MAX_CONNECTIONS = 64
LIFETIME = 10.0
"""Seconds a connection has to send its request and take the answer."""

MAX_BODY = 16_384
"""Bytes of a request's body."""

_METRICS = "text/plain; version=0.0.4; charset=utf-8"

_Answer = Callable[[web.BaseRequest], Awaitable[web.Response]]
_READ = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class _Page:
    answer: _Answer
    methods: tuple[str, ...] = _READ


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether to send requests here; `degraded` serves, but something is missing, and `detail` says what."""

    ok: bool
    degraded: bool = False
    detail: str = ""


class AdminState(Protocol):
    """What the admin server asks of the sidecar. Nothing it shows may hold a secret."""

    def ready(self) -> Readiness:
        """Tell whether requests should come here now."""

    def started(self) -> bool:
        """Tell whether start-up is over."""

    def status(self, chosen: Selector) -> dict[str, object]:
        """Return what `/status` shows, of types that JSON knows; of tokens, those that carry these labels."""

    async def metrics(self) -> bytes:
        """Return Prometheus text, format 0.0.4."""

    async def operators_token(self) -> Secret | None:
        """Return what who busts must show; None where nobody may."""

    async def bust(self, chosen: Selector) -> int | None:
        """Drop all tokens the selector means, in every pod; how many heard it, None where only this one did."""


class AdminServer:
    """A running admin server."""

    def __init__(self, bound: "Bound", server: web.Server) -> None:
        self._bound = bound
        self._server = server
        self.address = bound.address

    async def close(self) -> None:
        """Stop listening, give answers under way one second to finish, and end."""
        self._bound.close()
        self._server.pre_shutdown()
        await self._server.shutdown(1.0)


class Bound(Protocol):
    """An address listened on."""

    address: str

    def close(self) -> None:
        """Take no more connections."""


Bind = Callable[[str, Callable[[], asyncio.Protocol]], Awaitable[Bound]]
"""Listens on an address with a protocol for each connection. Raises ListenError."""


async def start(
    state: AdminState, listen: str, journal: Journal, bind: Bind, *, lifetime: float = LIFETIME
) -> AdminServer:
    """Listen on `listen`; bugs met while answering are told to `journal`. Raises ListenError."""
    server = web.Server(_router(state, journal))
    loop = asyncio.get_running_loop()

    def connect() -> asyncio.Protocol:
        full = len(server.connections) >= MAX_CONNECTIONS
        return _Refusal() if full else _Connection(server, loop, lifetime)

    return AdminServer(await bind(listen, connect), server)


def _router(
    state: AdminState, journal: Journal
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    pages = _pages(state)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        page = pages.get(request.path)
        if page is None:
            return _problem(404)
        if request.method not in page.methods:
            return _problem(405, Allow=", ".join(page.methods))
        try:
            return await page.answer(request)
        except Exception as error:  # noqa: BLE001  a bug in one answer must not end the server
            journal.tell(Failed.of(f"admin {request.path}", error))
            return _problem(500)

    return handle


def _pages(state: AdminState) -> dict[str, _Page]:
    async def health(_: web.BaseRequest) -> web.Response:
        return _json(200, {"status": "ok"})

    async def ready(_: web.BaseRequest) -> web.Response:
        readiness = state.ready()
        return _json(200 if readiness.ok else 503, asdict(readiness))

    async def started(_: web.BaseRequest) -> web.Response:
        done = state.started()
        return _json(200 if done else 503, {"started": done})

    async def status(request: web.BaseRequest) -> web.Response:
        return _json(200, state.status(_asked_for(request)))

    async def metrics(_: web.BaseRequest) -> web.Response:
        return _response(200, await state.metrics(), _METRICS)

    return {
        "/healthz": _Page(health),
        "/readyz": _Page(ready),
        "/startupz": _Page(started),
        "/status": _Page(status),
        "/metrics": _Page(metrics),
        "/bust": _Page(partial(_bust, state), ("POST",)),
    }


def _asked_for(request: web.BaseRequest) -> Selector:
    """Read `?tenant=acme&service=ledger`; whatever else is asked for is not looked at."""
    return frozenset((name, request.query[name]) for name in ("tenant", "service") if request.query.get(name))


async def _bust(state: AdminState, request: web.BaseRequest) -> web.Response:
    token = await state.operators_token()
    if token is None:
        return _problem(403, "there is no admin.token, or its file cannot be read: nobody may bust here")
    if not _shows(request, token):
        return _problem(401, "show the admin.token as a bearer token", **{"WWW-Authenticate": "Bearer"})
    if request.content_length is None or request.content_length > MAX_BODY:
        return _problem(413, f"send a body of at most {MAX_BODY} bytes, with its Content-Length")
    try:
        chosen = _chosen(await request.read())
    except ValueError as error:
        return _problem(400, str(error))
    pods = await state.bust(chosen)
    if pods is None:
        return _problem(
            503, "dropped in this pod only: Redis cannot be reached; try again", **{"Retry-After": "2"}
        )
    return _json(200, {"select": describe(chosen), "pods": pods})


def _shows(request: web.BaseRequest, token: Secret) -> bool:
    """Tell in constant time whether the one Authorization field shows the token."""
    fields = request.headers.getall("Authorization", [])
    scheme, _, shown = fields[0].partition(" ") if len(fields) == 1 else ("", "", "")
    return shown.isascii() and Secret(shown.strip(" ")) == token and scheme.lower() == "bearer"


def _chosen(body: bytes) -> Selector:
    """Read `{"tenant": "acme", …}` or `{"all": true}`. Raises ValueError."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict) or not members:
        raise ValueError('write a JSON object: labels and their values, or {"all": true}')
    if "all" not in members:
        return selector(members)
    if members["all"] is not True or len(members) > 1:
        raise ValueError("`all` stands alone, and its value is true")
    return frozenset()


def _json(status: int, body: dict[str, object], content_type: str = "application/json") -> web.Response:
    return _response(status, json.dumps(body, default=repr).encode() + b"\n", content_type)


def _problem(status: int, detail: str = "", **fields: str) -> web.Response:
    """Answer with an RFC 9457 problem, which says nothing of causes but our own `detail`."""
    body: dict[str, object] = {"title": HTTPStatus(status).phrase, "status": status}
    if detail:
        body["detail"] = detail
    response = _json(status, body, "application/problem+json")
    response.headers.update(fields)
    return response


def _response(status: int, body: bytes, content_type: str) -> web.Response:
    headers = {
        "Content-Type": content_type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "sidecar",  # or aiohttp names itself, Python and both versions
    }
    response = web.Response(status=status, body=body, headers=headers)
    response.force_close()
    return response


class _Connection(web.RequestHandler):
    """One admin connection, cut off when its time is over."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop, lifetime: float) -> None:
        super().__init__(
            server, loop=loop, lingering_time=0, max_line_size=2048, max_field_size=8192, max_headers=64
        )
        self._end = loop.call_later(lifetime, self._cut)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what aiohttp could not parse without its page, which names the fault and the library."""
        return _problem(status)

    def _cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Refusal(asyncio.Protocol):
    """One connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.abort()  # type: ignore[attr-defined]
