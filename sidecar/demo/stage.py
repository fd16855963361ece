"""All parts of the demo, started and stopped together."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from string import ascii_uppercase

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from sidecar.demo.errors import Unexpected
from sidecar.demo.redis import running_redis
from sidecar.demo.servers import AuthorizationServer, Upstream
from sidecar.demo.sidecars import Sidecar, Start, started


@dataclass(frozen=True, slots=True)
class Pace:
    """Durations in seconds."""

    short_life: float = 6.0
    """Life of the token that is to be renewed during the demo; half of it passes by waiting."""
    delay: float = 0.3
    """Delay of the authorization server for a token while many requests arrive."""
    patience: float = 10.0
    """The longest wait for an answer or a log line."""


class Site:
    """A server that can go down and come back on the same port."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner
        self._port = 0
        self.url = ""

    async def up(self) -> None:
        """Listen, on the earlier port if there was one. Raises Unexpected if another program took that."""
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        except OSError as error:
            raise Unexpected(f"a server cannot listen on port {self._port}: {error.strerror}") from None
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def down(self) -> None:
        """Refuse connections."""
        for site in set(self._runner.sites):
            await site.stop()


class Fleet:
    """Sidecars that share a Redis. They stay up as long as the stage does."""

    def __init__(
        self, start: Callable[..., AbstractAsyncContextManager[Sidecar]], stack: AsyncExitStack
    ) -> None:
        self._start = start
        self._stack = stack
        self.sidecars: list[Sidecar] = []

    async def another(self) -> Sidecar:
        """Start one with nothing in memory, named A, B and so on. May raise any SidecarError."""
        name = ascii_uppercase[len(self.sidecars)]
        self.sidecars.append(await self._stack.enter_async_context(self._start(name=name)))
        return self.sidecars[-1]


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts that the script uses."""

    pace: Pace
    tokens: AuthorizationServer
    authorization: Site
    upstream: Upstream
    upstream_url: str
    sidecar: Sidecar
    another_sidecar: Callable[[], AbstractAsyncContextManager[Sidecar]]
    """Starts one with nothing in memory."""
    fleet: Fleet | None
    """None if there is no Redis."""
    application: ClientSession


@asynccontextmanager
async def build(start: Start, redis: str | None, pace: Pace) -> AsyncIterator[Stage]:
    """Start both servers, a sidecar between them, and Redis; stop them in the opposite order. May raise Unexpected.

    `redis` is the program, None where there is none.
    """
    tokens = AuthorizationServer()
    upstream = Upstream(tokens)
    async with AsyncExitStack() as stack:
        authorization = await stack.enter_async_context(_served(tokens.routes()))
        upstream_url = (await stack.enter_async_context(_served(upstream.routes()))).url
        another_sidecar = partial(
            started,
            start,
            upstream=upstream_url,
            token_endpoint=f"{authorization.url}/token",
            client_secret=tokens.client_secret,
            patience=pace.patience,
        )
        fleet = None
        if redis is not None:
            settings = await stack.enter_async_context(running_redis(redis, pace.patience))
            fleet = Fleet(partial(another_sidecar, redis=settings), stack)
        sidecar = await stack.enter_async_context(another_sidecar())
        connector, timeout = TCPConnector(limit=0), ClientTimeout(total=pace.patience)
        application = await stack.enter_async_context(ClientSession(connector=connector, timeout=timeout))
        yield Stage(
            pace, tokens, authorization, upstream, upstream_url, sidecar, another_sidecar, fleet, application
        )


@asynccontextmanager
async def _served(routes: list[web.RouteDef]) -> AsyncIterator[Site]:
    server = web.Application()
    server.add_routes(routes)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = Site(runner)
        await site.up()
        yield site
    finally:
        await runner.cleanup()
