"""What `/status` tells, for people: who is out, what each route and token does, and what happened of late.

Members that are not there are left out, so that this command can ask an older or a newer sidecar too.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TypeGuard

from sidecar.cli.terminal import Cell, Terminal, harmless
from sidecar.telemetry.colours import Colour
from sidecar.telemetry.words import HEALTH_STATES, TOKEN_ORIGINS, neighbour

MOST_EVENTS = 10

_Members = Mapping[str, object]
_COLOURS: Mapping[str, Colour] = {
    "up": "green", "down": "red", "unknown": "dim", "aging": "yellow", "missing": "red",
    "warning": "yellow", "error": "red", "debug": "dim",
}  # fmt: skip
_MOST = 1e15
_UNITS = ((86_400.0, "d"), (3600.0, "h"), (60.0, "m"))


_HEALTH = ("", "of", "", "since")
_ROUTE = ("route", "match", "token", "requests", "errors", "a second", "mean", "p99", "upstream")
_TOKEN = ("token", "tenant", "service", "state", "fp", "expires in", "source", "used")


@dataclass(frozen=True, slots=True)
class _Row:
    """One line of a table, and what must not be cut off, below it."""

    cells: Sequence[Cell]
    note: str = ""


def lines(shown: _Members, terminal: Terminal) -> Iterator[str]:
    """Write it all."""
    yield terminal.line([Cell(_head(shown), "bold")], [0])
    ready = shown.get("ready")
    if isinstance(ready, dict) and _text(ready, "detail"):
        how = Cell("degraded: ", "yellow") if ready.get("ok") else Cell("not ready: ", "red")
        yield terminal.line([how, Cell(_text(ready, "detail"))], [0, 0])
    for title, names, rows in (
        ("health", _HEALTH, [_health(one, shown) for one in _list(shown, "health")]),
        ("routes", _ROUTE, [_route(one) for one in _list(shown, "routes")]),
        ("tokens", _TOKEN, [_token(one, shown) for one in _list(shown, "tokens")]),
        ("lately", (), [_event(one) for one in _list(shown, "events")[:MOST_EVENTS]]),
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
        for part in wrap(row.note, max(20, terminal.width - 4)):
            yield terminal.paint("red", f"    {part}")


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
    why = _text(one, "why") if state != "up" else ""
    cells = [
        Cell(HEALTH_STATES.get(state, state), _COLOURS.get(state, "")),
        Cell(neighbour(_text(one, "kind"))),
        Cell(_text(one, "name")),
        Cell(_span(since)),
    ]
    return _Row(cells, why)


def _route(one: _Members) -> _Row:
    errors = _number(one, "errors")
    cells = [
        Cell(_text(one, "name")),
        Cell(_text(one, "host") + _text(one, "prefix")),
        Cell(_text(one, "token") or "-"),
        Cell(f"{_number(one, 'requests'):.0f}"),
        Cell(f"{errors:.0f}", "red" if _number(one, "error_rate") else ""),
        Cell(f"{_number(one, 'rate'):.1f}"),
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
    """Tell whether it can be reckoned with; JSON knows numbers that no float can be."""
    return isinstance(value, int | float) and abs(value) < _MOST


def _milliseconds(value: object) -> str:
    return f"{value * 1000:.3g} ms" if _is_number(value) else "-"


def _span(value: object) -> str:
    """Seconds as people say them: `42 s`, `3 m`, `5 h`, `2 d`."""
    if not _is_number(value):
        return "-"
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} s"


def _clock(value: object) -> str:
    if not _is_number(value) or not 0 <= value < 1e11:
        return "-"
    return time.strftime("%H:%M:%S", time.gmtime(value))
