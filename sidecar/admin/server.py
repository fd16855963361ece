"""The admin server's listener and the handler of each path."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Protocol

from sidecar.admin import own_hosts
from sidecar.admin.bust import bust, check_token
from sidecar.admin.connection import Connection, Connections, Handler
from sidecar.admin.events_stream import EVERY, PATIENCE, LiveEvents, asked_for
from sidecar.admin.messages import Answer, Head, document, problem, whole
from sidecar.admin.page import page
from sidecar.admin.ports import AdminState
from sidecar.core.errors import RequestRefused
from sidecar.telemetry.events import Failed
from sidecar.telemetry.ports import Journal

MAX_CONNECTIONS = 64
"""Limit: admin connections, live pages not included (number). Beyond: the oldest connection is closed, so that no
client can keep probes out."""
LIFETIME = 10.0
"""Limit: time for a request to the admin server and its response (seconds). Beyond: the connection is closed."""

_METRICS = "text/plain; version=0.0.4; charset=utf-8"

_READ = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Page:
    """One path."""

    answer: Handler
    meaning: str
    """Its content, for the reference."""
    methods: tuple[str, ...] = _READ
    under_any_host: bool = False
    """Whether it is served under any Host: probes and scrapes use names that are not configured."""


class BoundAddress(Protocol):
    """An address listened on."""

    address: str

    def close(self) -> None:
        """Accept no more connections."""


Bind = Callable[[str, Callable[[], asyncio.Protocol]], Awaitable[BoundAddress]]
"""Listens on an address with a protocol for each connection. Raises ListenError."""


class AdminServer:
    """A running admin server."""

    def __init__(self, bound: BoundAddress, connections: Connections, live: LiveEvents) -> None:
        self._bound = bound
        self._connections = connections
        self._live = live
        self.address = bound.address

    async def close(self) -> None:
        """Stop listening, give answers under way one second to finish, and end."""
        self._bound.close()
        self._live.close()
        answering = [each.answering for each in self._connections if each.answering is not None]
        if answering:
            _, late = await asyncio.wait(answering, timeout=1.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in tuple(self._connections):
            connection.close()


async def start(
    state: AdminState,
    listen: str,
    journal: Journal,
    bind: Bind,
    *,
    lifetime: float = LIFETIME,
    every: float = EVERY,
    patience: float = PATIENCE,
) -> AdminServer:
    """Listen on `listen`; report bugs in handlers to `journal`. Raises ListenError.

    `every` is the number of seconds between two live events, `patience` the limit for reading one.
    """
    live = LiveEvents(state, every=every, patience=patience)

    def guard(head: Head) -> None:
        own_hosts.check(head.values("host"), listen, state.hosts())

    handler = _router(pages(state, live), guard, journal)
    connections: Connections = {}

    def connect() -> asyncio.Protocol:
        limited = [each for each in connections if not each.stays]
        if len(limited) >= MAX_CONNECTIONS:
            limited[0].cut()
        return Connection(handler, lifetime, connections)

    return AdminServer(await bind(listen, connect), connections, live)


def _router(paths: Mapping[str, Page], guard: Callable[[Head], None], journal: Journal) -> Handler:
    async def handle(connection: Connection, head: Head) -> Answer | None:
        at = paths.get(head.path)
        if at is None:
            return problem(404)
        if head.method not in at.methods:
            return problem(405, Allow=", ".join(at.methods))
        try:
            if not at.under_any_host:
                guard(head)
            return await at.answer(connection, head)
        except Exception as error:  # noqa: BLE001  a bug in one answer must not end the server
            if isinstance(error, RequestRefused):
                return problem(error.status, str(error))
            journal.tell(Failed.of(f"admin {head.path}", error))
            return problem(500)

    return handle


async def status(state: AdminState, _: Connection, head: Head) -> Answer:
    """Answer with the state, and where a selection has no token, why."""
    selector = asked_for(head)
    shown = state.status(selector)
    if selector and not shown["tokens"]:
        shown = {**shown, "not_found": await state.not_found(selector)}
    return document(200, shown)


def pages(state: AdminState, live: LiveEvents) -> dict[str, Page]:
    """Return all pages, by path."""

    async def health(_: Connection, __: Head) -> Answer:
        return document(200, {"status": "ok"})

    async def ready(_: Connection, __: Head) -> Answer:
        readiness = state.ready()
        return document(200 if readiness.ok else 503, asdict(readiness))

    async def started(_: Connection, __: Head) -> Answer:
        done = state.started()
        return document(200 if done else 503, {"started": done})

    async def metrics(_: Connection, __: Head) -> Answer:
        return whole(200, await state.metrics(), _METRICS)

    return {
        "/": Page(page, "The live page, for a browser."),
        "/events": Page(
            live.answer, "What `/status` returns, every second, as server-sent events.", ("GET",)
        ),
        "/healthz": Page(health, "200 while the process answers.", under_any_host=True),
        "/readyz": Page(
            ready, "200 while requests should be sent here, 503 while the pod drains.", under_any_host=True
        ),
        "/startupz": Page(
            started,
            "200 once the sidecar has requested each token that depends on no request, 503 before.",
            under_any_host=True,
        ),
        "/status": Page(
            partial(status, state), "State of routes, tokens and neighbours, and recent events, as JSON."
        ),
        "/metrics": Page(
            metrics, "[Metrics](metrics.md) in the Prometheus text format.", under_any_host=True
        ),
        "/bust": Page(
            partial(bust, state),
            "Drops the tokens that carry all labels in the body, in all pods. Requires `admin.token`.",
            ("POST",),
        ),
        "/allowed": Page(
            partial(check_token, state),
            "200 if the request has the `admin.token`, 401 otherwise. Drops no tokens.",
            ("POST",),
        ),
    }
