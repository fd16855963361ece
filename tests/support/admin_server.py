"""An admin server by itself: a sidecar's state as the test sets it, and a client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp

from sidecar.admin import server as admin
from sidecar.admin.events_stream import EVERY
from sidecar.admin.ports import Readiness
from sidecar.admin.server import LIFETIME, AdminServer
from sidecar.app.listen import bind
from sidecar.cache.refused_tokens import BustFailure
from sidecar.core.errors import NothingToBust
from sidecar.core.labels import Labels
from sidecar.core.secret import Secret
from sidecar.fleet.answers import SelectOutcome
from tests.support.journal import RecordingJournal

TOKEN = "an-operators-canary"


class State:
    """A sidecar's state as the test sets it."""

    def __init__(self) -> None:
        self.readiness = Readiness(ok=True)
        self.is_started = True
        self.shown: dict[str, object] = {"version": "1.2.3", "tokens": []}
        self.text: Callable[[], Awaitable[bytes]] = self._text
        self.token: Secret | None = Secret(TOKEN)
        self.outcome: SelectOutcome | BustFailure = SelectOutcome(3, {"a": 2, "b": 0, "c": 1})
        self.impossible = ""
        """Why no token of any pod can carry the labels of a bust."""
        self.unknown: list[str] = []
        """Warnings about the labels of a bust."""
        self.busted: list[Labels] = []
        self.names: set[str] = set()

    async def _text(self) -> bytes:
        return b"# TYPE up gauge\nup 1.0\n"

    def ready(self) -> Readiness:
        return self.readiness

    def started(self) -> bool:
        return self.is_started

    def status(self, chosen: Labels) -> dict[str, object]:
        self.chosen = chosen
        return self.shown

    async def not_found(self, chosen: Labels) -> str:
        return f"this pod has no token with {dict(chosen)}"

    async def metrics(self) -> bytes:
        return await self.text()

    def hosts(self) -> set[str]:
        return self.names

    async def operators_token(self) -> Secret | None:
        return self.token

    async def bust(self, chosen: Labels) -> SelectOutcome | BustFailure:
        if self.impossible:
            raise NothingToBust(self.impossible)
        self.busted.append(chosen)
        return self.outcome

    async def unknown_labels(self, chosen: Labels) -> list[str]:
        return self.unknown


class Rig:
    """A running admin server and a client for it."""

    def __init__(self, state: State, journal: RecordingJournal, server: AdminServer) -> None:
        self.state = state
        self.journal = journal
        self.server = server

    async def send(self, data: bytes) -> bytes:
        """Send raw bytes and read until the server closes."""
        host, port = self.server.address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def ask(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        url = f"http://{self.server.address}{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url) as answer:
            return answer.status, dict(answer.headers), await answer.read()


@asynccontextmanager
async def running(state: State, *, lifetime: float = LIFETIME, every: float = EVERY) -> AsyncIterator[Rig]:
    """Start one on a port of its own."""
    journal = RecordingJournal()
    server = await admin.start(state, "127.0.0.1:0", journal, bind, lifetime=lifetime, every=every)
    try:
        yield Rig(state, journal, server)
    finally:
        await server.close()


async def bust(
    rig: Rig,
    body: bytes,
    *fields: str,
    authorization: str = f"Bearer {TOKEN}",
    host: str = "localhost",
    path: str = "/bust",
) -> tuple[bytes, dict[str, object]]:
    """POST /bust, or to another path; the status line with the fields, and the body."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Length: {len(body)}",
        *([f"Authorization: {authorization}"] if authorization else []),
        *fields,
    ]
    head, _, content = (await rig.send("\r\n".join([*lines, "", ""]).encode() + body)).partition(b"\r\n\r\n")
    return head, json.loads(content)
