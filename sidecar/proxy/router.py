"""Which requests are admitted, which route they take, and the target for the upstream.

A page in a browser can make any name lead to a loopback address (DNS rebinding), but not change what the browser writes
into Host. So over TCP only the sidecar's own hosts are admitted: loopback names and literals, the listen address, and
the hosts routes are configured for. A browser cannot reach a Unix socket.
"""

from collections import defaultdict
from collections.abc import Iterable

from sidecar.core.addresses import UnixAddress, is_loopback
from sidecar.core.addresses import listen as read_listen
from sidecar.core.cross_site import host_named
from sidecar.core.errors import RequestRefused
from sidecar.proxy.routes import Route
from sidecar.proxy.target import Target

_USUAL_HOSTS = ("localhost", "127.0.0.1", "::1")


class Router:
    """The routes of one configuration."""

    def __init__(self, routes: Iterable[Route], listen: str) -> None:
        """`listen` is the listen address as configured or bound. Raises ValueError when it is malformed."""
        address = read_listen(listen)
        routes = tuple(routes)
        own = {route.host for route in routes if route.host}
        port = b""
        self._any_host_is_ours = isinstance(address, UnixAddress)
        if not isinstance(address, UnixAddress):
            own.add(address.host)
            port = b":%d" % address.port
        self._own = frozenset(own)
        self._usual = {_written(host) + end: host for host in own.union(_USUAL_HOSTS) for end in (b"", port)}
        by_host: defaultdict[str, list[Route]] = defaultdict(list)
        for route in routes:
            by_host[route.host].append(route)
        self._of_any_host = _Prefixes(by_host.pop("", ()))
        self._of_host = {host: _Prefixes(its) for host, its in by_host.items()}

    def admit(self, host: bytes) -> str:
        """Return the host of a Host field (or of an absolute-form's authority) in lower case, without port or brackets.

        Raises RequestRefused: 400 when it is not a valid uri-host with optional port (RFC 9110 section 7.2),
        421 when it is none of ours.
        """
        usual = self._usual.get(host)
        if usual is not None:
            return usual
        name = host_named(host)
        if self._any_host_is_ours or name in self._own or is_loopback(name):
            return name
        raise RequestRefused(
            421, "this sidecar does not serve that Host: use localhost, the listen address or a route's host"
        )

    def match(self, host: str, path: bytes) -> Route | None:
        """Return the route for a request: its host's own first, then any host's, by the longest prefix.

        Hot path: the number of routes makes no difference.
        """
        own = self._of_host.get(host)
        route = own.longest(path) if own is not None else None
        return route if route is not None else self._of_any_host.longest(path)


class _Level:
    """The routes whose prefixes have the same segments so far."""

    __slots__ = ("below", "route")

    def __init__(self) -> None:
        self.route: Route | None = None
        """The route whose prefix ends here."""
        self.below: dict[bytes, _Level] = {}
        """By the next segment."""


class _Prefixes:
    """Routes by prefix: a level for each segment, so that a path takes as long among many routes as among few."""

    __slots__ = ("_depth", "_top")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._top = _Level()
        self._depth = 0
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        segments = route.prefix.encode()[1:].split(b"/") if route.prefix != "/" else []
        level = self._top
        for segment in segments:
            level = level.below.setdefault(segment, _Level())
        level.route = level.route or route
        self._depth = max(self._depth, len(segments))

    def longest(self, path: bytes) -> Route | None:
        """Return the route with the longest prefix of a path, which starts with a slash. Hot path."""
        level = self._top
        route = level.route
        if self._depth:
            for segment in path[1:].split(b"/", self._depth):
                deeper = level.below.get(segment)
                if deeper is None:
                    break
                level = deeper
                route = level.route or route
        return route


def upstream_target(route: Route, target: Target) -> bytes:
    """Return the origin-form to send: the upstream's base path, the rest of the path, the query."""
    path = target.path
    if route.strip_prefix and route.prefix != "/":
        path = path[len(route.prefix) :]
    return (route.base_path.encode() + path or b"/") + target.query


def _written(host: str) -> bytes:
    return f"[{host}]".encode() if ":" in host else host.encode()
