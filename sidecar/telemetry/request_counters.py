"""Counters of requests.

One costs a dict look-up or two and two bisections. Label values come from the configuration or from short fixed lists,
never from clients: an unknown method counts as `_OTHER`, and statuses fall back to their class once there are very many
series.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sidecar.core.problem import Grpc
from sidecar.telemetry import instruments
from sidecar.telemetry.instruments import METHODS, OTHER_METHOD, Family, Histogram
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.tenant_labels import TenantLabels

MOST_SERIES = 2000
"""Series of request durations that are separate by method, status and error."""

_OF_CLIENTS = frozenset(("client_gone", "drained"))
"""Words for requests that ended without an error of the sidecar or the upstream."""
_FORESEEN = ("GET", 200, "")
"""Series that each route has from the start."""

_Key = tuple[str, str, int, str]
"""Route, method, status (0 for none) and our word for the error."""

GRPC_FAULTS: Mapping[int, str] = {
    status: status.name
    for status in (
        Grpc.UNKNOWN,
        Grpc.DEADLINE_EXCEEDED,
        Grpc.UNIMPLEMENTED,
        Grpc.INTERNAL,
        Grpc.UNAVAILABLE,
        Grpc.DATA_LOSS,
        Grpc.UNAUTHENTICATED,
    )
}
"""Statuses of gRPC that are errors of a server by OpenTelemetry's conventions, and that of a refused token."""

FirstErrors = Mapping[tuple[str, int], float]
"""When the first request of a route got an error status, since the last reset."""


@dataclass(frozen=True, slots=True)
class MeasuredRoute:
    """Labels of a route's metrics."""

    name: str
    host: str
    """Host of the upstream, and `port` is its port; "" if there is none."""
    port: int
    token: str = ""
    """Name of the route's token, "" if it has none."""
    tenant: str = ""
    """Service of that token, "" if there is none."""
    http2: bool = False
    """Whether its requests use HTTP/2, as gRPC calls do."""


class _Lookups:
    """Number of times a token was, and was not, in memory; and how often the store had it then."""

    __slots__ = ("hits", "misses", "stored")

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.stored = 0


class _Cell:
    """Counts of one route, method, status and error, and of the look-ups of requests that need a token."""

    __slots__ = ("client", "first_error", "lookups", "server")

    def __init__(self, lookups: dict[str, _Lookups]) -> None:
        self.server = Histogram()
        self.client = Histogram()
        self.lookups = lookups
        """Look-ups by tenant."""
        self.first_error: float | None = None
        """When the first request was counted here since the last reset, if its status is an error."""


