"""Findings: one thing that is wrong now, and the state from which findings are derived."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.admin.outages import Gravity
from sidecar.admin.ports import Readiness
from sidecar.admin.route_traffic import Reading
from sidecar.cache.token_status import TokenStatus
from sidecar.core.health import Health
from sidecar.oauth.observed import ServerClock
from sidecar.telemetry.recent_events import Occurrence, ReplacedTokens
from sidecar.telemetry.words import NeighbourKind

MOST_NAMED = 4
"""Tenants that a headline names."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a finding is about. A field that does not apply is empty."""

    neighbour: str = ""
    """Kind of the neighbour, as in `health[].kind`; empty if the finding is about none."""
    name: str = ""
    """Name of the neighbour, as in `health[].name`."""
    route: str = ""
    """Name of the route; empty if the finding is about none."""
    token: str = ""
    """Name of the entry in `tokens`; empty if the finding is about none."""
    service: str = ""
    """Service of the token's credentials."""
    tenants: tuple[str, ...] = ()
    """Tenants that are affected; empty if the finding is about no tenant."""


@dataclass(frozen=True, slots=True)
class LiveFinding:
    """One thing that is wrong now."""

    kind: str
    """Kind of the [finding](../how-to/observe.md#findings); for one that is about an event, the event's name."""
    gravity: Gravity
    """`failing`: requests fail. `warning`: they may fail soon."""
    what: str
    """Headline, with the scope."""
    cause: str
    """Cause, in words."""
    effect: str = ""
    """What the sidecar does meanwhile; empty if that is obvious."""
    action: str = ""
    """What to do; empty if the cause contains it."""
    since: float | None = None
    """When the first failure was; it does not move while failures continue. Null if that is not known."""
    last_tried: float | None = None
    """When the last failure was; null if the sidecar does not try."""
    scope: Scope = field(default_factory=Scope)
    caused_by: int | None = None
    """Position in `findings` of the finding from which this one follows, counted from 0; null if none is known. It
    comes right after that finding and the others that follow from it."""


@dataclass(frozen=True, slots=True)
class Line:
    """Requests that wait for a connection to an upstream."""

    upstream: str
    waiting: int
    limit: int
    """Number of connections."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a route needs."""

    token: str
    """Name of the entry in `tokens`; empty if there is none."""
    upstream: str
    """Name of the upstream, as in `health[].name`."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The sidecar's state and that of its neighbours at one moment."""

    now: float
    readiness: Readiness = Readiness(ok=True)  # noqa: RUF009  frozen
    neighbours: Sequence[tuple[NeighbourKind, str, Health]] = ()
    """Kind, name and health."""
    tokens: Sequence[TokenStatus] = ()
    routes: Sequence[tuple[str, Reading]] = ()
    events: Sequence[Occurrence] = ()
    """The newest first."""
    replaced: Sequence[ReplacedTokens] = ()
    wrong_clocks: Sequence[ServerClock] = ()
    lines: Sequence[Line] = ()
    needs: Mapping[str, Needs] = field(default_factory=dict)
    """By the route's name."""


def whose(tenants: Sequence[str]) -> str:
    """Return the name of one tenant, of some, or of the first of many."""
    if len(tenants) > MOST_NAMED:
        named = MOST_NAMED - 1
        return f"tenants {', '.join(tenants[:named])} and {len(tenants) - named} more"
    return f"tenant{'s' * (len(tenants) > 1)} {', '.join(tenants)}" if tenants else ""
