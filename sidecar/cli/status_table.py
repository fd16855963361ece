"""What `/status` returns, for people: what is wrong now, then neighbours, routes, tokens and recent events.

Missing members are left out, so that this command works with an older or a newer sidecar too.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TypeGuard

from sidecar.admin.amounts import rate, share, span
from sidecar.cli.terminal import Cell, Terminal, harmless
from sidecar.telemetry.colours import Colour
from sidecar.telemetry.words import HEALTH_STATES, TOKEN_ORIGINS, neighbour

MOST_EVENTS = 10

_Members = Mapping[str, object]
_COLOURS: Mapping[str, Colour] = {
    "up": "green", "down": "red", "unknown": "dim", "aging": "yellow", "missing": "red",
    "failing": "red", "warning": "yellow", "error": "red", "debug": "dim",
}  # fmt: skip
_MOST = 1e15
_INDENT = "    "
_NAMED = 4
"""Number of tenants that a finding's headline names itself."""

_HEALTH = ("", "of", "", "since", "last tried")
_ROUTE = ("route", "match", "token", "requests", "errors", "mean", "p99", "upstream")
_TOKEN = ("token", "tenant", "service", "state", "fp", "expires in", "source", "used")


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a table, and below it the texts that must not be cut off."""

    cells: Sequence[Cell]
    note: str = ""


def lines(shown: _Members, terminal: Terminal) -> Iterator[str]:
    """Print all rows."""
    yield terminal.line([Cell(_head(shown), "bold")], [0])
    ready = shown.get("ready")
    if isinstance(ready, dict) and _text(ready, "detail"):
        how = Cell("degraded: ", "yellow") if ready.get("ok") else Cell("not ready: ", "red")
        yield terminal.line([how, Cell(_text(ready, "detail"))], [0, 0])
    yield from ("", terminal.paint("bold", "what is wrong now"), *_findings(shown, terminal))
    for title, names, rows in (
        ("health", _HEALTH, [_health(one, shown) for one in _list(shown, "health")]),
        ("routes", _ROUTE, [_route(one) for one in _list(shown, "routes")]),
        ("tokens", _TOKEN, [_token(one, shown) for one in _list(shown, "tokens")]),
        ("recent events", (), [_event(one) for one in _list(shown, "events")[:MOST_EVENTS]]),
    ):
        if rows:
            yield ""
            yield terminal.paint("bold", title)
            yield from _table(terminal, names, rows)


def _table(terminal: Terminal, names: Sequence[str], rows: Sequence[_Row]) -> Iterator[str]:
    heads = [[Cell(name, "dim") for name in names]] if names else []
    written = iter(terminal.table([*heads, *(row.cells for row in rows)]))
    if heads:
        yield next(written)
    for line, row in zip(written, rows, strict=True):
        yield line
        for part in _wrapped(row.note, terminal):
            yield terminal.paint("red", part)


def _wrapped(text: str, terminal: Terminal) -> Sequence[str]:
    return [f"{_INDENT}{part}" for part in wrap(text, max(20, terminal.width - len(_INDENT)))]


def _findings(shown: _Members, terminal: Terminal) -> Iterator[str]:
    if "findings" not in shown:
        yield from wrap("this sidecar is too old to report it: see below", max(24, terminal.width))
    elif not shown["findings"]:
        yield terminal.line([Cell("nothing found in this pod", "green")], [0])
    for one in _list(shown, "findings"):
        gravity = _text(one, "gravity")
        first, *others = wrap(f"{gravity}  {_text(one, 'what')}", max(24, terminal.width)) or [""]
        yield terminal.paint(_COLOURS.get(gravity, ""), first[: len(gravity)]) + first[len(gravity) :]
        yield from others
        for text in _details(one, shown):
            yield from _wrapped(text, terminal)


def _details(one: _Members, shown: _Members) -> Iterator[str]:
    """Yield the lines below a finding's headline; each is wrapped, none is cut."""
    at, tenants = _number(shown, "at"), one.get("tenants")
    since, tried = one.get("since"), one.get("last_tried")
    when = [f"since {_clock(since)}, {_span(at - since)}"] if _is_number(since) else []
    when += [f"last tried {_span(at - tried)} ago"] if _is_number(tried) else []
    yield "; ".join(when)
    for name in ("cause", "effect"):
        yield _text(one, name)
    if isinstance(tenants, list) and len(tenants) > _NAMED:
        yield f"tenants: {', '.join(harmless(str(tenant)) for tenant in tenants)}"
    if action := _text(one, "action"):
        yield f"to do: {action}"


