"""One thing that is wrong now, what the sidecar knows when it looks for such things, and words for both."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sidecar.admin.outages import Gravity
from sidecar.admin.ports import Readiness
from sidecar.admin.route_traffic import Reading
from sidecar.cache.token_status import TokenStatus
from sidecar.core.health import Health
from sidecar.oauth.observed import ServerClock
from sidecar.telemetry.recent_events import Occurrence
from sidecar.telemetry.words import NeighbourKind

MOST_NAMED = 4
"""Tenants that a headline names."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a finding is about; empty where it does not matter."""

    neighbour: str = ""
    """Its kind, as in `health`."""
    name: str = ""
    """Of the neighbour."""
    route: str = ""
    token: str = ""
    service: str = ""
    tenants: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """One thing that is wrong now."""

    kind: str
    """The log's event, where there is one."""
    gravity: Gravity
    what: str
    """In a few words, with the scope."""
    cause: str
    effect: str = ""
    """What the sidecar does meanwhile, "" where that is plain."""
    action: str = ""
    """What to do, "" where the cause says it."""
    since: float | None = None
    """The moment of the first failure; None where that is not known."""
    last_tried: float | None = None
    """The moment of the last failure; None where nothing is tried."""
    scope: Scope = field(default_factory=Scope)


@dataclass(frozen=True, slots=True)
class Line:
    """Requests that wait for a connection to an upstream."""

    upstream: str
    waiting: int
    limit: int
    """Of connections."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the sidecar knows of itself and of its neighbours at one moment."""

    now: float
    readiness: Readiness = Readiness(ok=True)  # noqa: RUF009  frozen
    neighbours: Sequence[tuple[NeighbourKind, str, Health]] = ()
    """Kind, name and health."""
    tokens: Sequence[TokenStatus] = ()
    routes: Sequence[tuple[str, Reading]] = ()
    events: Sequence[Occurrence] = ()
    """The newest first."""
    wrong_clocks: Sequence[ServerClock] = ()
    lines: Sequence[Line] = ()


def whose(tenants: Sequence[str]) -> str:
    """Name one tenant, some, or the first of many."""
    if len(tenants) > MOST_NAMED:
        named = MOST_NAMED - 1
        return f"tenants {', '.join(tenants[:named])} and {len(tenants) - named} more"
    return f"tenant{'s' * (len(tenants) > 1)} {', '.join(tenants)}" if tenants else ""
