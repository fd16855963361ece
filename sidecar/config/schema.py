"""The configuration file as it is written: every key, its meaning and its default."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from sidecar.config.credentials import Credentials
from sidecar.config.decode import Node
from sidecar.config.tenants import Tenant
from sidecar.config.tokens import TokenEntry
from sidecar.config.types import (
    KEY_PREFIX,
    RESTART,
    BearerReference,
    Duration,
    KeyReference,
    Name,
    Reference,
    Share,
    Span,
    Text,
    Tls,
    text,
)
from sidecar.core import addresses
from sidecar.fleet.settings import Dialect
from sidecar.proxy.routes import On401
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


class Match(Node, frozen=True, kw_only=True):
    """Which requests take the route: one with a host goes first, then the longest prefix wins."""

    prefix: Annotated[str, text("prefix", "^/"), Meta(description="Path prefix, on segment bounds.")] = "/"
    host: Annotated[
        str | None, text("host", addresses.HOST), Meta(description="Host the client names. Absent: any.")
    ] = None


class Timeouts(Node, frozen=True, kw_only=True):
    """How long the upstream may take. `0s` is unlimited."""

    connect: Annotated[Duration, Meta(description="For a connection, TLS included.")] = "5s"
    idle: Annotated[Duration, Meta(description="Longest silence within one exchange.")] = "60s"
    total: Annotated[Duration, Meta(description="For the whole exchange.")] = "0s"


class EncryptionKey(Node, frozen=True, kw_only=True):
    """A key shared by the whole fleet."""

    id: Annotated[Name, Meta(description="Names the key in what it seals; the same in every pod.")]
    key: Annotated[KeyReference, Meta(description="32 bytes in base64, as `sidecar keygen` makes them.")]


class Sentinel(Node, frozen=True, kw_only=True):
    """How the Sentinels are asked for the server."""

    needs: ClassVar[Mapping[str, str]] = {"username": "password"}

    master: Annotated[Name, Meta(description="The name the Sentinels know the server by.")]
    username: Annotated[Text | None, Meta(description="ACL user of the Sentinels themselves.")] = None
    password: Annotated[Reference | None, Meta(description="Password of the Sentinels themselves.")] = None


class Redis(Node, frozen=True, kw_only=True):
    """The store and the bus that the fleet shares."""

    needs: ClassVar[Mapping[str, str]] = {"username": "password"}

    url: Annotated[
        str,
        text("redis", "^(rediss?|unix)://"),
        Meta(
            description="`redis(s)://host[:port][,host…][/database]` or `unix:///path[?db=0]`, without a "
            "password. Several hosts are Sentinels or nodes of a Cluster."
        ),
    ]
    key_prefix: Annotated[
        str,
        text("key_prefix", KEY_PREFIX),
        Meta(description="In front of every key and channel; the same in the whole fleet."),
    ] = ""
    username: Annotated[Text | None, Meta(description="ACL user.")] = None
    password: Annotated[Reference | None, Meta(description="Password, of the ACL user or the server's.")] = (
        None
    )
    tls: Annotated[Tls, Meta(description="How a rediss server is verified.")] = Tls()
    sentinel: Annotated[
        Sentinel | None, Meta(description="The URL's hosts are Sentinels that know the server.")
    ] = None
    cluster: Annotated[bool, Meta(description="The URL's hosts are nodes of a Redis Cluster.")] = False
    encryption: Annotated[
        Literal["aes-256-gcm", "none"],
        Meta(description="`none`: tokens are readable in Redis, and whoever reaches it can bust."),
    ] = "aes-256-gcm"
    encryption_keys: Annotated[
        tuple[EncryptionKey, ...], Meta(description="The first seals, all open: that is how keys rotate.")
    ] = ()


class ForeignChannel(Node, frozen=True, kw_only=True):
    """A channel on which another program tells of dead tokens."""

    channel: Annotated[Text, Meta(description="The Redis channel, as it is; no pattern.")]
    dialect: Annotated[Dialect, Meta(description="How its messages are read.")]


class Busts(Node, frozen=True, kw_only=True):
    """Whose busts are heard besides the fleet's own."""

    listen: Annotated[
        tuple[ForeignChannel, ...], Meta(description="Channels of other programs on the same Redis.")
    ] = ()


class RouteEntry(Node, frozen=True, kw_only=True):
    """One way through the sidecar."""

    name: Annotated[Name, Meta(description="Names the route in logs and metrics.")]
    match: Annotated[Match, Meta(description="Absent: every request.")] = Match()
    upstream: Annotated[
        str,
        text("upstream", "^https?://", format="uri"),
        Meta(description="`http(s)://host[:port][/base/path]`; the relayed path comes after the base path."),
    ]
    token: Annotated[
        Name | None,
        Meta(
            description="Which entry of `tokens` to inject. Absent: the client's own credentials are "
            "relayed. Routes may share a token; whoever receives it could use it at the others, so ask for "
            "one token per audience where upstreams do not trust each other."
        ),
    ] = None
    strip_prefix: Annotated[bool, Meta(description="Take the matched prefix off the relayed path.")] = False
    on_401: Annotated[
        On401,
        Meta(
            description="When a refusal renews the token: `lenient` also without a Bearer error, `strict` "
            'only at `error="invalid_token"`, `ignore` never.'
        ),
    ] = "lenient"
    refused_statuses: Annotated[
        tuple[Annotated[int, Meta(ge=400, le=499)], ...],
        Meta(min_length=1, description="Statuses that mean a refused token; some upstreams say 403 or 440."),
    ] = (401,)
    timeouts: Annotated[Timeouts, Meta(description="How long the upstream may take.")] = Timeouts()
    tls: Annotated[Tls, Meta(description="How an https upstream is verified.")] = Tls()
    max_connections: Annotated[int, Meta(ge=1, le=65535, description="Connections to the upstream.")] = 1024


class Log(Node, frozen=True, kw_only=True):
    """What is written to standard output."""

    format: Annotated[
        Literal["json", "console"], RESTART, Meta(description="`json` for machines, `console` for people.")
    ] = "json"
    level: Annotated[Level, Meta(description="Least level that is written.")] = "info"
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
