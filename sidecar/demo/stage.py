"""Everything the demo consists of, started and stopped together."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from aiohttp import ClientSession, web

from sidecar.core.secret import Secret
from sidecar.demo.screen import Line
from sidecar.demo.servers import CLIENT_ID, AuthorizationServer, Upstream


class Running(Protocol):
    """A sidecar that was started."""

    @property
    def address(self) -> str:
        """Where applications reach it, `host:port`."""

    @property
    def admin_address(self) -> str:
        """Where its operators do."""

    async def stop(self) -> None:
        """Finish what is in flight and stop, within a bound."""


class Start(Protocol):
    """Starts a sidecar on the running loop."""

    async def __call__(
        self, *, upstream: str, token_endpoint: str, client_id: str, client_secret: Secret, output: int
    ) -> Running:
        """Start one on loopback ports of its own choice that relays every path to `upstream` with a token.

        Its log goes, as JSON, to the file descriptor `output`. May raise any SidecarError.
        """


class Log:
    """The sidecar's own log lines, as they come out of it."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def line(self) -> Line | None:
        """Return the next line, None after the last."""
        text = await self._reader.readline()
        line: Line | None = json.loads(text) if text else None
        return line


@dataclass(frozen=True, slots=True)
class Stage:
    """What the script plays on; URLs have no slash at their end."""

    tokens: AuthorizationServer
    authorization_url: str
    upstream: Upstream
    upstream_url: str
    sidecar_url: str
    admin_url: str
    log: Log
    application: ClientSession


@asynccontextmanager
async def build(start: Start) -> AsyncIterator[Stage]:
    """Start both servers and a sidecar between them; stop them in the opposite order."""
    tokens = AuthorizationServer()
    upstream = Upstream(tokens)
    async with AsyncExitStack() as stack:
        authorization_url = await stack.enter_async_context(_served(tokens.routes()))
        upstream_url = await stack.enter_async_context(_served(upstream.routes()))
        reader, output = await stack.enter_async_context(_pipe())
        sidecar = await start(
            upstream=upstream_url,
            token_endpoint=f"{authorization_url}/token",
            client_id=CLIENT_ID,
            client_secret=tokens.client_secret,
            output=output,
        )
        stack.push_async_callback(sidecar.stop)
        application = await stack.enter_async_context(ClientSession())
        yield Stage(
            tokens,
            authorization_url,
            upstream,
            upstream_url,
            f"http://{sidecar.address}",
            f"http://{sidecar.admin_address}",
            Log(reader),
            application,
        )


@asynccontextmanager
async def _served(routes: list[web.RouteDef]) -> AsyncIterator[str]:
    server = web.Application()
    server.add_routes(routes)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """Give the reader of a pipe and the descriptor to write to."""
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
    )
    try:
        yield reader, writing
    finally:
        os.close(writing)
        transport.close()
