"""The configuration in force: checked, complete, frozen; times in seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sidecar.core.credentials import CredentialSpec
from sidecar.core.errors import Fault
from sidecar.core.routes import Route
from sidecar.core.secret import SecretRef
from sidecar.core.tenants import TenantRule
from sidecar.core.tls import Tls
from sidecar.core.token import MAX_LEEWAY, TokenRequest


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """The server for probes, metrics and status."""

    listen: str = "0.0.0.0:9181"
    token: SecretRef | None = None
    """Who shows it may bust; without one nobody may."""


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How long tokens are kept, and how many."""

    mode: Literal["local", "distributed"] = "local"
    memory_ttl: float = 30.0
    """Longest stay in memory where a store is behind it; without one, to the token's expiry."""
    store_ttl: float = 300.0
    leeway: float = MAX_LEEWAY
    max_entries: int = 10_000


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """One key of the fleet's, 32 bytes in base64."""

    id: str
    key: SecretRef


@dataclass(frozen=True, slots=True)
class SentinelSettings:
    """Who is asked where the server is."""

    master: str
    """The name the Sentinels know it by."""
    username: str = ""
    password: SecretRef | None = None
    """What the Sentinels themselves ask for; not the server's own."""


@dataclass(frozen=True, slots=True)
class RedisSettings:
    """Where the fleet's Redis is, how we prove ourselves there, and what protects our values."""

    hosts: tuple[tuple[str, int], ...] = ()
    """One server; the Sentinels, with `sentinel`; some nodes of it, with `cluster`. Names without brackets."""
    unix_path: str = ""
    """A socket in place of `hosts`."""
    tls: Tls | None = None
    """None speaks plain TCP."""
    database: int = 0
    username: str = ""
    password: SecretRef | None = None
    sentinel: SentinelSettings | None = None
    cluster: bool = False
    key_prefix: str = ""
    """In front of every key and channel."""
    encryption_keys: tuple[EncryptionKey, ...] = ()
    """The first seals, all open. None: values are plain and messages unsigned, as the operator wrote down."""
    operation_timeout: float = 0.1
    """Seconds a request may lose to Redis, connecting included."""


Dialect = Literal["mcp-gateway", "lerian"]


@dataclass(frozen=True, slots=True)
class ForeignChannel:
    """Where another program tells of dead tokens, and how its messages are read."""

    channel: str
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class BustSettings:
    """Whose busts are heard besides the fleet's own."""

    listen: tuple[ForeignChannel, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a sidecar is told."""

    listen: str = "127.0.0.1:9180"
    admin: AdminSettings = AdminSettings()
    cache: CacheSettings = CacheSettings()
    redis: RedisSettings | None = None
    """None exactly where `cache.mode` is local."""
    busts: BustSettings = BustSettings()
    credentials: Mapping[str, CredentialSpec] = field(default_factory=dict)
    tokens: Mapping[str, TokenRequest] = field(default_factory=dict)
    tenants: TenantRule | None = None
    """None where there are none, or only one, whom `tokens` are for then."""
    routes: tuple[Route, ...] = ()
    drain_min_delay: float = 0.0
    """How long to go on listening, whether or not anybody asks, once we were asked to stop."""
    drain_timeout: float = 25.0
    """How long requests in flight may take once we were asked to stop; 0 for as long as they like."""
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_requests: float = 1.0
    """Share of the successful requests that are logged; the others always are."""


def only_by_restart(old: Config, new: Config) -> tuple[Fault, ...]:
    """Return what a reload cannot change, by its path in the configuration."""
    return tuple(
        Fault("reload", path, "changing this takes a restart")
        for path, before, after in (
            ("listen", old.listen, new.listen),
            ("admin.listen", old.admin.listen, new.admin.listen),
            ("cache.mode", old.cache.mode, new.cache.mode),
            ("cache.store_ttl", old.cache.store_ttl, new.cache.store_ttl),
            ("cache.max_entries", old.cache.max_entries, new.cache.max_entries),
            ("redis", old.redis, new.redis),
            ("busts", old.busts, new.busts),
            ("log.format", old.log_format, new.log_format),
        )
        if before != after
    )