def _head(shown: _Members) -> str:
    parts = [f"sidecar {_text(shown, 'version')}"]
    parts += [f"on {_text(shown, 'pod')}"] if "pod" in shown else []
    parts += [f"cache {_text(shown, 'mode')}"]
    parts += [f"up for {_span(shown['uptime'])}"] if "uptime" in shown else []
    parts += [f"{_clock(shown['at'])} UTC"] if "at" in shown else []
    return ", ".join(parts)


def _health(one: _Members, shown: _Members) -> _Row:
    state = _text(one, "state")
    since = _number(shown, "at") - _number(one, "since")
    why, tried = _text(one, "why") if state != "up" else "", one.get("last_failure")
    cells = [
        Cell(HEALTH_STATES.get(state, state), _COLOURS.get(state, "")),
        Cell(neighbour(_text(one, "kind"))),
        Cell(_text(one, "name")),
        Cell(_span(since)),
        Cell(f"{_span(_number(shown, 'at') - tried)} ago" if state == "down" and _is_number(tried) else ""),
    ]
    return _Row(cells, why)


def _route(one: _Members) -> _Row:
    requests, errors = _number(one, "rate"), _number(one, "error_rate")
    cells = [
        Cell(_text(one, "name")),
        Cell(_text(one, "host") + _text(one, "prefix")),
        Cell(_text(one, "token") or "-"),
        Cell(rate(requests)),
        Cell(share(errors, requests), "red" if errors else ""),
        Cell(_milliseconds(one.get("latency"))),
        Cell(_milliseconds(one.get("latency_p99"))),
        Cell(_text(one, "upstream")),
    ]
    return _Row(cells)


def _token(one: _Members, shown: _Members) -> _Row:
    state, source = _text(one, "state"), _text(one, "source") or "-"
    here = state != "missing"
    problem, description, hint = (_text(one, name) for name in ("problem", "error_description", "hint"))
    if problem and description:
        problem = f'{problem}: "{description}"'
    if problem and hint:
        problem = f"{problem}; {hint}"
    if problem and "problem_since" in one:
        problem = f"for {_span(_number(shown, 'at') - _number(one, 'problem_since'))}: {problem}"
    cooling = _number(one, "cooling")
    if cooling:
        problem = f"cooling down for {_span(cooling)}; {problem}".removesuffix("; ")
    cells = [
        Cell(_text(one, "token")),
        Cell(_text(one, "tenant") or "-"),
        Cell(_text(one, "service")),
        Cell(state, _COLOURS.get(state, "")),
        Cell(_text(one, "fp") or "-"),
        Cell(_span(one.get("expires_in")) if here else "-"),
        Cell(TOKEN_ORIGINS.get(source, source)),
        Cell(f"{_span(one.get('last_used'))} ago" if here else "-"),
    ]
    return _Row(cells, problem)


def _event(one: _Members) -> _Row:
    count = _number(one, "count")
    fields = one.get("fields")
    told = fields if isinstance(fields, dict) else {}
    level = _text(one, "level")
    cells = [
        Cell(_clock(one.get("last")), "dim"),
        Cell(f"{count:.0f} times" if count > 1 else ""),
        Cell(_text(one, "event"), _COLOURS.get(level, "")),
        Cell(" ".join(f"{harmless(str(name))}={_text(told, name)}" for name in told if told[name] != "")),
    ]
    return _Row(cells)


def _list(shown: _Members, name: str) -> Sequence[_Members]:
    found = shown.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(one: _Members, name: str) -> str:
    value = one.get(name, "")
    return f"{value:.3g}" if isinstance(value, float) else harmless(str(value))


def _number(one: _Members, name: str) -> float:
    value = one.get(name)
    return value if _is_number(value) else 0.0


def _is_number(value: object) -> TypeGuard[float]:
    """Return whether the value is a finite number; JSON allows numbers beyond any float."""
    return isinstance(value, int | float) and abs(value) < _MOST


def _milliseconds(value: object) -> str:
    return f"{value * 1000:.3g} ms" if _is_number(value) else "-"


def _span(value: object) -> str:
    return span(value) if _is_number(value) else "-"


def _clock(value: object) -> str:
    if not _is_number(value) or not 0 <= value < 1e11:
        return "-"
    return time.strftime("%H:%M:%S", time.gmtime(value))
