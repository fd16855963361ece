"""Everything that is wrong now, the gravest first: `findings` of `/status`, on the page and in `sidecar status`."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import count

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
    event_findings.early,
    state_findings.connections,
    state_findings.routes,
    event_findings.events,
)
"""Causes before their consequences."""

MOST_OF_A_KIND = 10
"""Limit: findings of one kind and gravity in `/status` (number). Beyond: a further finding has the number of the
others.
"""

_ORDER: Sequence[Gravity] = ("failing", "warning")


def wrong_now(seen: Seen) -> list[LiveFinding]:
    """Return the findings, each after its cause, many of one kind summed up; equally grave ones in the rules' order."""
    found = [finding for rule in RULES for finding in rule(seen)]
    return nested(list(_bounded(sorted(found, key=_rank))), seen, _rank)


def _rank(finding: LiveFinding) -> int:
    return _ORDER.index(finding.gravity)


def _bounded(found: Sequence[LiveFinding]) -> Iterator[LiveFinding]:
    groups: defaultdict[tuple[Gravity, str], list[LiveFinding]] = defaultdict(list)
    for finding in found:
        groups[finding.gravity, finding.kind].append(finding)
    places = {kind: count() for kind in groups}
    for finding in found:
        kind = (finding.gravity, finding.kind)
        place = next(places[kind])
        if place < MOST_OF_A_KIND:
            yield finding
        elif place == MOST_OF_A_KIND:
            yield _summed_up(groups[kind][MOST_OF_A_KIND:])


def _summed_up(others: Sequence[LiveFinding]) -> LiveFinding:
    return LiveFinding(
        others[0].kind,
        others[0].gravity,
        f"And {len(others)} more of this kind",
        f"the first {MOST_OF_A_KIND} are above",
        action="correct these first; `routes`, `tokens`, `health` and `events` of `/status` have the others",
        since=min((each.since for each in others if each.since is not None), default=None),
        last_tried=max((each.last_tried for each in others if each.last_tried is not None), default=None),
    )
