"""The admin server: probes, metrics and status, for the kubelet, Prometheus and people in a hurry.

Whoever reaches the pod may read it, so nothing here is secret and nothing here may be worn out: a connection
carries one request, lives a few seconds at most however slow its peer, and there are only so many.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from sidecar.core.events import Failed
from sidecar.core.ports import Journal

MAX_CONNECTIONS = 64
LIFETIME = 10.0
"""Seconds a connection has to send its request and take the answer."""

_METRICS = "text/plain; version=0.0.4; charset=utf-8"

_Answer = Callable[[], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether to send requests here; `degraded` serves, but something is missing, and `detail` says what."""

    ok: bool
    degraded: bool = False
    detail: str = ""


class AdminState(Protocol):
    """What the admin server asks of the sidecar. Nothing it returns may hold a secret."""

    def ready(self) -> Readiness:
        """Tell whether requests should come here now."""

    def started(self) -> bool:
        """Tell whether start-up is over."""

    def status(self) -> dict[str, object]:
        """Return what `/status` shows, of types that JSON knows."""

    async def metrics(self) -> bytes:
        """Return Prometheus text, format 0.0.4."""


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
    answers = _answers(state)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        answer = answers.get(request.path)
        if answer is None:
            return _problem(404)
        if request.method not in {"GET", "HEAD"}:
            return _problem(405, allow="GET, HEAD")
        try:
            return await answer()
        except Exception as error:  # noqa: BLE001  a bug in one answer must not end the server
            journal.tell(Failed.of(f"admin {request.path}", error))
            return _problem(500)

    return handle


def _answers(state: AdminState) -> dict[str, _Answer]:
    async def health() -> web.Response:
        return _json(200, {"status": "ok"})

    async def ready() -> web.Response:
        readiness = state.ready()
        return _json(200 if readiness.ok else 503, asdict(readiness))

    async def started() -> web.Response:
        done = state.started()
        return _json(200 if done else 503, {"started": done})

    async def status() -> web.Response:
        return _json(200, state.status())

    async def metrics() -> web.Response:
        return _response(200, await state.metrics(), _METRICS)

    return {
        "/healthz": health,
        "/readyz": ready,
        "/startupz": started,
        "/status": status,
        "/metrics": metrics,
    }


def _json(status: int, body: dict[str, object], content_type: str = "application/json") -> web.Response:
    return _response(status, json.dumps(body, default=repr).encode() + b"\n", content_type)


def _problem(status: int, *, allow: str = "") -> web.Response:
    """Answer with an RFC 9457 problem that says nothing about the cause."""
    body: dict[str, object] = {"title": HTTPStatus(status).phrase, "status": status}
    response = _json(status, body, "application/problem+json")
    if allow:
        response.headers["Allow"] = allow
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
