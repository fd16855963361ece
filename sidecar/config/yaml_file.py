"""The configuration file: its place, and its YAML as one unchecked tree."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sidecar.config.yaml_text import document, syntax
from sidecar.config.yaml_text.places import Place, line_of
from sidecar.core import foreign_text
from sidecar.core.errors import Fault
from sidecar.system import files

DEFAULT_PATH = Path("/etc/sidecar/config.yaml")
MAX_FILE_BYTES = 1 << 20
"""Limit: configuration file (bytes). Beyond: exit code 78 at start, `reload_failed` at a reload."""

Tree = dict[str, Any]
"""YAML as loaded, not yet checked."""


Read = Callable[[str, int], str]
"""Returns the text of a file of at most that many bytes. Raises OSError and ValueError."""


def place(path: str | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file's path, None if there is none. A named file that does not exist is a fault."""
    named = path or environ.get("SIDECAR_CONFIG")
    if named:
        return Path(named)
    return DEFAULT_PATH if DEFAULT_PATH.exists() else None


@dataclass(frozen=True, slots=True)
class Written:
    """Content of a file."""

    tree: Tree | None
    """None if it is no YAML mapping at all."""
    place: Place
    """Places of all values in the tree."""
    faults: list[Fault]
    """Faults of its form."""


def name_of(place: Path) -> str:
    """Return the name of the file in faults."""
    return "standard input" if str(place) == files.STANDARD_INPUT else str(place)


def read(place: Path, breathe: Callable[[], None], *, attended: bool = False) -> Written:
    """Return the file's content, valid or not."""
    source = name_of(place)
    try:
        text = file_text(str(place), MAX_FILE_BYTES, files.awaited if attended else _lasting)
    except ValueError as error:
        return Written(None, 0, [Fault(source, "", str(error))])
    try:
        read = document.load(text.encode(), breathe)
    except yaml.YAMLError as error:
        line, reason = _syntax(text, error)
        return Written(None, 0, [Fault(source, "", reason, line)])
    except document.Refused as error:
        return Written(None, 0, [Fault(source, error.path, str(error), error.line)])
    faults = [_twice(source, key) for key in read.twice]
    if not isinstance(read.value, dict):
        line = line_of(read.place, "")
        return Written(
            None, 0, [*faults, Fault(source, "", "write a mapping with at least routes: in it", line)]
        )
    return Written(read.value, read.place, faults)


def _twice(source: str, key: document.Twice) -> Fault:
    first = f", first on line {key.first}" if key.first else ""
    return Fault(source, key.path, f"given twice{first}: keep one", key.line)


def _lasting(name: str, limit: int) -> str:
    if name == files.STANDARD_INPUT:
        raise ValueError("the sidecar reads it again after a change; write the configuration to a file")
    return files.text(name, limit)


def _syntax(text: str, error: yaml.YAMLError) -> syntax.Reason:
    """Return where and why the text is no YAML."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        marks = (_mark(error.problem_mark), _mark(error.context_mark) if error.context_mark else None)
        return syntax.explain(text, error.problem or "", error.context or "", *marks)
    return syntax.odd_character(text) or (0, "not YAML")


def _mark(mark: yaml.Mark) -> syntax.Mark:
    return syntax.Mark(mark.index, mark.line, mark.column)


def file_text(name: str, limit: int, read: Read = files.text, *, placed: bool = False) -> str:
    """Return the text of a file of at most `limit` bytes. Raises ValueError with the reason it cannot be used.

    With `placed` the reason has the path, unless it may be a secret that was written in place of one.
    """
    try:
        text = read(name, limit)
    except OSError as error:
        place = _shown(name) if placed else ""
        raise ValueError(
            f"cannot be read: {error.strerror}{place}; check the path and its permissions"
        ) from None
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}") from None
    if not text.strip():
        raise ValueError("is empty")
    return text


def _shown(name: str) -> str:
    """Return the path in brackets if its first directory exists; of a relative path, where it begins."""
    path = Path(name)
    if not path.is_absolute():
        return " (a relative path begins in the working directory)"
    try:
        safe = name.isprintable() and len(path.parts) > 2 and Path(*path.parts[:2]).is_dir()
    except OSError:  # a part is longer than names can be
        return ""
    return f" ({name})" if safe else ""


def file_value(name: str, read: Read = files.text, *, placed: bool = False) -> str:
    """Return the single value in a file: a secret, a token, a client id. Raises ValueError like `file_text`."""
    text = file_text(name, files.SECRET_LIMIT, read, placed=placed)
    try:
        return foreign_text.value(text)
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from None
