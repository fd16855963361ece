"""What is counted, as plain integers; whoever exports it reads them when asked.

A request costs one dict look-up and two bisections. Label values come from the configuration or from short
fixed lists, never from strangers: a method we do not know counts as `_OTHER`, and statuses fall back to their
class once there are very many series.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import get_args

from sidecar.core import instruments
from sidecar.core.events import (
    BustApplied,
    BustKind,
    BustRejected,
    BustSent,
    CoolingDown,
    Event,
    Refused,
    Rejection,
    RequestRecord,
    Resent,
    SecretFault,
    SecretRead,
    SecretUnread,
    TokenFetched,
    TokenFetchFailed,
)
from sidecar.core.instruments import SECONDS, Distribution, Family, FleetReadings, Instrument, Readings
from sidecar.core.routes import Route

MOST_SERIES = 2000
"""Series of request durations kept apart by method and status."""

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_Outcomes = tuple[tuple[str, ...], ...]
_BY_TOKEN: dict[Instrument, _Outcomes] = {
    instruments.FETCH_ERRORS: (("refused",), ("unavailable",)),
    instruments.BUSTS: ((),),
    instruments.COOL_DOWNS: ((),),
}
_BY_ROUTE: dict[Instrument, _Outcomes] = {
    instruments.REFUSALS: (("renew",), ("cooling",)),
    instruments.RESENDS: (("healed",), ("refused",), ("failed",)),
}
_OUTCOMES_OF_SECRETS = ("ok", *get_args(SecretFault))
_OF_THE_FLEET: dict[Instrument, tuple[str, ...]] = {
    instruments.BUSTS_APPLIED: get_args(BustKind),
    instruments.BUSTS_REJECTED: get_args(Rejection),
}


class _Histogram:
    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._total += seconds

    def read(self) -> Distribution:
        return Distribution(tuple(self._counts), self._total)


class _Lookups:
    """How often a token was, and was not, in memory; and how often the store had it then."""

    __slots__ = ("hits", "misses", "stored")

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.stored = 0


class _Cell:
    """The requests of one route, method and status."""

    __slots__ = ("client", "lookups", "server")

    def __init__(self, lookups: _Lookups) -> None:
        self.server = _Histogram()
        self.client = _Histogram()
        self.lookups = lookups


class Metrics:
    """The journal's counting half."""

    def __init__(self, version: str, routes: Iterable[Route]) -> None:
        self._version = version
        self._routes: dict[str, Route] = {}
        self._cells: dict[tuple[str, str, int], _Cell] = {}
        self._lookups: dict[str, _Lookups] = {}
        self._fetches: dict[str, _Histogram] = {}
        self._counts: dict[Instrument, dict[tuple[str, ...], int]] = {
            instrument: {} for instrument in (*_BY_TOKEN, *_BY_ROUTE)
        }
        self._heard = {
            instrument: dict.fromkeys(((word,) for word in words), 0)
            for instrument, words in _OF_THE_FLEET.items()
        }
        self._secret_reads = dict.fromkeys(_OUTCOMES_OF_SECRETS, 0)
        self.configure(routes)

    def configure(self, routes: Iterable[Route]) -> None:
        """Give what is configured its series, at 0; forget those of what no longer is."""
        self._routes = {route.name: route for route in routes}
        healing = {name: route.token.name for name, route in self._routes.items() if route.token}
        tokens = set(healing.values())
        self._lookups = {name: self._lookups.get(name) or _Lookups() for name in tokens}
        self._fetches = {name: self._fetches.get(name) or _Histogram() for name in tokens}
        for instrument, outcomes in _BY_TOKEN.items():
            self._keep(instrument, [(name, *outcome) for name in tokens for outcome in outcomes])
        for instrument, outcomes in _BY_ROUTE.items():
            self._keep(instrument, [(name, *outcome) for name in healing for outcome in outcomes])
        self._cells = {key: cell for key, cell in self._cells.items() if key[0] in self._routes}
        for (name, _, _), cell in self._cells.items():
            cell.lookups = self._lookups.get(healing.get(name, "")) or _Lookups()
        for name in self._routes:
            self._cell((name, "GET", 200))

    def request_finished(self, record: RequestRecord) -> None:
        """Count one request."""
        key = (record.route, record.method, record.status)
        cell = self._cells.get(key) or self._cell(key)
        cell.server.observe(record.finished - record.started)
        if record.upstream_seconds:
            cell.client.observe(record.upstream_seconds)
        if record.token == "memory":
            cell.lookups.hits += 1
        elif record.token != "none":
            cell.lookups.misses += 1
            cell.lookups.stored += record.token == "store"

    def tell(self, event: Event) -> None:
        """Count the event, if it is one that is counted."""
        match event:
            case TokenFetched():
                self._fetched(event.token, event.duration_ms)
            case TokenFetchFailed():
                self._fetched(event.token, event.duration_ms)
                self._count(instruments.FETCH_ERRORS, event.token, event.outcome)
            case SecretRead():
                self._secret_reads["ok"] += 1
            case SecretUnread():
                self._secret_reads[event.reason] += 1
            case BustSent():
                self._count(instruments.BUSTS, event.token)
            case BustApplied():
                self._heard[instruments.BUSTS_APPLIED][event.kind,] += 1
            case BustRejected():
                self._heard[instruments.BUSTS_REJECTED][event.reason,] += 1
            case CoolingDown():
                self._count(instruments.COOL_DOWNS, event.token)
            case Refused():
                self._count(instruments.REFUSALS, event.route, event.decision)
            case Resent():
                self._count(instruments.RESENDS, event.route, event.outcome)

    def families(self, readings: Readings) -> tuple[Family, ...]:
        """Read everything, at one moment."""
        levels = ("memory", "store") if readings.fleet else ("memory",)
        fleet = self._of_fleet(readings.fleet) if readings.fleet else ()
        return (
            *self._of_requests(),
            *self._of_lookups(levels),
            *self._of_tokens(),
            *fleet,
            *self._of_process(readings),
        )

    def _cell(self, key: tuple[str, str, int]) -> _Cell:
        """Find or make the cell where a request's labels, once bounded, belong."""
        name, method, status = key
        route = self._routes.get(name)
        bounded = (name if route else "", method if method in _METHODS else "_OTHER", status)
        if bounded not in self._cells and len(self._cells) >= MOST_SERIES:
            bounded = (bounded[0], "_OTHER", status // 100 * 100)
        if bounded not in self._cells:
            token = route.token.name if route and route.token else ""
            self._cells[bounded] = _Cell(self._lookups.get(token) or _Lookups())
        return self._cells[bounded]

    def _keep(self, instrument: Instrument, keys: list[tuple[str, ...]]) -> None:
        old = self._counts[instrument]
        self._counts[instrument] = {key: old.get(key, 0) for key in keys}

    def _fetched(self, token: str, milliseconds: float) -> None:
        self._fetches.setdefault(token, _Histogram()).observe(milliseconds / 1000)

    def _count(self, instrument: Instrument, *labels: str) -> None:
        counts = self._counts[instrument]
        counts[labels] = counts.get(labels, 0) + 1

    def _of_requests(self) -> Iterator[Family]:
        labelled = [
            (self._routes.get(route), (route, method, str(status) if status else ""), cell)
            for (route, method, status), cell in self._cells.items()
        ]
        yield Family(instruments.SERVER, tuple((labels, cell.server.read()) for _, labels, cell in labelled))
        yield Family(
            instruments.CLIENT,
            tuple(
                ((*labels, route.origin.host, str(route.origin.port)), cell.client.read())
                for route, labels, cell in labelled
                if route
            ),
        )

    def _of_lookups(self, levels: tuple[str, ...]) -> Iterator[Family]:
        hits, misses = [], []
        for name, found in self._lookups.items():
            passed = {
                "memory": (found.hits, found.misses),
                "store": (found.stored, found.misses - found.stored),
            }
            hits += [((name, level), passed[level][0]) for level in levels]
            misses += [((name, level), passed[level][1]) for level in levels]
        yield Family(instruments.HITS, tuple(hits))
        yield Family(instruments.MISSES, tuple(misses))

    def _of_tokens(self) -> Iterator[Family]:
        yield Family(
            instruments.FETCH_DURATION, tuple(((name,), took.read()) for name, took in self._fetches.items())
        )
        for instrument, counts in self._counts.items():
            yield Family(instrument, tuple(counts.items()))
        reads = self._secret_reads.items()
        yield Family(instruments.SECRET_READS, tuple(((outcome,), count) for outcome, count in reads))

    def _of_fleet(self, readings: FleetReadings) -> Iterator[Family]:
        for instrument, counts in self._heard.items():
            yield Family(instrument, tuple(counts.items()))
        yield Family(instruments.STORE_OPERATIONS, tuple(readings.store_operations.items()))
        yield Family(instruments.STORE_UP, (((), int(readings.store_up)),))
        yield Family(instruments.BUS_UP, (((), int(readings.bus_up)),))

    def _of_process(self, readings: Readings) -> Iterator[Family]:
        expiries = readings.token_expires_in.items()
        yield Family(instruments.EXPIRY, tuple(((name,), seconds) for name, seconds in expiries))
        yield Family(instruments.ACTIVE, (((), readings.requests_in_flight),))
        yield Family(instruments.CONNECTIONS, (((), readings.connections_open),))
        yield Family(instruments.TASKS, (((), readings.tasks),))
        yield Family(instruments.DROPPED, (((), readings.log_lines_dropped),))
        yield Family(instruments.BUILD, (((self._version,), 1),))
