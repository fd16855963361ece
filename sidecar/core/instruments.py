"""Everything measured, on one page, and the shape in which it is read.

Names are OpenTelemetry's, so that every exporter can derive its own from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of the buckets, inclusive, as OpenTelemetry's HTTP conventions advise."""

_REQUEST = ("http.route", "http.request.method", "http.response.status_code")
_UPSTREAM = ("server.address", "server.port")


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing measured."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    labels: tuple[str, ...] = ()
    unit: Literal["", "s"] = ""


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
    "From sending to the head of the answer; of both sends together.",
    _REQUEST + _UPSTREAM,
    "s",
)
HITS = Instrument(
    "m2m_credential_cache_hits", "counter", "Requests whose token was cached.", ("token", "level")
)
MISSES = Instrument(
    "m2m_credential_cache_misses", "counter", "Requests whose token was not cached.", ("token", "level")
)
FETCH_ERRORS = Instrument(
    "m2m_credential_fetch_errors", "counter", "Fetches that gave no token.", ("token", "outcome")
)
FETCH_DURATION = Instrument(
    "m2m_credential_fetch_duration_seconds", "histogram", "Fetches, failed ones too.", ("token",), "s"
)
SECRET_READS = Instrument(
    "sidecar.secret.reads", "counter", "Questions to a secret store, by what came of them.", ("outcome",)
)
BUSTS = Instrument("sidecar.busts.sent", "counter", "Tokens this pod declared dead.", ("token",))
BUSTS_APPLIED = Instrument(
    "sidecar.busts.applied", "counter", "Busts of others that dropped something here.", ("kind",)
)
BUSTS_REJECTED = Instrument(
    "sidecar.busts.rejected", "counter", "Messages that may not bust anything.", ("reason",)
)
COOL_DOWNS = Instrument("sidecar.cool_downs", "counter", "Fresh tokens that were refused too.", ("token",))
REFUSALS = Instrument(
    "sidecar.refusals", "counter", "Answers that refused our token.", ("http.route", "decision")
)
RESENDS = Instrument("sidecar.resends", "counter", "Requests sent once more.", ("http.route", "outcome"))
EXPIRY = Instrument("sidecar.token.expires_in", "gauge", "Seconds a cached token has left.", ("token",), "s")
ACTIVE = Instrument("http.server.active_requests", "gauge", "Requests in flight.")
CONNECTIONS = Instrument("sidecar.connections.open", "gauge", "Client connections open.")
TASKS = Instrument("sidecar.tasks", "gauge", "Tasks on the event loop, the scrape's own among them.")
DROPPED = Instrument("sidecar.log.lines.dropped", "counter", "Log lines lost to a slow or broken sink.")
STORE_UP = Instrument("sidecar.store.up", "gauge", "1 while Redis is asked, 0 while it is left alone.")
STORE_OPERATIONS = Instrument(
    "sidecar.store.operations", "counter", "Questions to Redis.", ("operation", "outcome")
)
BUS_UP = Instrument("sidecar.bus.up", "gauge", "1 while the other pods' busts can arrive.")
BUILD = Instrument("sidecar.build.info", "gauge", "Always 1.", ("version",))


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


@dataclass(frozen=True, slots=True)
class Readings:
    """What others know and the exporter wants."""

    requests_in_flight: int
    connections_open: int
    tasks: int
    log_lines_dropped: int
    token_expires_in: Mapping[str, float]
    """Seconds, by token name; the soonest where one name has several tokens."""
    fleet: FleetReadings | None = None
    """None for a sidecar on its own."""
