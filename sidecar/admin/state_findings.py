"""Findings from the state of neighbours, tokens and routes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from sidecar.admin.amounts import rate, share, span
from sidecar.admin.live_finding import LiveFinding, Scope, Seen, whose
from sidecar.admin.outages import OUTAGES
from sidecar.cache.token_status import TokenStatus
from sidecar.telemetry.words import NEIGHBOURS

SERIOUS = 0.05
"""Share of a route's requests that must fail for the route to count as failing."""


def readiness(seen: Seen) -> Iterator[LiveFinding]:
    """Report that no requests should be sent to this pod."""
    if not seen.readiness.ok:
        yield LiveFinding(
            "not_ready",
            "failing",
            f"Not ready: {seen.readiness.detail}",
            "this pod is stopping" if seen.readiness.detail == "draining" else seen.readiness.detail,
            "requests in flight and new ones are still answered",
            "send no new requests to this pod",
        )


def neighbours(seen: Seen) -> Iterator[LiveFinding]:
    """Report neighbours that are down."""
    for kind, name, health in seen.neighbours:
        if health.state == "down":
            outage = OUTAGES[kind]
            yield LiveFinding(
                f"{kind}_down",
                outage.gravity,
                _capital(NEIGHBOURS[kind].is_down(name)),
                health.why,
                outage.effect,
                outage.action,
                health.since,
                health.last_failure,
                Scope(neighbour=kind, name=name),
            )


def connections(seen: Seen) -> Iterator[LiveFinding]:
    """Report upstreams whose connections are all busy."""
    for line in seen.lines:
        if line.waiting:
            yield LiveFinding(
                "connections_exhausted",
                "warning",
                f"{_capital(NEIGHBOURS['upstream'].name)} {line.upstream}: requests wait for a connection",
                f"{line.waiting} wait; all {line.limit} connections are busy",
                action="find out why the upstream is slow, or raise `max_connections`",
                scope=Scope(neighbour="upstream", name=line.upstream),
            )


def clocks(seen: Seen) -> Iterator[LiveFinding]:
    """Report servers whose clock differs."""
    for clock in seen.wrong_clocks:
        side = "ahead of" if clock.skew > 0 else "behind"
        yield LiveFinding(
            "clock_skew",
            "warning",
            f"The clock of {clock.host}:{clock.port} is {span(abs(clock.skew))} {side} this machine's",
            "the `Date` of its last answer",
            "JWTs may be refused as expired or not yet valid",
            "synchronize both clocks",
            clock.differs_since,
            scope=Scope(neighbour="authorization_server", name=f"{clock.host}:{clock.port}"),
        )


def tokens(seen: Seen) -> Iterator[LiveFinding]:
    """Report tokens that cannot be fetched; tenants with the same trouble are one finding."""
    groups: defaultdict[tuple[object, ...], list[TokenStatus]] = defaultdict(list)
    for token in seen.tokens:
        if token.problem:
            groups[token.state == "missing", token.token, token.service, token.problem].append(token)
    for group in groups.values():
        yield _unfetched(group)


def _unfetched(group: Sequence[TokenStatus]) -> LiveFinding:
    first, scope = group[0], _scope(group)
    missing, owner = first.state == "missing", _owner(scope)
    return LiveFinding(
        "token_missing" if missing else "token_not_renewed",
        "failing" if missing else "warning",
        f"No token for {owner}" if missing else f"The token for {owner} cannot be renewed",
        cause_of(first),
        "" if missing else f"it is in use for another {span(min(each.expires_in for each in group))}",
        first.hint or f"`{_check(scope)}` requests this token and names the cause",
        min(each.problem_since for each in group if each.problem_since is not None),
        max(each.last_tried for each in group if each.last_tried is not None),
        scope,
    )


def cause_of(token: TokenStatus) -> str:
    """Return why the token cannot be fetched, with the server's own text."""
    return f"{token.problem}: “{token.error_description}”" if token.error_description else token.problem


def _check(scope: Scope) -> str:
    return f"sidecar check --tenant {scope.tenants[0]}" if scope.tenants else "sidecar check"


def cooling(seen: Seen) -> Iterator[LiveFinding]:
    """Report tokens that are refused although they are new."""
    groups: defaultdict[tuple[str, str], list[TokenStatus]] = defaultdict(list)
    for token in seen.tokens:
        if token.cooling:
            groups[token.token, token.service].append(token)
    for group in groups.values():
        scope, left = _scope(group), max(each.cooling for each in group)
        yield LiveFinding(
            "cooling_down",
            "warning",
            f"New tokens for {_owner(scope)} are refused too",
            "the upstream refused a token right after it was fetched",
            f"refusals go to the clients for another {span(left)}; then one request tries a new token",
            "check the audience, the scope and the keys that the upstream accepts",
            min((each.cooling_since for each in group if each.cooling_since is not None), default=None),
            scope=scope,
        )


_BY_ERROR: Mapping[str, str] = {
    **dict.fromkeys(("token_refused", "token_unavailable"), "see the finding about the missing token"),
    **dict.fromkeys(
        ("upstream_unreachable", "upstream_timeout", "upstream_malformed"),
        "check the upstream; `detail` in the access log describes what it did",
    ),
    "401": "check the audience, the scope and the keys that the upstream accepts",
    "internal_error": "report the bug; the event `failed` in the log has the place",
}


def routes(seen: Seen) -> Iterator[LiveFinding]:
    """Report routes some of whose requests fail."""
    for name, reading in seen.routes:
        if not reading.error_rate:
            continue
        main = next(iter(reading.errors), "")
        errors = ", ".join(f"{error} ({number})" for error, number in reading.errors.items())
        yield LiveFinding(
            "route_failing",
            "failing" if reading.error_rate >= SERIOUS * reading.rate else "warning",
            f"Route {name}: {share(reading.error_rate, reading.rate)} of its requests fail",
            f"{rate(reading.error_rate)}: {errors}",
            action=_BY_ERROR.get(
                main, "read the upstream's own log; `sidecar logs --route` finds the requests"
            ),
            since=reading.failing_since,
            scope=Scope(route=name),
        )


def _scope(group: Sequence[TokenStatus]) -> Scope:
    tenants = tuple(dict.fromkeys(each.tenant for each in group if each.tenant))
    return Scope(token=group[0].token, service=group[0].service, tenants=tenants)


def _owner(scope: Scope) -> str:
    return ", ".join(filter(None, (whose(scope.tenants), f"service {scope.service}, token {scope.token}")))


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
