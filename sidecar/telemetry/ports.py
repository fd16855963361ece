"""Where events and finished requests go."""

from typing import Protocol

from sidecar.telemetry.events import Event
from sidecar.telemetry.request_record import RequestRecord


class Journal(Protocol):
    """Logs and metrics of events and finished requests. Never blocks, never raises."""

    def tell(self, event: Event) -> None:
        """Log the event and count it."""

    def request_finished(self, record: RequestRecord) -> None:
        """Write the access log line and record the metrics of one request. Hot path: ≤ 3 µs."""
