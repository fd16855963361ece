"""Counters as plain integers; exporters read them."""

from collections.abc import Callable, Container, Iterable, Iterator
from itertools import product
from typing import get_args

from sidecar.core.tenants import TenantRule
from sidecar.telemetry import instruments
from sidecar.telemetry.events import (
    CoolingDown,
    Event,
    Failed,
    OutOfDescriptors,
    Refused,
    Reloaded,
    ReloadFailed,
    Resent,
    SecretRead,
    SecretUnread,
    TokenFetched,
    TokenFetchFailed,
)
from sidecar.telemetry.fleet_events import BustApplied, BustFailed, BustHeard, BustSent
from sidecar.telemetry.instruments import INSTRUMENTS, Family, Histogram, Instrument
from sidecar.telemetry.ports import ExportReadings, FleetReadings, Readings
from sidecar.telemetry.request_counters import FirstErrors, MeasuredRoute, RequestCounters
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.tenant_labels import TenantLabels
from sidecar.telemetry.words import BustKind, BustStep, FetchFault, SecretFault

_Labels = tuple[str, ...]
_ERRORS = frozenset(
    (
        "insufficient_scope",
        "insufficient_user_authentication",
        "invalid_dpop_proof",
        "invalid_request",
        "invalid_token",
        "none",
        "other_scheme",
        "use_dpop_nonce",
    )
)
"""Number of errors of challenges that are counted separately; upstreams may send any."""
_TOKEN: _Labels = ("token", "tenant")
_ROUTE: _Labels = ("http.route",)
_BY_TOKEN: dict[Instrument, tuple[_Labels, ...]] = {
    instruments.FETCH_ERRORS: tuple((fault,) for fault in get_args(FetchFault)),
    instruments.BUSTS: ((),),
    instruments.COOL_DOWNS: ((),),
}
_BY_ROUTE: dict[Instrument, tuple[_Labels, ...]] = {
    instruments.REFUSALS: (("renew",), ("cooling",), ("relay",)),
    instruments.RELAYED: (),
    instruments.RESENDS: (("healed",), ("refused",), ("failed",)),
}
_FIXED: dict[Instrument, tuple[_Labels, ...]] = {
    instruments.SECRET_READS: (("ok",), *((fault,) for fault in get_args(SecretFault))),
    instruments.RELOADS: (("ok",), ("failed",)),
    instruments.BUGS: ((),),
    instruments.NO_DESCRIPTORS: ((),),
}
_OF_THE_FLEET: dict[Instrument, tuple[_Labels, ...]] = {
    instruments.BUSTS_APPLIED: tuple((kind,) for kind in get_args(BustKind)),
    instruments.BUSTS_FAILED: tuple(product(("token", "credentials", "select"), get_args(BustStep))),
}

_EVERYTHING = Readings(
    requests_in_flight=0,
    connections_open=0,
    tasks=0,
    log_lines_dropped=0,
    token_expires_in={},
    pools={},
    fleet=FleetReadings(store_up=True, store_operations={}, bus_up=True, leases={}, rejected={}),
    exports=ExportReadings(exports={}, spans_dropped=0),
)
"""Readings of a sidecar with every part."""


