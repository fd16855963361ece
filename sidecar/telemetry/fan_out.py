"""Several journals told as one."""

from collections.abc import Callable
from typing import Protocol

from sidecar.telemetry.events import Event
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.request_record import RequestRecord


class Listener(Protocol):
    """Half a journal, for whom requests are nothing to know of: they cost nothing then."""

    def tell(self, event: Event) -> None:
        """Hear of an event."""


class FanOut:
    """Tells each of its journals, in order, then who only listens to events."""

    def __init__(self, *journals: Journal, listeners: tuple[Listener, ...] = ()) -> None:
        self._tell: tuple[Callable[[Event], None], ...] = tuple(
            listener.tell for listener in (*journals, *listeners)
        )
        self._finished: tuple[Callable[[RequestRecord], None], ...] = tuple(
            journal.request_finished for journal in journals
        )

    def tell(self, event: Event) -> None:
        """Tell all of the event."""
        for tell in self._tell:
            tell(event)

    def request_finished(self, record: RequestRecord) -> None:
        """Tell all of the request."""
        for finished in self._finished:
            finished(record)
