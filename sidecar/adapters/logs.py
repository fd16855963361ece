"""Events and finished requests as log lines: JSON for machines, columns for people.

Paths and methods come from strangers. Whatever they hold, a line stays one line of ASCII: line ends, escape
sequences (C1 controls too, which JSON lets pass), invalid Unicode and sheer length are dealt with off the hot
path, which only checks whether there is anything to deal with.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Literal, Protocol

import msgspec

from sidecar.core.events import Event, Level
from sidecar.core.ports import Clock
from sidecar.core.record import RequestRecord

LONGEST_LINE = 8192
"""Bytes; container runtimes split lines at 16 KiB."""
LONGEST_TEXT = 256
"""Characters kept of each text in a line that would be longer; even escaped they stay below 16 KiB."""

_MILLISECONDS = tuple(f".{number:03d}Z" for number in range(1000))
_RANKS: dict[Level, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3}
_COLOURS = {"debug": "\x1b[2m", "info": "", "warning": "\x1b[33m", "error": "\x1b[31m"}
_PLAIN = "\x1b[0m"


class Lines(Protocol):
    """One way of writing lines, their line ends included."""

    def request(self, record: RequestRecord) -> bytes:
        """Return the access log line."""

    def event(self, event: Event, at: float) -> bytes:
        """Return the line of an event that happened at `at`, epoch seconds."""


class Logs:
    """The journal's log half: what is at or above `level` goes to `write` as a line."""

    def __init__(self, lines: Lines, write: Callable[[bytes], None], level: Level, clock: Clock) -> None:
        self._lines = lines
        self._write = write
        self._rank = _RANKS[level]
        self._clock = clock
        self._requests = self._rank <= _RANKS["info"]

    def tell(self, event: Event) -> None:
        """Log the event."""
        if _RANKS[event.level] >= self._rank:
            self._write(self._lines.event(event, self._clock.now()))

    def request_finished(self, record: RequestRecord) -> None:
        """Write the access log line, at level `info`."""
        if self._requests:
            self._write(self._lines.request(record))


class _RequestLine(msgspec.Struct, gc=False):
    ts: str
    level: str
    event: str
    request_id: str
    trace_id: str
    method: str
    route: str
    path: str
    status: int
    duration_ms: float
    upstream_ms: float
    attempts: int
    token: str
    fp: str
    tenant: str
    bytes_in: int
    bytes_out: int
    error: str


class JsonLines:
    """One flat object a line, `ts level event` first."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder(enc_hook=repr).encode
        self._stamp = _Stamp()

    def request(self, record: RequestRecord) -> bytes:
        """Return the access log line."""
        line = _RequestLine(
            self._stamp.at(record.finished),
            "info",
            "request",
            record.request_id,
            record.trace_id,
            record.method,
            record.route,
            record.path,
            record.status,
            int((record.finished - record.started) * 1e6) / 1e3,
            int(record.upstream_seconds * 1e6) / 1e3,
            record.attempts,
            record.token,
            record.fp,
            record.tenant,
            record.bytes_in,
            record.bytes_out,
            record.error,
        )
        return self._line(line)

    def event(self, event: Event, at: float) -> bytes:
        """Return the event's line: its fields, in their order."""
        head = {"ts": self._stamp.at(at), "level": event.level, "event": event.name}
        return self._line(head | _values(event))

    def _line(self, content: _RequestLine | dict[str, object]) -> bytes:
        try:
            line = self._encode(content)
        except UnicodeEncodeError:  # lone surrogates
            return _careful(content)
        if line.isascii() and len(line) < LONGEST_LINE:
            return line + b"\n"
        return _careful(content)


class ConsoleLines:
    """Columns for people: time, level, what, then the rest as `name=value`."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._stamp = _Stamp()

    def request(self, record: RequestRecord) -> bytes:
        """Return the access log line; what has nothing to say is left out."""
        level: Level = "info" if record.status < 500 else "warning"
        spent = (record.finished - record.started) * 1000
        rest = {
            "route": record.route,
            "token": record.token,
            "fp": record.fp,
            "tenant": record.tenant,
            "attempts": record.attempts if record.attempts > 1 else "",
            "error": record.error,
            "id": record.request_id,
        }
        method, path = _quoted(_cut(record.method)), _quoted(_cut(record.path))
        what = f"{record.status:03d} {method:<7} {spent:>9.1f} ms  {path:<32}"
        return self._line(record.finished, level, "request", what, rest)

    def event(self, event: Event, at: float) -> bytes:
        """Return the event's line."""
        return self._line(at, event.level, event.name, "", _values(event))

    def _line(self, at: float, level: Level, name: str, what: str, rest: Mapping[str, object]) -> bytes:
        pairs = [f"{key}={_quoted(str(value))}" for key, value in rest.items() if value != ""]
        head = f"{self._stamp.at(at)[11:23]}  {level:<7}  {name:<18}"
        if self._colour and _COLOURS[level]:
            head = f"{_COLOURS[level]}{head}{_PLAIN}"
        return "  ".join([head, *([what] if what else []), *pairs]).rstrip().encode() + b"\n"


def lines(form: Literal["json", "console"], descriptor: int, environ: Mapping[str, str]) -> Lines:
    """Return the lines of `log_format`; coloured only on a terminal, and not when NO_COLOR is set."""
    if form == "json":
        return JsonLines()
    return ConsoleLines(colour="NO_COLOR" not in environ and _is_terminal(descriptor))


def _is_terminal(descriptor: int) -> bool:
    try:
        return os.isatty(descriptor)
    except OSError:
        return False


class _Stamp:
    """RFC 3339 in UTC with milliseconds; the date and the second are formatted once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def at(self, moment: float) -> str:
        second = int(moment)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return self._text + _MILLISECONDS[int((moment - second) * 1000)]


def _values(event: Event) -> dict[str, object]:
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


def _careful(content: _RequestLine | dict[str, object]) -> bytes:
    values = content if isinstance(content, dict) else msgspec.structs.asdict(content)
    line = _ascii(values, _clean)
    if len(line) > LONGEST_LINE:
        line = _ascii(values, lambda text: _clean(_cut(text)))
    return line + b"\n"


def _ascii(values: Mapping[str, object], treat: Callable[[str], str]) -> bytes:
    treated = {name: treat(value) if isinstance(value, str) else value for name, value in values.items()}
    return json.dumps(treated, default=repr, separators=(",", ":")).encode()


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "\N{HORIZONTAL ELLIPSIS}"


def _clean(text: str) -> str:
    """Put U+FFFD for lone surrogates, which no JSON reader need accept."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _quoted(text: str) -> str:
    """Return the text as it is, or as a JSON string where it could be taken for something else."""
    if text and text.isascii() and text.isprintable() and " " not in text and '"' not in text:
        return text
    return json.dumps(_clean(text)).replace("\x7f", "\\u007f")