class RequestCounters:
    """Durations, and sources of tokens."""

    def __init__(self, tenants: TenantLabels) -> None:
        self._tenants = tenants
        self._routes: dict[str, MeasuredRoute] = {}
        self._cells: dict[_Key, _Cell] = {}
        self._found: dict[_Key, _Cell] = {}
        """The cells that a request finds at once: all but those whose next request is the first error."""
        self._lookups: dict[str, dict[str, _Lookups]] = {}
        self._calls: dict[tuple[str, int], int] = {}
        """gRPC calls by route and status."""

    def configuring(self, routes: Iterable[MeasuredRoute]) -> Iterator[None]:
        """Create the series of what is configured, at 0; drop those of what is no longer configured. In short steps.

        `foresee` creates those of tokens.
        """
        self._routes = {route.name: route for route in routes}
        tokens = {route.token for route in self._routes.values() if route.token}
        self._lookups = {name: self._lookups.get(name, {}) for name in tokens}
        self._cells = {key: cell for key, cell in self._cells.items() if key[0] in self._routes}
        self._calls = {key: calls for key, calls in self._calls.items() if key[0] in self._routes}
        self._calls |= {
            (route.name, Grpc.OK): 0 for route in self._routes.values() if route.http2
        } | self._calls
        self._found = {}
        for key, cell in self._cells.items():
            cell.lookups = self._lookups_of(key[0])
        for name in tuple(self._routes):
            self._cell((name, *_FORESEEN))
            yield

    def foresee(self, token: str, tenant: str) -> None:
        """Create the series of the tenant's look-ups of this token, at 0."""
        self._lookups[token].setdefault(tenant, _Lookups())

    def request_finished(self, record: RequestRecord) -> None:
        """Count one request. Hot path: ≤ 1 µs."""
        error = record.error
        if record.grpc_status >= 0:
            call = (record.route if record.route in self._routes else "", record.grpc_status)
            self._calls[call] = self._calls.get(call, 0) + 1
            error = error or GRPC_FAULTS.get(record.grpc_status, "")
        key = (record.route, record.method, record.status, error)
        cell = self._found.get(key) or self._find(key, record.finished)
        cell.server.observe(record.finished - record.started)
        if record.upstream_seconds:
            if record.upstream_status == record.status and record.first is None:
                cell.client.observe(record.upstream_seconds)
            else:
                self._count_sends(record)
        if record.token == "none":
            return
        lookups = cell.lookups.get(record.tenant) or self._lookup(cell, record.tenant)
        if record.token == "memory":
            lookups.hits += 1
        else:
            lookups.misses += 1
            lookups.stored += record.token == "store"

    def first_errors(self) -> FirstErrors:
        """Return by route and status when the first error was, since the last reset."""
        found: dict[tuple[str, int], float] = {}
        for (route, _, status, error), cell in self._cells.items():
            if cell.first_error is not None:
                counted = (route, error_status(status, error))
                found[counted] = min(found.get(counted, cell.first_error), cell.first_error)
        return found

    def forget_first_errors(self) -> None:
        """Reset the dates of first errors."""
        for key, cell in self._cells.items():
            if cell.first_error is not None:
                cell.first_error = None
                self._found.pop(key, None)

    def families(self, levels: tuple[str, ...]) -> Iterator[Family]:
        """Return all series; `levels` are those of the cache."""
        yield from self.of_durations()
        calls = tuple(((route, Grpc(status).name), count) for (route, status), count in self._calls.items())
        yield Family(instruments.GRPC_CALLS, calls)
        yield from self._of_lookups(levels)

    def of_durations(self) -> Iterator[Family]:
        """Return the durations of requests, and their upstreams."""
        yield Family(
            instruments.SERVER,
            tuple(
                (_labels(key, 500), cell.server.read())
                for key, cell in self._cells.items()
                if cell.server.used or key[1:] == _FORESEEN
            ),
        )
        yield Family(
            instruments.CLIENT,
            tuple(
                ((*_labels(key, 400), route.host, str(route.port)), cell.client.read())
                for key, cell in self._cells.items()
                if (route := self._routes.get(key[0]))
                and (cell.client.used or (route.host and key[1:] == _FORESEEN))
            ),
        )

    def _count_sends(self, record: RequestRecord) -> None:
        """Count each send with the status of its own answer, which is not always the one the client got."""
        last = record.upstream_seconds
        if record.first is not None:
            last -= record.first.seconds
            self._cell((record.route, record.method, record.first.status, "")).client.observe(
                record.first.seconds
            )
        if last > 0:
            key = (record.route, record.method, record.upstream_status, record.error)
            self._cell(key).client.observe(last)

    def _lookups_of(self, route_name: str) -> dict[str, _Lookups]:
        route = self._routes.get(route_name)
        return self._lookups.get(route.token, {}) if route and route.token else {}

    def _lookup(self, cell: _Cell, tenant: str) -> _Lookups:
        label = self._tenants.label(tenant)
        return cell.lookups.get(label) or cell.lookups.setdefault(label, _Lookups())

    def _find(self, key: _Key, now: float) -> _Cell:
        """Return the cell for requests with this key, and date its first error."""
        cell = self._cell(key)
        if cell.first_error is None and error_status(key[2], key[3]):
            cell.first_error = now
        if key in self._cells:
            self._found[key] = cell
        return cell

    def _cell(self, key: _Key) -> _Cell:
        """Find or make the cell of a request's labels, once bounded."""
        name, method, status, error = key
        bounded = (
            name if name in self._routes else "",
            method if method in METHODS else OTHER_METHOD,
            status,
            error,
        )
        if bounded not in self._cells and len(self._cells) >= MOST_SERIES:
            bounded = (bounded[0], OTHER_METHOD, status // 100 * 100, "")
        if bounded not in self._cells:
            self._cells[bounded] = _Cell(self._lookups_of(bounded[0]))
        return self._cells[bounded]

    def _of_lookups(self, levels: tuple[str, ...]) -> Iterator[Family]:
        hits, misses = [], []
        for token, tenants in self._lookups.items():
            for tenant, found in tenants.items():
                passed = {
                    "memory": (found.hits, found.misses),
                    "store": (found.stored, found.misses - found.stored),
                }
                hits += [((token, tenant, level), passed[level][0]) for level in levels]
                misses += [((token, tenant, level), passed[level][1]) for level in levels]
        yield Family(instruments.HITS, tuple(hits))
        yield Family(instruments.MISSES, tuple(misses))


def error_status(status: int, error: str) -> int:
    """Return the status as which an answer counts as an error: 401, or 500 and more; 0 if it is none.

    A gRPC call has status 200, and so has an answer that was broken off.
    """
    if status >= 400:
        return status if status >= 500 or status == 401 else 0
    if error == Grpc.UNAUTHENTICATED.name:
        return 401
    return 500 if status and error and error not in _OF_CLIENTS else 0


def _labels(key: _Key, errors_from: int) -> tuple[str, str, str, str]:
    """Return the labels of the conventions; a status that is an error, to a server or to a client, is its own type."""
    route, method, status, error = key
    text = str(status) if status else ""
    return route, method, text, error or (text if status >= errors_from else "")
