"""What is printed: narration, requests and log lines, told apart by colour where there is colour."""

import json
from collections.abc import Mapping
from typing import TextIO

Line = Mapping[str, object]
"""A log line, decoded."""

_SHOWN = {
    "token_fetched": ("token", "fp", "expires_in", "reason"),
    "refused": ("route", "fp", "status", "error", "decision"),
    "bust_sent": ("token", "fp"),
    "resent": ("route", "fp", "outcome"),
    "token_fetch_failed": ("token", "outcome", "error"),
    "cooling_down": ("token", "seconds"),
    "request": ("method", "path", "status", "duration_ms", "attempts", "token", "fp"),
}
"""Of each event the fields that matter here."""
_BOLD, _RED, _YELLOW, _CYAN, _DIM = "1", "31", "33", "36", "2"


class Screen:
    """Writes to a terminal or a file, and everything at once."""

    def __init__(self, out: TextIO, *, colour: bool) -> None:
        self._out = out
        self._colour = colour

    def title(self, text: str) -> None:
        """Begin a part."""
        self._write(f"\n{self._in(_BOLD, text)}\n")

    def say(self, *lines: str) -> None:
        """Tell something."""
        for line in lines:
            self._write(f"  {line}")

    def request(self, url: str, answer: str) -> None:
        """Show what an application sent, and what it got."""
        self._write(f"  {self._in(_CYAN, f'$ curl {url}')}")
        self._write(f"  {answer}\n")

    def log(self, line: Line, look_at: str = "") -> None:
        """Show a log line, shortened to what matters, and what to see in it; leave out events that do not."""
        event = str(line["event"])
        if event not in _SHOWN:
            return
        fields = {name: line[name] for name in ("level", "event", *_SHOWN[event]) if name in line}
        self._write(f"  {self._in(_DIM, 'log')} {json.dumps(fields)}")
        if look_at:
            self._write(f"      {self._in(_YELLOW, f'^ {look_at}')}")

    def failed(self, reason: str) -> None:
        """Say that the demo did not work."""
        self._write(f"\n{self._in(_RED, 'The demo failed:')} {reason}")

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _write(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()
