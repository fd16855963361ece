"""Where events and finished requests go, and what the gauges are read from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sidecar.telemetry.events import Event
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.words import NeighbourKind


class Journal(Protocol):
    """Logs and metrics of events and finished requests. Never blocks, never raises."""

    def tell(self, event: Event) -> None:
        """Log the event and count it."""

    def request_finished(self, record: RequestRecord) -> None:
        """Write the access log line and record the metrics of one request. Hot path: ≤ 3 µs."""


@dataclass(frozen=True, slots=True)
class FleetReadings:
    """Readings of the store and the bus."""

    store_up: bool
    store_operations: Mapping[tuple[str, str], int]
    """Number by operation and outcome; both from short fixed lists."""
    bus_up: bool
    leases: Mapping[str, int]
    """Number by outcome."""
    rejected: Mapping[str, int]
    """Number of messages by reason."""

    @property
    def down(self) -> Sequence[NeighbourKind]:
        """The parts of the two that are unavailable."""
        up: Mapping[NeighbourKind, bool] = {"store": self.store_up, "bus": self.bus_up}
        return [kind for kind in up if not up[kind]]


@dataclass(frozen=True, slots=True)
class PoolReadings:
    """Use of the connections to one upstream."""

    active: int
    idle: int
    waiting: int
    """Requests that wait for a connection."""


@dataclass(frozen=True, slots=True)
class ExportReadings:
    """Results of exports to the OTLP endpoint."""

    exports: Mapping[tuple[str, str], int]
    """Number by signal (`metrics`, `traces`) and outcome (`ok`, `failed`)."""
    spans_dropped: int


@dataclass(frozen=True, slots=True)
class Readings:
    """Gauges read at scrape time."""

    requests_in_flight: int
    connections_open: int
    tasks: int
    log_lines_dropped: int
    token_expires_in: Mapping[tuple[str, str], float]
    """Seconds, by token name and tenant; the earliest if there are several tokens."""
    pools: Mapping[tuple[str, int], PoolReadings]
    """By the upstream's host and port."""
    fleet: FleetReadings | None = None
    """None without a fleet."""
    exports: ExportReadings | None = None
    """None if nothing is sent to an OTLP endpoint."""
    clock_skews: Mapping[tuple[str, int], float] = field(default_factory=dict)
    """Seconds, by the token endpoint's host and port."""
    tokens_failing: Mapping[tuple[str, str, str, str], float] = field(default_factory=dict)
    """Seconds since fetches began to fail, by token name, tenant, state and reason; the longest if there are several
    tokens."""
    secrets_failing: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    """Seconds from the first failed read to the last, by service, tenant and reason."""
    neighbours_down: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Seconds from the first failure to the last, by kind and name."""
    certificates: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    """Seconds until they expire and of their whole life, by role and name."""
