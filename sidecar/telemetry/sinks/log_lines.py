"""Events and finished requests as log lines: JSON for machines, columns for people.

Paths and methods come from clients. A line is one line of ASCII in every case. Line ends, escape sequences (C1 controls
too, which JSON lets pass), invalid Unicode and long values are handled off the hot path, which only checks whether
there are any.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import msgspec

from sidecar.core.ports import Clock
from sidecar.telemetry.console import clean, columns, cut
from sidecar.telemetry.events import Event
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.sinks.request_line import RequestLine
from sidecar.telemetry.words import Level

LONGEST_LINE = 8192
"""Container runtimes split lines at 16 KiB. Limit: one log line (bytes). Beyond: long values in it are cut."""

_MILLISECONDS = tuple(f".{number:03d}Z" for number in range(1000))
_RANKS: dict[Level, int] = {"debug": 0, "info": 1, "warning": 2, "error": 3}


class Lines(Protocol):
    """One format of lines, their line ends included."""

    def request(self, record: RequestRecord, at: float) -> bytes:
        """Return the access log line of a request that was finished at the date `at`, epoch seconds."""

    def event(self, event: Event, at: float) -> bytes:
        """Return the line of an event that happened at the date `at`, epoch seconds."""


class LogJournal:
    """The journal's log half: writes each event at or above the level as a line."""

    def __init__(
        self, lines: Lines, write: Callable[[bytes], None], clock: Clock, draw: Callable[[], float]
    ) -> None:
        """`draw` returns a random number from 0 to 1."""
        self._lines = lines
        self._write = write
        self._today = clock.wall
        self._draw = draw
        self.set_level("info", 1.0)

    def set_level(self, level: Level, share: float) -> None:
        """Write what is at or above `level` from now on, and this share of successful requests, from 0 to 1."""
        self._rank = _RANKS[level]
        self._requests = self._rank <= _RANKS["info"]
        self._share = share

    def tell(self, event: Event) -> None:
        """Log the event."""
        if _RANKS[event.level] >= self._rank:
            self._write(self._lines.event(event, self._today()))

    def request_finished(self, record: RequestRecord) -> None:
        """Write the access log line, at level `info`."""
        if self._requests and (self._share >= 1.0 or _went_wrong(record) or self._draw() < self._share):
            self._write(self._lines.request(record, self._today()))


def _went_wrong(record: RequestRecord) -> bool:
    """Return whether the request failed or was sent twice, so that its line is always logged."""
    return record.status >= 400 or record.error != "" or record.attempts > 1


class JsonLines:
    """One flat object a line, `ts level event` first."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder(enc_hook=repr).encode
        self._stamp = _Stamp()

    def request(self, record: RequestRecord, at: float) -> bytes:
        """Return the access log line."""
        line = RequestLine(
            self._stamp.at(at),
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
            "http2" if record.http2 else "",
            record.detail,
        )
        return self._line(line)

    def event(self, event: Event, at: float) -> bytes:
        """Return the event's line: its fields, in their order."""
        head = {"ts": self._stamp.at(at), "level": event.level, "event": event.name}
        return self._line(head | _values(event))

    def _line(self, content: RequestLine | dict[str, object]) -> bytes:
        try:
            line = self._encode(content)
        except UnicodeEncodeError:  # lone surrogates
            return _careful(content)
        if line.isascii() and len(line) < LONGEST_LINE:
            return line + b"\n"
        return _careful(content)


class ConsoleLines:
    """Columns for people."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._stamp = _Stamp()

    def request(self, record: RequestRecord, at: float) -> bytes:
        """Return the access log line."""
        return self._line(
            {
                "ts": self._stamp.at(at),
                "level": "info",
                "event": "request",
                "status": record.status,
                "method": record.method,
                "duration_ms": (record.finished - record.started) * 1000,
                "path": record.path,
                "route": record.route,
                "token": record.token,
                "fp": record.fp,
                "tenant": record.tenant,
                "attempts": record.attempts,
                "error": record.error,
                "detail": record.detail,
                "request_id": record.request_id,
            }
        )

    def event(self, event: Event, at: float) -> bytes:
        """Return the event's line."""
        return self._line(
            {"ts": self._stamp.at(at), "level": event.level, "event": event.name, **_values(event)}
        )

    def _line(self, line: Mapping[str, object]) -> bytes:
        return columns(line, colour=self._colour).encode() + b"\n"


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
    values = event.values()
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in values.items()}


def _careful(content: RequestLine | dict[str, object]) -> bytes:
    values: dict[str, object] = content if isinstance(content, dict) else msgspec.to_builtins(content)
    line = _ascii(values, clean)
    if len(line) > LONGEST_LINE:
        line = _ascii(values, lambda text: clean(cut(text)))
    return line + b"\n"


def _ascii(values: Mapping[str, object], treat: Callable[[str], str]) -> bytes:
    treated = {name: treat(value) if isinstance(value, str) else value for name, value in values.items()}
    return json.dumps(treated, default=repr, separators=(",", ":")).encode()
