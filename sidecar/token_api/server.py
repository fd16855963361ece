"""The token API's listener, and what it serves under a configuration."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from sidecar.config.settings import Config
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.limits import ServerLimits
from sidecar.http1.server import ClientConnection
from sidecar.http1.shared.listener import Listener
from sidecar.proxy.routes import Route
from sidecar.proxy.tenants import Tenants
from sidecar.token_api.api import TokenApi
from sidecar.token_api.entries import Served, entry

MAX_CONNECTIONS = 1024
"""Limit: connections to the token API; a tenth of the limit on client connections if that is less (number). Beyond: new
connections are closed at once."""


class BoundAddress(Protocol):
    """An address listened on."""

    address: str

    def close(self) -> None:
        """Accept no more connections."""


Bind = Callable[[str, Callable[[], ClientConnection], int], Awaitable[BoundAddress]]
"""Listens on an address with a protocol for each connection, so many at most. Raises ListenError."""


def entries(config: Config) -> tuple[Route, ...]:
    """Return what is handed out, as routes without an upstream."""
    names = config.token_api.tokens if config.token_api.listen else ()
    return tuple(entry(config.tokens[name], config.routes) for name in names)


def served(config: Config) -> Served:
    """Return what is served under this configuration."""
    settings = config.token_api
    tenants = Tenants(config.tenants, config.cache.max_entries) if config.tenants is not None else None
    by_name = dict(zip(settings.tokens, entries(config), strict=False))
    return Served(by_name, settings.authorize, settings.listen.startswith("unix:"), tenants)


class TokenApiServer:
    """The listener, open or not."""

    def __init__(self, listen: str, api: TokenApi, deadlines: Deadlines, limits: ServerLimits) -> None:
        """Take `listen`, "" if there is no token API."""
        self._listen = listen
        self._api = api
        most = min(MAX_CONNECTIONS, max(1, limits.max_connections // 10))
        self.listener = Listener(api.serve, deadlines, replace(limits, max_connections=most))
        self._bound: BoundAddress | None = None

    @property
    def address(self) -> str:
        """The bound address; "" if there is none."""
        return self._bound.address if self._bound is not None else ""

    async def start(self, bind: Bind) -> None:
        """Listen. Raises ListenError."""
        if self._listen:
            self._bound = await bind(
                self._listen, self.listener.connection, self.listener.limits.max_connections
            )

    def configure(self, config: Config) -> None:
        """Serve under another configuration from now on."""
        self._api.serve_only(served(config))

    def status(self) -> dict[str, object]:
        """Return what `/status` shows."""
        now = self._api.served
        return {"listen": self.address, "tokens": list(now.entries), "authorize": now.authorize}

    def drain(self) -> None:
        """Close connections after their answers from now on."""
        self._api.draining = True

    async def close(self) -> None:
        """Accept no more connections, and cut every one that is left."""
        if self._bound is not None:
            self._bound.close()
        await self.listener.close()
