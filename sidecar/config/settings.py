"""The configuration in force: checked, complete, frozen; times in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sidecar.cache.settings import CacheSettings
from sidecar.core.errors import Fault
from sidecar.core.secret import SecretRef
from sidecar.core.tenants import TenantRule
from sidecar.credentials.model import CredentialSpec
from sidecar.fleet.settings import BustSettings, RedisSettings
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route
from sidecar.telemetry.words import Level


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The server for probes, metrics and status."""

    listen: str = "0.0.0.0:9181"
    token: SecretRef | None = None
    """Bearer token for busts; without one, busting is disabled."""
    hosts: frozenset[str] = frozenset()
    """Lower-case names under which it shows its state, besides addresses and loopback names."""


@dataclass(frozen=True, slots=True)
class TokenApiSettings:
    """The server that hands out tokens to programs and proxies."""

    listen: str = ""
    """"" if there is none."""
    tokens: tuple[str, ...] = ()
    """Names of the token requests whose tokens are handed out."""
    authorize: bool = False
    """Whether proxies are served."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The log on standard output."""

    format: Literal["json", "console"] = "json"
    level: Level = "info"
    requests: float = 1.0
    """Share of the successful requests that are logged; the others always are."""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, at the paths of the file for keys that require a restart."""

    listen: str = "127.0.0.1:9180"
    admin: AdminSettings = AdminSettings()
    token_api: TokenApiSettings = TokenApiSettings()
    cache: CacheSettings = CacheSettings()
    redis: RedisSettings | None = None
    """None exactly where `cache.mode` is local."""
    busts: BustSettings = BustSettings()
    credentials: Mapping[str, CredentialSpec] = field(default_factory=dict)
    tokens: Mapping[str, TokenRequest] = field(default_factory=dict)
    tenants: TenantRule | None = None
    """None if there is no tenant, or only one, which `tokens` then belong to."""
    routes: tuple[Route, ...] = ()
    drain_min_delay: float = 0.0
    """Minimum seconds to keep listening after SIGTERM, with or without requests."""
    drain_timeout: float = 25.0
    """Maximum seconds for requests in flight after SIGTERM; 0 for no limit."""
    log: LogSettings = LogSettings()
    ignored: tuple[Fault, ...] = ()
    """Variables that have no effect, although their names are meant for the sidecar."""
    doubtful: tuple[Fault, ...] = ()
    """Values that can be used, but are probably a mistake."""
    unused: tuple[Fault, ...] = ()
    """Entries that nothing names. They do no harm, so the log of a running sidecar does not have them."""

    @property
    def templates(self) -> tuple[TokenRequest, ...]:
        """Return the token requests that clients can cause: those of routes, and those of the token API."""
        of_routes = (route.token for route in self.routes if route.token is not None)
        handed_out = self.token_api.tokens if self.token_api.listen else ()
        return (*of_routes, *(self.tokens[name] for name in handed_out))

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """Return all of these."""
        return self.ignored + self.doubtful + self.unused
