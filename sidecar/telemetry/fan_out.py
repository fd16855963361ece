"""Several journals with one interface."""

from collections.abc import Callable
from typing import Protocol

from sidecar.telemetry.events import Event
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.request_record import RequestRecord


class Listener(Protocol):
    """Receives events but not finished requests, which cost nothing then."""

    def tell(self, event: Event) -> None:
        """Handle an event."""


class FanOut:
    """Pass on to each of its journals, in order, then to the listeners, which get only events."""

    def __init__(self, *journals: Journal, listeners: tuple[Listener, ...] = ()) -> None:
        self._tell: tuple[Callable[[Event], None], ...] = tuple(
            listener.tell for listener in (*journals, *listeners)
        )
        self._finished: tuple[Callable[[RequestRecord], None], ...] = tuple(
            journal.request_finished for journal in journals
        )

    def tell(self, event: Event) -> None:
        """Pass the event to all."""
        for tell in self._tell:
            tell(event)

    def request_finished(self, record: RequestRecord) -> None:
        """Pass the request to all journals."""
        for finished in self._finished:
            finished(record)
