"""A journal that keeps what it is given."""

from sidecar.telemetry.events import Event
from sidecar.telemetry.request_record import RequestRecord


class RecordingJournal:
    """Keep events and requests."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.records: list[RequestRecord] = []

    def tell(self, event: Event) -> None:
        self.events.append(event)

    def request_finished(self, record: RequestRecord) -> None:
        self.records.append(record)

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]
