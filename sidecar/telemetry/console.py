"""Log lines for people: time, level, event, then the rest as `name=value`.

Paths and methods come from clients, and a line that is read again may hold anything. In each case the output is one
line of printable ASCII.
"""

import json
from collections.abc import Mapping

from sidecar.telemetry.colours import Colour, painted

LONGEST_TEXT = 256
"""Characters kept of a path or a method."""

_COLOURS: Mapping[str, Colour] = {"debug": "dim", "warning": "yellow", "error": "red"}
_MOST = 1e15
_HEAD = frozenset({"ts", "level", "event"})
_REQUEST = {
    "route": "route",
    "token": "token",
    "fp": "fp",
    "tenant": "tenant",
    "attempts": "attempts",
    "error": "error",
    "detail": "detail",
    "request_id": "id",
}
"""Fields of a request after status, method, time and path, and their names in the line."""


def columns(line: Mapping[str, object], *, colour: bool) -> str:
    """Return a log line's fields, as `log.format: json` has them; empty ones are left out."""
    name, level = str(line.get("event", "")), str(line.get("level", ""))
    rest: Mapping[str, object] = {key: value for key, value in line.items() if key not in _HEAD}
    parts = []
    if name == "request":
        level = "warning" if _number(line.get("status")) >= 500 else level
        parts.append(_answered(line))
        rest = {shown: line.get(key, "") for key, shown in _REQUEST.items()}
        if _number(rest["attempts"]) <= 1:
            rest = {**rest, "attempts": ""}
    head = f"{quoted(str(line.get('ts', ''))[11:23])}  {quoted(level):<7}  {quoted(name):<18}"
    if colour and level in _COLOURS:
        head = painted(_COLOURS[level], head)
    pairs = [f"{quoted(key)}={quoted(str(value))}" for key, value in rest.items() if value != ""]
    return "  ".join([head, *parts, *pairs]).rstrip()


def _answered(line: Mapping[str, object]) -> str:
    method, path = (quoted(cut(str(line.get(name, "")))) for name in ("method", "path"))
    status, spent = _number(line.get("status")), _number(line.get("duration_ms"))
    return f"{status:03.0f} {method:<7} {spent:>9.1f} ms  {path:<32}"


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and abs(value) < _MOST else 0


def cut(text: str) -> str:
    """Shorten a text that is too long."""
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "\N{HORIZONTAL ELLIPSIS}"


def clean(text: str) -> str:
    """Replace lone surrogates by U+FFFD, because JSON readers may refuse them."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def quoted(text: str) -> str:
    """Return the text, or a JSON string if the text could be taken for something else."""
    if text and text.isascii() and text.isprintable() and " " not in text and '"' not in text:
        return text
    return json.dumps(clean(text)).replace("\x7f", "\\u007f")
