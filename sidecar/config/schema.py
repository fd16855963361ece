"""The configuration file as it is written, and its settings; large sections have a module of their own."""

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
from sidecar.config.settings import AdminSettings, Config, LogSettings, TokenApiSettings
from sidecar.config.tenants import Tenant, rule
from sidecar.config.tokens import TokenEntry, token_request
from sidecar.config.types import RESTART, BearerReference, Duration, Name, Share, Span, secret, text
from sidecar.config.yaml_file import Read
from sidecar.core.addresses import HOST
from sidecar.proxy.tenants import for_tenant
from sidecar.telemetry.words import Level


class Admin(Node, frozen=True, kw_only=True):
    """Admin server for probes, metrics, status and busts."""

    listen: Annotated[
        str,
        text("listen"),
        RESTART,
        Meta(description="Address of the admin server. The kubelet and Prometheus must be able to reach it."),
    ] = "0.0.0.0:9181"
    token: Annotated[
        BearerReference | None,
        Meta(description="Bearer token that `POST /bust` requires. Unset: `POST /bust` is disabled."),
    ] = None
    hosts: Annotated[
        tuple[Annotated[str, text("host", HOST)], ...],
        Meta(
            description="`Host` names, such as a Service's, accepted for the page, `/status`, `/events` and `/bust`. "
            "Addresses, `localhost` and the name in `listen` are always accepted; probes and `/metrics` "
            "accept any.",
        ),
    ] = ()


class TokenApi(Node, frozen=True, kw_only=True):
    """Tokens for programs that cannot send their requests through the sidecar, and for proxies."""

    listen: Annotated[
        str | None,
        text("listen_loopback"),
        RESTART,
        Meta(
            description="Address of the token API: loopback or a Unix socket only, such as `127.0.0.1:9182`. Unset: "
            "there is no token API."
        ),
    ] = None
    tokens: Annotated[
        tuple[Name, ...],
        Meta(
            min_length=1,
            description="Entries of `tokens` that programs in the pod may get. There is no wildcard.",
        ),
    ]
    authorize: Annotated[
        bool,
        Meta(
            description="Header mode, for proxies that request a token for each request: nginx, Envoy, Traefik. It "
            "serves `/authorize` and `/refused`."
        ),
    ] = False


class Cache(Node, frozen=True, kw_only=True):
    """Lifetime and number of cached tokens."""

    mode: Annotated[
        Literal["local", "distributed"] | None,
        RESTART,
        Meta(
            description="`local`: each sidecar has its own cache. `distributed`: all pods share Redis. Unset: "
            "`distributed` if `redis.url` is set, else `local`."
        ),
    ] = None
    memory_ttl: Annotated[
        Span, Meta(description="Longest time a token stays in memory. No effect in `local` mode.")
    ] = "30s"
    store_ttl: Annotated[
        Span, RESTART, Meta(description="Longest time a token stays in Redis. No effect in `local` mode.")
    ] = "300s"
    leeway: Annotated[
        Duration,
        Meta(
            description="Time before expiry at which a token is renewed in the background. At most 60 s and half the "
            "token's lifetime."
        ),
    ] = "60s"
    max_entries: Annotated[
        int,
        RESTART,
        Meta(
            ge=1,
            le=1_000_000,
            description="Tokens kept in memory. Together they take at most 10 MiB, or this number of KiB if that is "
            "more. Beyond it, the least recently used token is evicted.",
        ),
    ] = 10_000


class Log(Node, frozen=True, kw_only=True):
    """Log on standard output."""

    format: Annotated[
        Literal["json", "console"],
        RESTART,
        Meta(description="`json`: an object per line. `console`: columns for people."),
    ] = "json"
    level: Annotated[
        Level,
        Meta(
            extra={"also": {"warn": "warning"}},
            description="Lowest level that is written. `warn` means `warning`; access log lines have level `info`.",
        ),
    ] = "info"
    requests: Annotated[
        Share,
        Meta(
            description="Successful requests that are written: `all`, `errors` (none), or a share such as `1%`. "
            "Requests that failed, got a status of 400 or more, or were sent twice are always written."
        ),
    ] = "all"


class File(Node, frozen=True, kw_only=True):
    """Configuration of the credential sidecar. Unknown keys are errors."""

    listen: Annotated[
        str,
        text("listen_loopback"),
        RESTART,
        Meta(description="Address that the application connects to: loopback or a Unix socket only."),
    ] = "127.0.0.1:9180"
    admin: Annotated[Admin, Meta(description="Admin server: probes, metrics, status and busts.")] = Admin()
    token_api: Annotated[
        TokenApi | None,
        Meta(
            description="Tokens for programs that cannot send their requests through the sidecar, and for proxies. "
            "Unset: there is no token API."
        ),
    ] = None
    cache: Annotated[Cache, Meta(description="Lifetime and number of cached tokens.")] = Cache()
    redis: Annotated[
        Redis | None,
        RESTART,
        Meta(description="Redis or Valkey that all pods share. Unset: each sidecar works by itself."),
    ] = None
    busts: Annotated[Busts, RESTART, Meta(description="Busts from other programs.")] = Busts()
    tenant: Annotated[
        Tenant | None, Meta(description="How a request names its tenant. Unset: there are no tenants.")
    ] = None
    credentials: Annotated[
        dict[Name, Credentials], Meta(description="Credentials for authorization servers, by name.")
    ] = msgspec.field(default_factory=dict)
    tokens: Annotated[dict[Name, TokenEntry], Meta(description="Token requests, by name.")] = msgspec.field(
        default_factory=dict
    )
    routes: Annotated[
        tuple[RouteEntry, ...], Meta(min_length=1, description="Routes from the application to upstreams.")
    ]
    drain_min_delay: Annotated[
        Duration,
        Meta(
            description="Minimum time to keep serving after SIGTERM, so that an application that shuts down more "
            "slowly can still send requests. `drain_timeout` still applies."
        ),
    ] = "0s"
    drain_timeout: Annotated[
        Duration,
        Meta(description="Longest time after SIGTERM until requests in flight are cut off. `0s`: no limit."),
    ] = "25s"
    log: Annotated[Log, Meta(description="Log on standard output.")] = Log()


def json_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of the configuration file."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Credential sidecar"}
    return head | msgspec.json.schema(File)


def config(file: File, environ: Mapping[str, str], breathe: Callable[[], None], read: Read) -> Config:
    """Return the settings of the file. Everything has been checked. `breathe` is called at each entry."""
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
        token_api=_token_api(file.token_api),
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


def _token_api(entry: TokenApi | None) -> TokenApiSettings:
    if entry is None or entry.listen is None:
        return TokenApiSettings()
    return TokenApiSettings(entry.listen, tuple(map(str, entry.tokens)), entry.authorize)


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
