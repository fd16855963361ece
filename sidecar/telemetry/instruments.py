"""Everything measured, on one page, and the shape in which it is read.

Names are OpenTelemetry's, so that every exporter can derive its own from them.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sidecar.telemetry.words import NeighbourKind

METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
OTHER_METHOD = "_OTHER"
"""Any that is not known: clients could invent as many as they like."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of the buckets, inclusive, as OpenTelemetry's HTTP conventions advise."""

_REQUEST = ("http.route", "http.request.method", "http.response.status_code", "error.type")
_UPSTREAM = ("server.address", "server.port")
_TOKEN = ("token", "tenant")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing measured."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    labels: tuple[str, ...] = ()
    unit: Literal["", "s"] = ""


# Requests
SERVER = Instrument(
    "http.server.request.duration",
    "histogram",
    "From a request's head to the end of its answer.",
    _REQUEST,
    "s",
)
CLIENT = Instrument(
    "http.client.request.duration",
    "histogram",
    "From sending to the head of the upstream's answer, or to the failure; each send by itself.",
    _REQUEST + _UPSTREAM,
    "s",
)
ACTIVE = Instrument("http.server.active_requests", "gauge", "Requests in flight.")
REFUSALS = Instrument(
    "sidecar.refusals", "counter", "Answers that refused our token.", ("http.route", "decision")
)
RELAYED = Instrument(
    "sidecar.refusals.relayed",
    "counter",
    "Answers that refused the route's token for a reason that another token would not remove.",
    ("http.route", "tenant", "error"),
)
RESENDS = Instrument("sidecar.resends", "counter", "Requests sent once more.", ("http.route", "outcome"))

# Tokens
HITS = Instrument(
    "m2m_credential_cache_hits", "counter", "Requests whose token was cached.", (*_TOKEN, "level")
)
MISSES = Instrument(
    "m2m_credential_cache_misses", "counter", "Requests whose token was not cached.", (*_TOKEN, "level")
)
FETCH_ERRORS = Instrument(
    "m2m_credential_fetch_errors", "counter", "Fetches that gave no token.", (*_TOKEN, "outcome")
)
FETCH_DURATION = Instrument(
    "m2m_credential_fetch_duration_seconds", "histogram", "Fetches, failed ones too.", _TOKEN, "s"
)
EXPIRY = Instrument("sidecar.token.expires_in", "gauge", "Seconds a cached token has left.", _TOKEN, "s")
BUSTS = Instrument(
    "sidecar.busts.sent", "counter", "Tokens this pod declared dead, in all connected pods.", _TOKEN
)
COOL_DOWNS = Instrument("sidecar.cool_downs", "counter", "Fresh tokens that were refused too.", _TOKEN)
CLOCK_SKEW = Instrument(
    "sidecar.token_endpoint.clock_skew",
    "gauge",
    "Seconds by which an authorization server's clock is ahead at its token endpoint; negative: behind.",
    _UPSTREAM,
    "s",
)
SECRET_READS = Instrument(
    "sidecar.secret.reads", "counter", "Requests to AWS Secrets Manager, by outcome.", ("outcome",)
)

# The fleet
BUSTS_APPLIED = Instrument(
    "sidecar.busts.applied", "counter", "Busts of other pods that dropped tokens here.", ("kind",)
)
BUSTS_FAILED = Instrument(
    "sidecar.busts.failed",
    "counter",
    "Busts that Redis did not publish to other pods, or published and did not record.",
    ("kind", "step"),
)
BUSTS_REJECTED = Instrument(
    "sidecar.busts.rejected", "counter", "Messages that may not bust anything.", ("reason",)
)
LEASES = Instrument("sidecar.leases", "counter", "Who fetched for the fleet, and how it went.", ("outcome",))
STORE_UP = Instrument("sidecar.store.up", "gauge", "1 while Redis is available, else 0.")
STORE_OPERATIONS = Instrument(
    "sidecar.store.operations", "counter", "Operations sent to Redis.", ("operation", "outcome")
)
BUS_UP = Instrument("sidecar.bus.up", "gauge", "1 while busts of other pods arrive, else 0.")
BUS_LAG = Instrument(
    "sidecar.bus.lag",
    "histogram",
    "Delay of busts of other pods: from publishing to applying them here.",
    (),
    "s",
)

