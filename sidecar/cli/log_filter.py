"""Filters of log lines."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from sidecar.telemetry.words import Level

LEVELS: tuple[str, ...] = get_args(Level)
"""The most severe one last."""
_STATUSES = re.compile(r"([1-5])xx|([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Each given filter must match; "" or empty matches all."""

    tenant: str = ""
    route: str = ""
    request_id: str = ""
    statuses: tuple[range, ...] = ()
    events: frozenset[str] = frozenset()
    level: str = ""
    """This level or a more severe one."""

    def fits(self, line: Mapping[str, object]) -> bool:
        """Return whether the line matches; one without the field in question does not."""
        status = line.get("status")
        return (
            (not self.tenant or line.get("tenant") == self.tenant)
            and (not self.route or line.get("route") == self.route)
            and (not self.request_id or line.get("request_id") == self.request_id)
            and (not self.statuses or any(status in span for span in self.statuses))
            and (not self.events or str(line.get("event")) in self.events)
            and (not self.level or line.get("level") in LEVELS[LEVELS.index(self.level) :])
        )


def event_names() -> frozenset[str]:
    """Return the values of `event` in lines of this version."""
    from sidecar.telemetry import events, fleet_events

    kinds = (kind for module in (events, fleet_events) for kind in vars(module).values())
    named = (kind for kind in kinds if isinstance(kind, type) and issubclass(kind, events.Event))
    return frozenset({"request", *(kind.name for kind in named if kind is not events.Event)})


def statuses(text: str) -> tuple[range, ...]:
    """Parse `404`, `5xx`, `400-499`, or several of them with commas. Raises ValueError."""
    ranges = []
    for part in text.split(","):
        match = _STATUSES.fullmatch(part.strip())
        if match is None:
            raise ValueError("write statuses as 404, 5xx or 400-499, several with commas")
        first = int(match[1] or 0) * 100 or int(match[2])
        last = first + 99 if match[1] else int(match[3] or first)
        ranges.append(range(first, last + 1))
    return tuple(ranges)
