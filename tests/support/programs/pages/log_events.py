"""The page of log lines, from the classes of the events."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Literal, get_args, get_origin, get_type_hints

from sidecar.telemetry import events, fleet_events, words
from sidecar.telemetry.events import FIELDS, Event
from sidecar.telemetry.sinks.request_line import RequestLine
from tests.support.programs.pages import docstrings
from tests.support.programs.pages.markdown import code, codes, page, prose, table

EVENTS: tuple[type[Event], ...] = tuple(
    value
    for module in (events, fleet_events)
    for value in vars(module).values()
    if isinstance(value, type) and issubclass(value, Event) and value.__module__ == module.__name__
    if value is not Event
)
INTRODUCTION = prose(
    """The sidecar logs to standard output. With `log.format: json`, each line is a flat JSON object; with `console`,
    lines have columns for people. Every line has `ts` (UTC), `level` and `event`. No line contains a token, a secret,
    a query string or a body.""",
    """Lines are written in batches by a thread of their own, up to 0.1 s late. If nothing reads standard output,
    lines are dropped and counted in `sidecar_log_lines_dropped_total`; requests never wait for the log.""",
    "`sidecar logs` prints JSON lines in columns and selects them by tenant, route, request, status or event.",
)
REQUESTS = prose(
    """Each finished request is one line. [`log.requests`](configuration.md#log) limits the lines of successful
    requests.""",
)


def text() -> str:
    """Return the page."""
    index = [
        (f"[`{event.name}`](#{event.name})", code(event.level), docstrings.of_class(event))
        for event in EVENTS
    ]
    return page(
        "Log events",
        "`sidecar/telemetry`",
        INTRODUCTION,
        "## Requests",
        REQUESTS,
        table(("Field", "Meaning"), _of_requests()),
        "## Other events",
        table(("Event", "Level", "Meaning"), index),
        *(part for event in EVENTS for part in _section(event)),
    )


def described(event: type[Event]) -> dict[str, str]:
    """Return the meaning of each of the event's fields."""
    own = docstrings.of_fields(event)
    hints = get_type_hints(event)
    return {
        field.name: " ".join(
            filter(None, (own[field.name] or FIELDS.get(field.name, ""), _words(hints[field.name])))
        )
        for field in fields(event)
    }


def _of_requests() -> Iterator[tuple[str, str]]:
    meanings = docstrings.of_fields(RequestLine)
    for name in RequestLine.__struct_fields__:
        yield code(name), meanings[name]


def _section(event: type[Event]) -> Iterator[str]:
    yield f"### `{event.name}`"
    yield prose(f"Level `{event.level}`. {docstrings.of_class(event)}")
    if rows := [(code(name), meaning) for name, meaning in described(event).items()]:
        yield table(("Field", "Meaning"), rows)


def _words(kind: object) -> str:
    """Return what the words of a field mean, or only the words if their meaning is at the field."""
    if get_origin(kind) is not Literal:
        return ""
    explained = docstrings.of_constants(words)
    found = [explained[name] for name, value in vars(words).items() if value == kind and explained.get(name)]
    return found[0] if found else f"One of {codes(get_args(kind))}."
