"""Output of the demo: narration, commands and log lines, distinguished by colour if there is colour."""

import json
from collections.abc import Mapping
from textwrap import wrap
from typing import Literal, TextIO

from sidecar.telemetry.colours import Colour, painted

Line = Mapping[str, object]
"""A log line, decoded."""

_SHOWN = {
    "token_fetched": ("fp", "expires_in", "reason"),
    "refused": ("fp", "error", "decision"),
    "resent": ("fp", "outcome"),
    "token_fetch_failed": ("outcome", "error"),
    "cooling_down": ("seconds",),
    "bust_sent": ("fp",),
    "bust_applied": ("kind", "fp", "evicted"),
    "store_down": ("error",),
    "store_up": ("seconds",),
    "request": ("path", "status", "attempts", "token", "fp", "error"),
}
"""Fields of each event that matter here; other events are left out."""


class Screen:
    """Writes to a terminal or a file, and everything at once."""

    def __init__(self, out: TextIO, *, colour: bool, width: int = 80) -> None:
        """`width` in columns; what is longer goes on below, but for commands, which are there to be copied."""
        self._out = out
        self._colour = colour
        self._width = width
        self._blank = True
        """Whether the last line was empty."""

    def title(self, text: str) -> None:
        """Begin a part."""
        self._gap()
        self._fold("", text, "bold")
        self._gap()

    def say(self, *texts: str) -> None:
        """Print narration."""
        self._gap()
        for text in texts:
            self._fold("  ", text)

    def commands(self, *commands: str) -> None:
        """Print commands to type."""
        for command in commands:
            self._write(f"  {command}")

    def did(self, what: str, came: str) -> None:
        """Print an application's action, and its result."""
        self._gap()
        self._write(f"  {self._in('cyan', f'$ {what}')}")
        self._write(f"  {came}")
        self._gap()

    def log(self, line: Line, look_at: str = "", name: str = "") -> None:
        """Print a log line, shortened to the fields that matter, and an explanation; leave out events that do not
        matter.

        `name` is that of its sidecar, where there are several.
        """
        event = str(line["event"])
        if event not in _SHOWN:
            return
        level = "" if line["level"] == "info" else f"{line['level']} "
        fields = [f"{name}={_short(line[name])}" for name in _SHOWN[event] if line.get(name, "") != ""]
        self._fold(f"  log {name} " if name else "  log ", f"{level}{event} {' '.join(fields)}")
        if look_at:
            self._fold("      ^ ", look_at, "yellow")

    def failed(self, reason: str) -> None:
        """Print that the demo failed."""
        self._gap()
        self._write(f"{self._in('red', 'The demo failed:')} {reason}")

    def _fold(self, margin: str, text: str, colour: Colour | Literal[""] = "") -> None:
        """Write the text in lines of the screen's width, the margin before the first, as much space before the rest."""
        room = max(1, self._width - len(margin))
        for line in wrap(text, room, break_long_words=False, break_on_hyphens=False):
            self._write(f"{self._in('dim', margin)}{self._in(colour, line)}")
            margin = " " * len(margin)

    def _in(self, colour: Colour | Literal[""], text: str) -> str:
        return painted(colour, text) if self._colour and colour and text.strip() else text

    def _gap(self) -> None:
        if not self._blank:
            self._write("")

    def _write(self, line: str) -> None:
        self._blank = not line
        self._out.write(f"{line}\n")
        self._out.flush()


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.0f}"
    text = str(value)
    return json.dumps(text) if " " in text else text
