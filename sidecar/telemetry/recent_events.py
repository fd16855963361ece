"""Recent events for the live page, with the time when they began, and what only a series of events shows."""

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.core.lru import Lru
from sidecar.core.ports import Clock
from sidecar.telemetry.events import Event, Refused, Resent, SecretRead, TokenFetched

LENGTH = 200
"""Limit: events in `/status` (number). Beyond: the oldest event is dropped."""
APART = 60.0
"""Seconds of silence after which the same event starts a new entry."""
SEVERAL = 3
"""Number of a route's tokens, refused and replaced within TOGETHER seconds, from which the route is reported."""
TOGETHER = 600.0
"""Seconds without such a token that end a series of them."""
MOST_ROUTES = 1000
MOST_REPLACED = 1000
"""Tokens that are remembered, so that each counts once however many requests it was refused in."""
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


@dataclass(frozen=True, slots=True)
class ReplacedTokens:
    """A series of tokens of a route that an upstream refused before they expired; the sidecar replaced each."""

    route: str
    cause: str
    """Status and error of the last refusal."""
    since: float
    """When the first of these tokens was replaced."""
    lasts: tuple[float, ...]
    """When the last of these tokens were replaced, at most SEVERAL of them; the oldest first."""
    count: int

    def is_early(self, now: float) -> bool:
        """Return whether SEVERAL of these tokens were replaced within TOGETHER seconds."""
        return len(self.lasts) == SEVERAL and now - self.lasts[0] < TOGETHER


class EarlyRefusals:
    """Collect series of tokens that upstreams refused before they expired, from the journal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._causes: Lru[str] = Lru(MOST_ROUTES)
        self._series: Lru[ReplacedTokens] = Lru(MOST_ROUTES)
        self._counted: Lru[str] = Lru(MOST_REPLACED)

    def __iter__(self) -> Iterator[ReplacedTokens]:
        """Return the last series of each route."""
        return iter(self._series)

    def tell(self, event: Event) -> None:
        """Note a refusal, or that another token was accepted in place of the refused one."""
        if isinstance(event, Refused) and event.decision == "renew":
            self._causes.put(event.route, f"{event.status} {event.error}".strip())
        elif isinstance(event, Resent) and event.outcome == "healed":
            token = f"{event.route} {event.fp}"
            if self._counted.get(token) is None:
                self._counted.put(token, token)
                self._add(event.route, self._clock.now())

    def _add(self, route: str, now: float) -> None:
        known, cause = self._series.get(route), self._causes.get(route) or "refused"
        if known is None or now - known.lasts[-1] >= TOGETHER:
            self._series.put(route, ReplacedTokens(route, cause, now, (now,), 1))
        else:
            lasts = (*known.lasts, now)[-SEVERAL:]
            self._series.put(route, ReplacedTokens(route, cause, known.since, lasts, known.count + 1))
