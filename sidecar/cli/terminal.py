"""Text for a terminal, or for the file that replaces it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

from sidecar.telemetry.colours import Colour, painted

_UNKNOWN = 80
"""Columns of a terminal of unknown width."""
_ENDLESS = 1_000_000


def harmless(text: str) -> str:
    """Escape characters that do not print, above all escape sequences, because clients may have sent them."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape", "replace").decode()
        for character in text
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """A text that is harmless, and its colour."""

    text: str
    colour: Colour | Literal[""] = ""


class Terminal:
    """An output: colours only on a terminal, and not if NO_COLOR is set."""

    def __init__(self, out: TextIO, environ: Mapping[str, str] = os.environ) -> None:
        self.interactive = out.isatty()
        size = os.get_terminal_size(out.fileno()) if self.interactive else os.terminal_size((0, 0))
        columns = environ.get("COLUMNS", "")
        told = int(columns) if columns.isdecimal() else size.columns
        self.width = (told or _UNKNOWN) if self.interactive else _ENDLESS
        """In columns; without a terminal nothing is cut."""
        self.height = size.lines or _ENDLESS
        self.coloured = self.interactive and not environ.get("NO_COLOR")

    def paint(self, colour: Colour | Literal[""], text: str) -> str:
        """Colour a text that is harmless."""
        return painted(colour, text) if self.coloured and colour and text else text

    def line(self, cells: Sequence[Cell], widths: Sequence[int]) -> str:
        """Write cells side by side, cut where the terminal ends."""
        written, left = "", self.width
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            text = cell.text if number == len(cells) - 1 else f"{cell.text:<{width}}  "
            if len(text.rstrip()) > left:
                return written + self.paint(cell.colour, text[: left - 1] + "…" if left > 0 else "")
            written += self.paint(cell.colour, text[:left])
            left -= len(text)
        return written.rstrip()

    def table(self, rows: Sequence[Sequence[Cell]]) -> list[str]:
        """Write rows of equal length with their columns below each other."""
        widths = [max(len(cell.text) for cell in column) for column in zip(*rows, strict=True)]
        return [self.line(row, widths) for row in rows]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows of equal length with their columns below each other, however long."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
