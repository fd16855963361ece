"""An outage of the store: one, however many symptoms it has."""

from typing import Literal

from sidecar.core.ports import Clock
from sidecar.telemetry.fleet_events import StoreDown, StoreUp
from sidecar.telemetry.ports import Journal
from sidecar.telemetry.words import NEIGHBOURS

Side = Literal["store", "bus"]


class Outage:
    """Begins when either side is lost and ends when both work again; emits one event for each."""

    def __init__(self, clock: Clock, journal: Journal) -> None:
        self._clock = clock
        self._journal = journal
        self._lost: set[Side] = set()
        self._since = 0.0
        self._first: Side = "store"

    def lost(self, side: Side, why: str) -> None:
        """Note that a side does not work."""
        if not self._lost:
            self._since = self._clock.now()
            self._first = side
            self._journal.tell(StoreDown(why, NEIGHBOURS[side].name))
        self._lost.add(side)

    def back(self, side: Side) -> None:
        """Note that a side works again."""
        if self._lost == {side}:
            self._journal.tell(StoreUp(self._clock.now() - self._since, NEIGHBOURS[self._first].name))
        self._lost.discard(side)