class Counters:
    """The journal's counting half."""

    def __init__(
        self, version: str, routes: Iterable[MeasuredRoute], tenants: TenantRule | None = None
    ) -> None:
        self._version = version
        self._tenants = TenantLabels()
        self._requests = RequestCounters(self._tenants)
        self._fetches: dict[tuple[str, str], Histogram] = {}
        self._bus_lag = Histogram()
        self._loop_lag = Histogram()
        self._is_outdated = False
        """Whether the last reload failed."""
        fixed = {**_FIXED, **_OF_THE_FLEET}
        self._counts: dict[Instrument, dict[_Labels, int]] = {
            **{instrument: {} for instrument in (*_BY_TOKEN, *_BY_ROUTE)},
            **{instrument: dict.fromkeys(labels, 0) for instrument, labels in fixed.items()},
        }
        faults = [*_misfits(), *unread(self.families(_EVERYTHING))]
        if faults:
            raise LookupError("; ".join(faults))
        self.configure(routes, tenants)

    def configure(self, routes: Iterable[MeasuredRoute], tenants: TenantRule | None = None) -> None:
        """Create the series of what is configured, at 0; drop those of what is no longer configured."""
        for _ in self.configuring(routes, tenants):
            pass

    def configuring(self, routes: Iterable[MeasuredRoute], tenants: TenantRule | None) -> Iterator[None]:
        """Do what `configure` does in short steps, between which requests may be counted and series read."""
        routes = tuple(routes)
        self._tenants.configure(tenants)
        tokens = {route.token: route.tenant for route in routes if route.token}
        healing = {route.name for route in routes if route.token}
        self._fetches = {key: took for key, took in self._fetches.items() if key[0] in tokens}
        yield
        for instrument in _BY_TOKEN:
            self._keep(instrument, tokens)
            yield
        for instrument in _BY_ROUTE:
            self._keep(instrument, healing)
            yield
        yield from self._requests.configuring(routes)
        for token, own in tokens.items():
            for tenant in self._tenants.foreseen if tenants else (self._tenants.label(own),):
                self._foresee(token, tenant)
            yield
        if tenants is None:  # otherwise there would be one for each route and tenant
            for route in routes:
                if route.token:
                    labels = (route.name, self._tenants.label(route.tenant), "insufficient_scope")
                    self._start(instruments.RELAYED, [labels])
                    yield
        for instrument, outcomes in _BY_ROUTE.items():
            for name in healing:
                self._start(instrument, [(name, *outcome) for outcome in outcomes])
                yield

    def _foresee(self, token: str, tenant: str) -> None:
        self._requests.foresee(token, tenant)
        if (token, tenant) not in self._fetches:
            self._fetches[token, tenant] = Histogram()
        for instrument, outcomes in _BY_TOKEN.items():
            self._start(instrument, [(token, tenant, *outcome) for outcome in outcomes])

    def _start(self, instrument: Instrument, keys: Iterable[_Labels]) -> None:
        for key in keys:
            self._counts[instrument].setdefault(key, 0)

    def request_finished(self, record: RequestRecord) -> None:
        """Count one request."""
        self._requests.request_finished(record)

    def loop_was_late(self, seconds: float) -> None:
        """Record how late the event loop was."""
        self._loop_lag.observe(seconds)

    def tell(self, event: Event) -> None:
        """Count the event, if it has a counter."""
        match event:
            case TokenFetched() | TokenFetchFailed():
                self._fetched(event)
            case BustSent():
                self._count(instruments.BUSTS, event.token, self._tenants.label(event.tenant))
            case CoolingDown():
                self._count(instruments.COOL_DOWNS, event.token, self._tenants.label(event.tenant))
            case Refused():
                self._refused(event)
            case Resent():
                self._count(instruments.RESENDS, event.route, event.outcome)
            case BustHeard():
                self._bus_lag.observe(event.lag_ms / 1000)
            case _:
                self._count_plain(event)

    def families(self, readings: Readings) -> tuple[Family, ...]:
        """Return all series, read at one moment."""
        fleet = readings.fleet
        return (
            *self._requests.families(("memory", "store") if fleet else ("memory",)),
            *self._of_events(),
            *(self._of_fleet(fleet) if fleet else ()),
            *(_of_exports(readings.exports) if readings.exports else ()),
            *self._of_process(readings),
        )

    def of_requests(self) -> Iterable[Family]:
        """Return only the durations of requests, and their upstreams."""
        return self._requests.of_durations()

    def first_errors(self) -> FirstErrors:
        """Return by route and status when the first error was, since the last reset."""
        return self._requests.first_errors()

    def forget_first_errors(self) -> None:
        """Reset the dates of first errors."""
        self._requests.forget_first_errors()

    def _count_plain(self, event: Event) -> None:
        """Count an event that concerns no single route or token."""
        match event:
            case SecretRead():
                self._count(instruments.SECRET_READS, "ok")
            case SecretUnread():
                self._count(instruments.SECRET_READS, event.reason)
            case BustApplied():
                self._count(instruments.BUSTS_APPLIED, event.kind)
            case BustFailed():
                self._count(instruments.BUSTS_FAILED, event.kind, event.step)
            case Reloaded():
                self._is_outdated = False
                self._count(instruments.RELOADS, "ok")
            case ReloadFailed():
                self._is_outdated = True
                self._count(instruments.RELOADS, "failed")
            case Failed():
                self._count(instruments.BUGS)
            case OutOfDescriptors():
                self._count(instruments.NO_DESCRIPTORS)

    def _keep(self, instrument: Instrument, names: Container[str]) -> None:
        """Keep only the counts whose first label is one of these names."""
        counts = self._counts[instrument]
        self._counts[instrument] = {key: count for key, count in counts.items() if key[0] in names}

    def _fetched(self, event: TokenFetched | TokenFetchFailed) -> None:
        pair = (event.token, self._tenants.label(event.tenant))
        self._fetches.setdefault(pair, Histogram()).observe(event.duration_ms / 1000)
        if isinstance(event, TokenFetchFailed):
            self._count(instruments.FETCH_ERRORS, *pair, event.outcome)

    def _refused(self, event: Refused) -> None:
        self._count(instruments.REFUSALS, event.route, event.decision)
        if event.decision == "relay":
            error = event.error or "none"
            error = error if error in _ERRORS else "other"
            self._count(instruments.RELAYED, event.route, self._tenants.label(event.tenant), error)

    def _count(self, instrument: Instrument, *labels: str) -> None:
        counts = self._counts[instrument]
        counts[labels] = counts.get(labels, 0) + 1

    def _of_events(self) -> Iterator[Family]:
        yield Family(
            instruments.FETCH_DURATION, tuple((pair, took.read()) for pair, took in self._fetches.items())
        )
        for instrument in (*_BY_TOKEN, *_BY_ROUTE, *_FIXED):
            yield Family(instrument, tuple(self._counts[instrument].items()))

    def _of_fleet(self, readings: FleetReadings) -> Iterator[Family]:
        for instrument in _OF_THE_FLEET:
            yield Family(instrument, tuple(self._counts[instrument].items()))
        rejected = readings.rejected.items()
        yield Family(instruments.BUSTS_REJECTED, tuple(((reason,), count) for reason, count in rejected))
        yield Family(instruments.STORE_OPERATIONS, tuple(readings.store_operations.items()))
        yield Family(instruments.LEASES, tuple(((how,), count) for how, count in readings.leases.items()))
        yield _one(instruments.STORE_UP, int(readings.store_up))
        yield _one(instruments.BUS_UP, int(readings.bus_up))
        yield Family(instruments.BUS_LAG, (((), self._bus_lag.read()),))

    def _of_process(self, readings: Readings) -> Iterator[Family]:
        yield Family(instruments.EXPIRY, self._by_tenant(readings.token_expires_in.items(), min))
        yield Family(instruments.FAILING, self._by_tenant(readings.tokens_failing.items(), max))
        yield Family(instruments.SECRET_FAILING, self._by_tenant(readings.secrets_failing.items(), max))
        skews = readings.clock_skews.items()
        yield Family(instruments.CLOCK_SKEW, tuple(((host, str(port)), skew) for (host, port), skew in skews))
        yield _one(instruments.ACTIVE, readings.requests_in_flight)
        yield _one(instruments.CONNECTIONS, readings.connections_open)
        yield from _of_pools(readings)
        yield Family(instruments.NEIGHBOUR_DOWN, tuple(readings.neighbours_down.items()))
        lives = readings.certificates.items()
        yield Family(instruments.CERTIFICATE, tuple((named, left) for named, (left, _) in lives))
        yield Family(instruments.CERTIFICATE_LIFE, tuple((named, whole) for named, (_, whole) in lives))
        yield Family(instruments.LOOP_LAG, (((), self._loop_lag.read()),))
        yield _one(instruments.OUTDATED, int(self._is_outdated))
        yield _one(instruments.TASKS, readings.tasks)
        yield _one(instruments.DROPPED, readings.log_lines_dropped)
        yield Family(instruments.BUILD, (((self._version,), 1),))

    def _by_tenant(
        self, series: Iterable[tuple[_Labels, float]], gravest: Callable[[float, float], float]
    ) -> tuple[tuple[_Labels, float], ...]:
        """Return series by name, the tenant's label and further labels; of those that share it, the gravest."""
        found: dict[_Labels, float] = {}
        for (name, tenant, *others), each in series:
            labels = (name, self._tenants.label(tenant), *others)
            found[labels] = gravest(each, found.get(labels, each))
        return tuple(found.items())


