"""Everything that is wrong now, the gravest first: `findings` of `/status`, on the page and in `sidecar status`."""

from collections.abc import Callable, Iterator, Sequence

from sidecar.admin import event_findings, state_findings
from sidecar.admin.causes import nested
from sidecar.admin.live_finding import LiveFinding, Seen
from sidecar.admin.outages import Gravity

RULES: Sequence[Callable[[Seen], Iterator[LiveFinding]]] = (
    state_findings.readiness,
    state_findings.neighbours,
    state_findings.clocks,
    state_findings.tokens,
    state_findings.cooling,
    event_findings.refusals,
    state_findings.connections,
    state_findings.routes,
    event_findings.events,
)
"""Causes before their consequences."""

_ORDER: Sequence[Gravity] = ("failing", "warning")


def wrong_now(seen: Seen) -> list[LiveFinding]:
    """Return all findings, each right after its cause; those of equal gravity in the order of the rules."""
    found = [finding for rule in RULES for finding in rule(seen)]
    return nested(sorted(found, key=_rank), seen, _rank)


def _rank(finding: LiveFinding) -> int:
    return _ORDER.index(finding.gravity)
