"""The file's `routes`: the routes through the sidecar, and the checks between them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config import durations
from sidecar.config.decode import Found, Node
from sidecar.config.hints import unknown_entry
from sidecar.config.tokens import TokenEntry
from sidecar.config.types import Duration, Name, Tls, text, tls
from sidecar.config.yaml_text.places import Faulty
from sidecar.core import addresses
from sidecar.core.header_names import Hidden, hiding
from sidecar.core.origin import Origin
from sidecar.core.tenants import TenantRule
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Isolation, On401, Route


class Match(Node, frozen=True, kw_only=True):
    """Requests that take the route. Routes with a host are tried first; then the longest prefix wins."""

    prefix: Annotated[
        str,
        text("prefix", "^/"),
        Meta(
            description="Path prefix, compared by whole segments: `/ledger` matches `/ledger/x` but not `/ledgers`."
        ),
    ] = "/"
    host: Annotated[
        str | None,
        text("host", addresses.HOST),
        Meta(description="Host in the request, without a port. Unset: any accepted host."),
    ] = None


class Timeouts(Node, frozen=True, kw_only=True):
    """Time limits for the upstream. `0s`: no limit."""

    connect: Annotated[
        Duration,
        Meta(
            description="Longest time to connect, TLS included, or to wait for a free connection. `0s`: no limit."
        ),
    ] = "5s"
    idle: Annotated[
        Duration,
        Meta(
            description="Longest silence during a request; for a WebSocket, of both sides together. `0s`: no limit."
        ),
    ] = "60s"
    total: Annotated[
        Duration, Meta(description="Longest time for the whole request and response. `0s`: no limit.")
    ] = "0s"


class RouteEntry(Node, frozen=True, kw_only=True):
    """One route from the application to an upstream."""

    name: Annotated[Name, Meta(description="Name of the route in logs, metrics and status.")]
    match: Annotated[Match, Meta(description="Requests that take the route. Unset: every request.")] = Match()
    upstream: Annotated[
        str,
        text("upstream", "^https?://", format="uri"),
        Meta(description="`http(s)://host[:port][/base/path]`; the relayed path comes after the base path."),
    ]
    protocol: Annotated[
        Literal["http1", "http2"],
        Meta(
            description="Version of HTTP that client and upstream use; the sidecar does not translate. `http2`: the "
            "client uses prior knowledge; the upstream does so over `http`, and agrees on it over `https` (ALPN)."
        ),
    ] = "http1"
    token: Annotated[
        Name | None,
        Meta(
            description="Name of the entry in `tokens` to inject. Unset: the client's own `Authorization` is relayed."
            " An upstream can use its token at other upstreams that accept it. Give upstreams that do not"
            " trust each other tokens with different audiences."
        ),
    ] = None
    strip_prefix: Annotated[bool, Meta(description="Remove the matched prefix from the relayed path.")] = (
        False
    )
    rewrite_location: Annotated[
        bool,
        Meta(
            description="Rewrite `Location` and `Content-Location` to paths on the sidecar, without the base path and"
            " with the stripped prefix. Rewrites URLs of the upstream's own origin, and paths without a "
            "host. Other relative references are relayed unchanged."
        ),
    ] = False
    on_401: Annotated[
        On401,
        Meta(
            description='Refusals that renew the token. `strict`: only those with `error="invalid_token"`. `lenient`:'
            " also those without an error. `ignore`: none."
        ),
    ] = "lenient"
    refused_statuses: Annotated[
        tuple[Annotated[int, Meta(ge=400, le=499)], ...],
        Meta(
            min_length=1,
            description="Statuses that mean a refused token. Some upstreams return 403 or 440 for it.",
        ),
    ] = (401,)
    timeouts: Annotated[Timeouts, Meta(description="Time limits for the upstream.")] = Timeouts()
    tls: Annotated[Tls, Meta(description="TLS to an `https` upstream.")] = Tls()
    max_connections: Annotated[
        int,
        Meta(
            ge=1,
            le=65535,
            description="Connections to the upstream; an open WebSocket takes one. As many requests may wait for a "
            "free one. Routes with the same upstream and settings share them.",
        ),
    ] = 1024
    isolate: Annotated[
        Isolation,
        Meta(
            description="Requests that may share a connection to the upstream. `none`: all. `tenant`: those of the "
            "same tenant. `caller`: those with the same caller's token."
        ),
    ] = "none"


def routes(
    entries: Iterable[RouteEntry],
    tokens: Mapping[str, TokenRequest],
    tenants: TenantRule | None,
    breathe: Callable[[], None],
) -> Iterator[Route]:
    """Return the settings of the entries of `routes`."""
    for entry in entries:
        breathe()
        yield _route(entry, tokens, tenants)


def _route(entry: RouteEntry, tokens: Mapping[str, TokenRequest], tenants: TenantRule | None) -> Route:
    token = tokens[entry.token] if entry.token else None
    url = addresses.upstream(entry.upstream)
    origin = Origin(
        url.scheme,
        url.host,
        url.port,
        tls(entry.tls),
        entry.max_connections,
        durations.seconds(entry.timeouts.connect),
        http2=entry.protocol == "http2",
    )
    return Route(
        name=entry.name,
        origin=origin,
        host=(entry.match.host or "").lower(),
        prefix=entry.match.prefix,
        base_path=url.base_path,
        strip_prefix=entry.strip_prefix,
        rewrite_location=entry.rewrite_location,
        token=token,
        hidden=_hidden(token, tenants),
        on_401=entry.on_401,
        refused_statuses=frozenset(entry.refused_statuses),
        idle_timeout=durations.seconds(entry.timeouts.idle),
        total_timeout=durations.seconds(entry.timeouts.total),
        isolate=entry.isolate,
    )


def _hidden(token: TokenRequest | None, tenants: TenantRule | None) -> Hidden | None:
    if token is None:
        return None
    return hiding(token.brought, [tenants.header] if tenants is not None and tenants.header else [])


def route_faults(
    entries: tuple[RouteEntry, ...], tokens: Mapping[str, object], faulty: Faulty, *, tenants: bool
) -> Iterator[Found]:
    """Return faults between routes, and tokens that do not exist."""
    known = {str(name): None for name in tokens}
    names: dict[str, str] = {}
    matches: dict[tuple[str, str], str] = {}
    for index, route in enumerate(entries):
        if not isinstance(route, RouteEntry):
            continue
        path = f"routes[{index}]"
        if route.name and names.setdefault(route.name, path) != path:
            yield f"{path}.name", f"{names[route.name]} has the same name: choose another one"
        match = ((route.match.host or "").lower(), route.match.prefix)
        if not faulty.within(f"{path}.match") and matches.setdefault(match, path) != path:
            yield f"{path}.match", f"{matches[match]} takes the same requests: change the prefix or the host"
        if route.token and route.token not in known and not faulty.at("tokens"):
            yield f"{path}.token", unknown_entry(route.token, known)
        if route.upstream.startswith("http:") and route.tls != Tls():
            yield f"{path}.tls", "the upstream is plain http: write https, or remove tls"
        if route.isolate != "none":
            token = None if faulty.within(f"tokens.{route.token}") else tokens.get(route.token or "")
            yield from _isolation_faults(path, route, token, tenants=tenants)


def _isolation_faults(path: str, route: RouteEntry, token: object, *, tenants: bool) -> Iterator[Found]:
    if route.isolate == "tenant" and not (tenants and route.token):
        yield f"{path}.isolate", "tenant requires a tenant section, and a token for the route"
    if route.isolate == "caller" and not route.token:
        yield f"{path}.isolate", "caller requires a token for the route, whose subject or actor has a header"
    if route.isolate == "caller" and isinstance(token, TokenEntry):
        presented = (each for each in (token.subject, token.actor) if each is not None)
        if not any(each.header for each in presented):
            yield (
                f"{path}.isolate",
                f"caller requires that {route.token} has a subject or actor with a header",
            )
