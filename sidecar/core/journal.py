"""Several journals told as one."""

from collections.abc import Callable

from sidecar.core.events import Event
from sidecar.core.ports import Journal
from sidecar.core.record import RequestRecord


class Journals:
    """Tells each of its journals, in order."""

    def __init__(self, *journals: Journal) -> None:
        self._tell: tuple[Callable[[Event], None], ...] = tuple(journal.tell for journal in journals)
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
