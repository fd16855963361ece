"""Which findings follow from which: one cause is shown once, with its consequences right after it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from sidecar.admin.live_finding import LiveFinding, Needs, Seen
from sidecar.admin.state_findings import cause_of

_NEIGHBOURS_OF_TOKENS = ("authorization_server_down", "secret_store_down")
_TOKENS = ("token_missing", "token_not_renewed")
_LACKS_TOKEN = ("token_refused", "token_unavailable")
_LACKS_UPSTREAM = ("upstream_unreachable", "upstream_timeout", "upstream_malformed")


def nested(found: Sequence[LiveFinding], seen: Seen, rank: Callable[[LiveFinding], int]) -> list[LiveFinding]:
    """Put each finding right after the one from which it follows; causes are sorted by the gravest of each family."""
    families = _families(found, seen)
    ordered = sorted(families, key=lambda root: min(rank(found[each]) for each in (root, *families[root])))
    placed: list[LiveFinding] = []
    for root in ordered:
        position = len(placed)
        placed.append(found[root])
        placed += [replace(found[each], caused_by=position) for each in families[root]]
    return placed


def _families(found: Sequence[LiveFinding], seen: Seen) -> Mapping[int, Sequence[int]]:
    """Return the positions of the consequences, by the position of the cause that follows from none."""
    causes = _Causes(found, seen)
    families: dict[int, list[int]] = {}
    for position in range(len(found)):
        root = causes.root(position)
        family = families.setdefault(root, [])
        if root != position:
            family.append(position)
    return families


class _Causes:
    """The direct causes of each finding."""

    def __init__(self, found: Sequence[LiveFinding], seen: Seen) -> None:
        self._found = found
        self._seen = seen
        self._roots: dict[int, int] = {}
        self._by_kind: dict[str, list[int]] = {}
        self._first_with: dict[tuple[str, str], int] = {}
        for position, each in enumerate(found):
            self._by_kind.setdefault(each.kind, []).append(position)
            if each.kind in _TOKENS:
                self._first_with.setdefault((each.scope.service, each.cause), position)
        self._errors = {name: next(iter(reading.errors), "") for name, reading in seen.routes}
        self._passing = {
            (token.token, token.service, cause_of(token))
            for token in seen.tokens
            if token.reason == "unavailable"
        }

    def root(self, position: int) -> int:
        """Return the finding from which this one follows in the end; itself, if there is none or more than one."""
        if position not in self._roots:
            roots = {self.root(cause) for cause in self._direct(position)}
            self._roots[position] = roots.pop() if len(roots) == 1 else position
        return self._roots[position]

    def _direct(self, position: int) -> Iterator[int]:
        finding = self._found[position]
        if finding.kind in _TOKENS:
            yield from self._of_token(finding, position)
        elif finding.kind == "route_failing":
            yield from self._of_route(finding)
        elif finding.kind == "connections_exhausted":
            yield from self._named("upstream_down", finding.scope.name)
        elif finding.kind == "bus_down":
            yield from self._named("store_down", finding.scope.name)
        elif finding.kind == "bust_failed":
            yield from (each for each in self._of("store_down") if _within(finding.since, self._found[each]))

    def _of_token(self, finding: LiveFinding, position: int) -> Iterator[int]:
        """Yield the neighbours that its last fetch lacked; else the first finding with the same cause."""
        if not finding.scope.token:  # it sums up others
            return
        key = (finding.scope.token, finding.scope.service, finding.cause)
        lacked = [
            each
            for each in self._of(*_NEIGHBOURS_OF_TOKENS)
            if key in self._passing
            and _within(finding.last_tried, self._found[each])
            and _names(finding.cause, self._found[each].scope.name)
        ]
        first = self._first_with[finding.scope.service, finding.cause]
        yield from lacked or ([first] if first != position else [])

    def _of_route(self, finding: LiveFinding) -> Iterator[int]:
        """Yield what its most frequent error lacks."""
        route = finding.scope.route
        needs, error = self._seen.needs.get(route, Needs("", "")), self._errors.get(route, "")
        if error in _LACKS_TOKEN:
            yield from self._about_token("token_missing", needs.token)
        elif error in _LACKS_UPSTREAM:
            yield from self._named("upstream_down", needs.upstream)
        elif error == "401":
            yield from self._about_token("cooling_down", needs.token)
            yield from (each for each in self._of("refused") if self._is_401(each, route))

    def _is_401(self, position: int, route: str) -> bool:
        refused = self._found[position]
        return refused.scope.route == route and refused.cause.startswith("401")

    def _about_token(self, kind: str, token: str) -> Iterator[int]:
        return (each for each in self._of(kind) if token and self._found[each].scope.token == token)

    def _named(self, kind: str, name: str) -> Iterator[int]:
        return (each for each in self._of(kind) if name and self._found[each].scope.name == name)

    def _of(self, *kinds: str) -> Iterator[int]:
        return (each for kind in kinds for each in self._by_kind.get(kind, ()))


def _within(moment: float | None, outage: LiveFinding) -> bool:
    """Return whether that was while the neighbour was down."""
    return moment is not None and outage.since is not None and moment >= outage.since


def _names(text: str, neighbour: str) -> bool:
    """Return whether the text has this name, and not one that only contains it, such as another port of the host."""
    return bool(neighbour) and bool(
        re.search(rf"(?<![\w.:-]){re.escape(neighbour)}(?![\w-]|\.\w|:\d)", text, re.ASCII)
    )