def unread(families: Iterable[Family]) -> Iterator[str]:
    """Return the instruments that are in no table: counting one of them would fail, and the request with it."""
    read = {family.instrument for family in families}
    for instrument in INSTRUMENTS:
        if instrument not in read:
            yield f"{instrument.name}: no table of counters contains it"


def _misfits() -> Iterator[str]:
    """Return the instruments in the wrong table, or with outcomes of another one."""
    for before, table in ((_TOKEN, _BY_TOKEN), (_ROUTE, _BY_ROUTE), ((), _FIXED), ((), _OF_THE_FLEET)):
        for instrument, outcomes in table.items():
            own = instrument.labels
            if own[: len(before)] != before or any(len(before) + len(each) != len(own) for each in outcomes):
                yield f"{instrument.name}: its labels do not fit its table of counters"


def _one(instrument: Instrument, value: float) -> Family:
    return Family(instrument, (((), value),))


def _of_pools(readings: Readings) -> Iterator[Family]:
    pools = [((host, str(port)), pool) for (host, port), pool in readings.pools.items()]
    yield Family(
        instruments.UPSTREAM_CONNECTIONS,
        tuple(
            ((*address, state), count)
            for address, pool in pools
            for state, count in (("active", pool.active), ("idle", pool.idle))
        ),
    )
    yield Family(instruments.UPSTREAM_WAITING, tuple((address, pool.waiting) for address, pool in pools))


def _of_exports(readings: ExportReadings) -> Iterator[Family]:
    yield Family(instruments.EXPORTS, tuple(readings.exports.items()))
    yield _one(instruments.SPANS_DROPPED, readings.spans_dropped)
