"""The configuration file as it is written, and what is meant; large sections have a module of their own."""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sidecar.cache.settings import CacheSettings
from sidecar.config import durations
from sidecar.config.credentials import Credentials, spec
from sidecar.config.decode import Node
from sidecar.config.redis import Busts, Redis, bust_settings, redis_settings
from sidecar.config.routes import RouteEntry, routes
from sidecar.config.settings import AdminSettings, Config, LogSettings
from sidecar.config.tenants import Tenant, rule
from sidecar.config.tokens import TokenEntry, token_request
from sidecar.config.types import RESTART, BearerReference, Duration, Name, Share, Span, secret, text
from sidecar.config.yaml_file import Read
from sidecar.core.addresses import HOST
from sidecar.proxy.tenants import for_tenant
from sidecar.telemetry.words import Level


class Admin(Node, frozen=True, kw_only=True):
    """The server for probes, metrics and status."""

    listen: Annotated[
        str,
        text("listen"),
        RESTART,
        Meta(description="Address, `host:port` or `unix:/path`; the kubelet must reach it."),
    ] = "0.0.0.0:9181"
    token: Annotated[
        BearerReference | None,
        Meta(description="Bearer token that `POST /bust` asks for. Absent: nobody may bust that way."),
    ] = None
    hosts: Annotated[
        tuple[Annotated[str, text("host", HOST)], ...],
        Meta(
            description="Host names under which the page, `/status`, `/events` and `/bust` answer, besides addresses, "
            "`localhost` and the name in `listen`. Probes and `/metrics` answer under any.",
        ),
    ] = ()


class Cache(Node, frozen=True, kw_only=True):
    """How long tokens are kept, and how many."""

    mode: Annotated[
        Literal["local", "distributed"] | None,
        RESTART,
        Meta(
            description="`local`: each sidecar caches for itself. `distributed`: all share Redis. Absent: "
            "`distributed` where `redis.url` is given."
        ),
    ] = None
    memory_ttl: Annotated[
        Span, Meta(description="Longest stay in memory where a shared store is behind it.")
    ] = "30s"
    store_ttl: Annotated[Span, RESTART, Meta(description="Longest stay in the shared store.")] = "300s"
    leeway: Annotated[
        Duration,
        Meta(description="How long before its expiry a token is renewed behind; at most half its life."),
    ] = "60s"
    max_entries: Annotated[
        int,
        RESTART,
        Meta(
            ge=1,
            le=1_000_000,
            description="Tokens kept in memory, in 10 MiB or in as many KiB where that is more; the least "
            "recently used goes first.",
        ),
    ] = 10_000


class Log(Node, frozen=True, kw_only=True):
    """What is written to standard output."""

    format: Annotated[
        Literal["json", "console"], RESTART, Meta(description="`json` for machines, `console` for people.")
    ] = "json"
    level: Annotated[
        Level, Meta(extra={"also": {"warn": "warning"}}, description="Least level that is written.")
    ] = "info"
    requests: Annotated[
        Share,
        Meta(
            description="Which successful requests are written: `all`, `errors` (none of them), or a share such "
            "as `1%`. Errors, refusals and what was sent twice always are."
        ),
    ] = "all"


class File(Node, frozen=True, kw_only=True):
    """Configuration of the credential sidecar. Unknown keys are errors."""

    listen: Annotated[
        str,
        text("listen_loopback"),
        RESTART,
        Meta(description="Loopback `host:port`, or `unix:/path`, for the clients."),
    ] = "127.0.0.1:9180"
    admin: Annotated[Admin, Meta(description="Probes, metrics and status.")] = Admin()
    cache: Annotated[Cache, Meta(description="How long tokens are kept.")] = Cache()
    redis: Annotated[
        Redis | None, RESTART, Meta(description="What the fleet shares. Absent: each sidecar is on its own.")
    ] = None
    busts: Annotated[Busts, RESTART, Meta(description="Whose busts are heard.")] = Busts()
    tenant: Annotated[
        Tenant | None, Meta(description="Whom requests are for. Absent: there are no tenants.")
    ] = None
    credentials: Annotated[dict[Name, Credentials], Meta(description="What authenticates us, by name.")] = (
        msgspec.field(default_factory=dict)
    )
    tokens: Annotated[dict[Name, TokenEntry], Meta(description="Token requests, by name.")] = msgspec.field(
        default_factory=dict
    )
    routes: Annotated[tuple[RouteEntry, ...], Meta(min_length=1, description="Ways through the sidecar.")]
    drain_min_delay: Annotated[
        Duration,
        Meta(description="Least time to go on once asked to stop, for clients that only come after that."),
    ] = "0s"
    drain_timeout: Annotated[
        Duration,
        Meta(description="How long requests in flight may take once asked to stop. `0s` is unlimited."),
    ] = "25s"
    log: Annotated[Log, Meta(description="Logging to standard output.")] = Log()


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of the configuration file."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Credential sidecar"}
    return head | msgspec.json.schema(File)


def config(file: File, environ: Mapping[str, str], breathe: Callable[[], None], read: Read) -> Config:
    """Return what is meant by the file. Everything has been checked. `breathe` is called at each entry."""
    redis = redis_settings(file.redis, environ) if file.redis and file.cache.mode != "local" else None
    tokens = {}
    for name, entry in file.tokens.items():
        breathe()
        tokens[name] = token_request(name, entry, file.credentials[entry.credentials], environ, read)
    tenants = rule(file.tenant)
    if tenants is not None and tenants.fixed:
        tokens = {name: for_tenant(token, tenants.default) for name, token in tokens.items()}
        tenants = None
    return Config(
        listen=file.listen,
        admin=_admin(file.admin, environ),
        cache=_cache(file.cache, shared=redis is not None),
        redis=redis,
        busts=bust_settings(file.busts),
        credentials={name: spec(name, entry, environ) for name, entry in file.credentials.items()},
        tokens=tokens,
        tenants=tenants,
        routes=tuple(routes(file.routes, tokens, tenants, breathe)),
        drain_min_delay=durations.seconds(file.drain_min_delay),
        drain_timeout=durations.seconds(file.drain_timeout),
        log=_log(file.log),
    )


def _admin(entry: Admin, environ: Mapping[str, str]) -> AdminSettings:
    hosts = frozenset(host.lower() for host in entry.hosts)
    return AdminSettings(entry.listen, secret(entry.token, environ), hosts)


def _cache(entry: Cache, *, shared: bool) -> CacheSettings:
    return CacheSettings(
        mode="distributed" if shared else "local",
        memory_ttl=durations.seconds(entry.memory_ttl),
        store_ttl=durations.seconds(entry.store_ttl),
        leeway=durations.seconds(entry.leeway),
        max_entries=entry.max_entries,
    )


def _log(entry: Log) -> LogSettings:
    return LogSettings(format=entry.format, level=entry.level, requests=durations.share(entry.requests))
