"""Recent events for the live page, with the time when they began."""

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.core.lru import Lru
from sidecar.core.ports import Clock
from sidecar.telemetry.events import Event, SecretRead, TokenFetched

LENGTH = 200
"""Limit: events in `/status` (number). Beyond: the oldest event is dropped."""
APART = 60.0
"""Seconds of silence after which the same event starts a new entry."""
_ROUTINE = (SecretRead, TokenFetched)
_DIFFERS = frozenset(
    {
        *("request_id", "duration_ms", "retry_after", "seconds", "evicted", "connections"),
        *("error_description", "hint", "outages"),
    }
)
"""Fields in which two events may differ and still count as the same for people."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event that happened `count` times from the moment `first` to `last`; `event` is the last."""

    event: Event
    first: float
    last: float
    count: int = 1


class RecentEvents:
    """Collect events from the journal. A repeated event is one entry with a count, so that a flood hides no other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: Lru[Occurrence] = Lru(LENGTH)
        self._going_on: Lru[str] = Lru(LENGTH)
        self._number = 0

    def tell(self, event: Event) -> None:
        """Keep the event, unless it is a routine one."""
        if isinstance(event, _ROUTINE) or event.level == "debug":
            return
        now = self._clock.now()
        identity = _identity(event)
        place = self._going_on.get(identity) or ""
        known = self._entries.get(place)
        if known is None or now - known.last > APART:
            self._number += 1
            place = str(self._number)
            self._going_on.put(identity, place)
            self._entries.put(place, Occurrence(event, now, now))
        else:
            self._entries.put(place, Occurrence(event, known.first, now, known.count + 1))

    def __iter__(self) -> Iterator[Occurrence]:
        """Return the entries, the last first."""
        return reversed(self._entries)


def _identity(event: Event) -> str:
    return repr((event.name, [value for name, value in event.values().items() if name not in _DIFFERS]))
