"""What is wrong now by recent events: for a while after each, or until another one ends it."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sidecar.admin.live_finding import LiveFinding, Scope, Seen, whose
from sidecar.telemetry.events import (
    ConfigDoubtful,
    Event,
    ExportDown,
    ExportUp,
    Failed,
    OutOfDescriptors,
    Refused,
    Reloaded,
    ReloadFailed,
    SettingIgnored,
    UnknownTenantNamed,
)
from sidecar.telemetry.fleet_events import BustFailed, BustRejected, StoreDenied
from sidecar.telemetry.recent_events import Occurrence

NOTABLE = 600.0
"""Seconds for which an event without an ending event counts as wrong."""
RELAYED = 120.0
"""Seconds for which a refusal that was relayed to a client counts as wrong."""


@dataclass(frozen=True, slots=True)
class _Words:
    """Texts about an event, with its fields in braces."""

    what: str
    cause: str
    action: str
    effect: str = ""
    ended_by: type[Event] | None = None
    """The event of the same `signal` that ends it; None: it is over after NOTABLE seconds."""


_WORDS: Mapping[type[Event], _Words] = {
    ReloadFailed: _Words(
        "The new configuration cannot be used; the old one stays in force",
        "{error}",
        "correct the file; `sidecar validate` prints every fault",
        ended_by=Reloaded,
    ),
    ExportDown: _Words(
        "The OTLP endpoint does not accept {signal}",
        "{error}",
        "check the collector and the variables `OTEL_EXPORTER_OTLP_…`",
        "requests go on; what is not exported is lost",
        ended_by=ExportUp,
    ),
    Failed: _Words("A bug; please report it", "{where}: {error}", "report it with this text and the version"),
    OutOfDescriptors: _Words(
        "None of {limit} file descriptors is left for new clients; their connections are closed",
        "clients hold as many connections as the limit allows",
        "{hint}",
    ),
    BustRejected: _Words(
        "A message was rejected",
        "{reason}, on {channel}",
        "check that all pods have the same `redis.encryption_keys`, and which other programs may publish there",
    ),
    BustFailed: _Words(
        "A bust did not reach all pods: {select}",
        "Redis did not {step} it: {error}",
        "repeat the bust when Redis answers",
    ),
    StoreDenied: _Words(
        "Redis denies the sidecar's user what {operation} requires",
        "{error}",
        "grant the permission; `sidecar check` names it",
    ),
    UnknownTenantNamed: _Words(
        "Route {route}: requests for the unknown tenant {tenant}",
        "{count} since the last report",
        "correct the client, or add the tenant to `tenant.allow`",
        "these requests get 400",
    ),
    SettingIgnored: _Words("{variable} cannot be used", "{reason}", "correct or remove the variable"),
    ConfigDoubtful: _Words(
        "A value of the configuration is probably a mistake", "{warning}", "correct the value"
    ),
}

_REFUSALS: Mapping[str, str] = {
    "insufficient_scope": (
        "the token lacks a scope: add it to the token's `scope`,"
        " or grant it to the client at the authorization server"
    ),
    "insufficient_user_authentication": "the user must sign in again, or with a stronger method",
    "invalid_request": "the upstream rejected the request as malformed: correct the request",
    "other_scheme": "the upstream accepts no Bearer tokens, only other authentication: correct the route",
}


@dataclass(slots=True)
class _Group:
    """Repetitions of an event without an end between them; the newest first."""

    occurrences: list[Occurrence] = field(default_factory=list)

    @property
    def newest(self) -> Occurrence:
        return self.occurrences[0]

    @property
    def since(self) -> float:
        return min(each.first for each in self.occurrences)


def events(seen: Seen) -> Iterator[LiveFinding]:
    """Return the findings that follow from events, the newest first."""
    lasts: dict[Hashable, float] = {}
    goes_on: dict[Hashable, _Group] = {}
    for occurrence in seen.events:
        event = occurrence.event
        words = _WORDS.get(type(event))
        lasts.setdefault((type(event), _signal(event)), occurrence.last)
        if words is None or (words.ended_by, _signal(event)) in lasts:
            continue
        key: Hashable = (type(event), _signal(event))
        if words.ended_by is None:
            key = (type(event), *_filled(words, event))
            if not _recent(goes_on.get(key), occurrence, seen.now, NOTABLE):
                continue
        goes_on.setdefault(key, _Group()).occurrences.append(occurrence)
    for group in goes_on.values():
        yield _finding(group, lasts)


def refusals(seen: Seen) -> Iterator[LiveFinding]:
    """Return refusals that clients got because no other token would help; one finding for all tenants."""
    groups: dict[Hashable, _Group] = {}
    for occurrence in seen.events:
        event = occurrence.event
        if isinstance(event, Refused) and event.decision == "relay":
            key = (event.route, event.status, event.error, event.scope)
            if _recent(groups.get(key), occurrence, seen.now, RELAYED):
                groups.setdefault(key, _Group()).occurrences.append(occurrence)
    for group in groups.values():
        yield _refusal(group)


def early(seen: Seen) -> Iterator[LiveFinding]:
    """Return routes whose upstream refuses tokens again and again, so that the sidecar sends requests twice."""
    for tokens in seen.replaced:
        if tokens.is_early(seen.now):
            yield LiveFinding(
                "expires_early",
                "warning",
                f"Route {tokens.route}: the upstream refuses tokens before they expire",
                f"{tokens.cause}; {tokens.count} tokens so far",
                "the sidecar fetches another token each time and sends the request again",
                "compare `expires_in` of the tokens with the time for which the upstream accepts them,"
                " or find out what revokes them",
                tokens.since,
                tokens.lasts[-1],
                scope=Scope(route=tokens.route),
            )


def _recent(group: _Group | None, occurrence: Occurrence, now: float, within: float) -> bool:
    """Return whether the event is wrong now, or leads without a pause to one that is."""
    until = group.since if group is not None else now
    return until - occurrence.last < within


def _finding(group: _Group, lasts: Mapping[Hashable, float]) -> LiveFinding:
    """Take `lasts`, when each kind of event happened last, so that nothing is dated before the event that ended it."""
    event = group.newest.event
    words = _WORDS[type(event)]
    what, cause, effect, action = _filled(words, event)
    since = max(group.since, lasts.get((words.ended_by, _signal(event)), group.since))
    return LiveFinding(event.name, "warning", what, cause, effect, action, since)


def _filled(words: _Words, event: Event) -> Sequence[str]:
    fill: Callable[[str], str] = lambda text: text.format(**event.values())  # noqa: E731
    return [fill(text) for text in (words.what, words.cause, words.effect, words.action)]


def _signal(event: Event) -> object:
    return event.values().get("signal")


def _refusal(group: _Group) -> LiveFinding:
    refused = [each.event for each in group.occurrences if isinstance(each.event, Refused)]
    first = refused[0]
    tenants = tuple(dict.fromkeys(each.tenant for each in refused if each.tenant))
    of = f" of {whose(tenants)}" if tenants else ""
    cause = f"{first.status} {first.error}".strip()
    return LiveFinding(
        first.name,
        "warning",
        f"Route {first.route}: the upstream refused the token{of}",
        f"{cause}; requires scope {first.scope}" if first.scope else cause,
        "the clients get the refusal, because another token would not help",
        _REFUSALS.get(first.error, "read what the upstream requires in its own log"),
        group.since,
        scope=Scope(route=first.route, tenants=tenants),
    )