# Connections
CONNECTIONS = Instrument("sidecar.connections.open", "gauge", "Client connections open.")
UPSTREAM_CONNECTIONS = Instrument(
    "sidecar.upstream.connections", "gauge", "Connections to upstreams.", (*_UPSTREAM, "state")
)
UPSTREAM_WAITING = Instrument(
    "sidecar.upstream.waiting",
    "gauge",
    "Requests that wait for a free connection to the upstream.",
    _UPSTREAM,
)

# The process
LOOP_LAG = Instrument(
    "sidecar.event_loop.lag",
    "histogram",
    "By how much the event loop is late; looked at twice a second.",
    (),
    "s",
)
TASKS = Instrument("sidecar.tasks", "gauge", "Tasks on the event loop, the scrape's own among them.")
DROPPED = Instrument("sidecar.log.lines.dropped", "counter", "Log lines lost to a slow or broken sink.")
EXPORTS = Instrument(
    "sidecar.telemetry.exports", "counter", "What was sent to the OTLP endpoint.", ("signal", "outcome")
)
SPANS_DROPPED = Instrument(
    "sidecar.telemetry.spans.dropped", "counter", "Spans lost because the OTLP endpoint is too slow."
)
RELOADS = Instrument("sidecar.reloads", "counter", "New configurations.", ("outcome",))
BUGS = Instrument("sidecar.bugs", "counter", "Faults of our own; each is a `failed` line in the log.")
NO_DESCRIPTORS = Instrument(
    "sidecar.descriptors.exhausted",
    "counter",
    "Minutes in which no file descriptor was left for new clients, so that they were closed at once.",
)
BUILD = Instrument("sidecar.build.info", "gauge", "Always 1.", ("version",))

INSTRUMENTS = tuple(value for value in tuple(vars().values()) if isinstance(value, Instrument))
"""All of them, in the order above."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A histogram as it was read: how many values fell under each of SECONDS, then over all of them."""

    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class Family:
    """An instrument and its series as they were read: label values and the value."""

    instrument: Instrument
    series: tuple[tuple[tuple[str, ...], float | Distribution], ...]


@dataclass(frozen=True, slots=True)
class FleetReadings:
    """What the store and the bus know of themselves."""

    store_up: bool
    store_operations: Mapping[tuple[str, str], int]
    """How many, by operation and outcome; both from short fixed lists."""
    bus_up: bool
    leases: Mapping[str, int]
    """How many, by outcome."""
    rejected: Mapping[str, int]
    """How many messages, by reason."""

    @property
    def down(self) -> Sequence[NeighbourKind]:
        """What of the two is unavailable."""
        up: Mapping[NeighbourKind, bool] = {"store": self.store_up, "bus": self.bus_up}
        return [kind for kind in up if not up[kind]]


@dataclass(frozen=True, slots=True)
class PoolReadings:
    """How the connections to one upstream are used."""

    active: int
    idle: int
    waiting: int
    """Requests in line."""


@dataclass(frozen=True, slots=True)
class ExportReadings:
    """What became of telemetry on its way to the OTLP endpoint."""

    exports: Mapping[tuple[str, str], int]
    """How many, by signal (`metrics`, `traces`) and outcome (`ok`, `failed`)."""
    spans_dropped: int


@dataclass(frozen=True, slots=True)
class Readings:
    """What others know and the exporter wants."""

    requests_in_flight: int
    connections_open: int
    tasks: int
    log_lines_dropped: int
    token_expires_in: Mapping[tuple[str, str], float]
    """Seconds, by token name and tenant; the soonest where there are several tokens."""
    pools: Mapping[tuple[str, int], PoolReadings]
    """By the upstream's host and port."""
    fleet: FleetReadings | None = None
    """None for a sidecar on its own."""
    exports: ExportReadings | None = None
    """None where nothing is sent to an OTLP endpoint."""
    clock_skews: Mapping[tuple[str, int], float] = field(default_factory=dict)
    """Seconds, by the token endpoint's host and port."""


class Histogram:
    """Counts durations by the buckets of `SECONDS`."""

    __slots__ = ("_counts", "_total")

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self._total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one. Hot path: ≤ 0.3 µs."""
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self._total += seconds

    @property
    def used(self) -> bool:
        """Whether anything was counted."""
        return any(self._counts)

    def read(self) -> Distribution:
        """Return it as it is now."""
        return Distribution(tuple(self._counts), self._total)
