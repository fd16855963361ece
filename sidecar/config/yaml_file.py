"""The configuration file: where it is, and its YAML as one unchecked tree."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sidecar.config.yaml_text import document
from sidecar.config.yaml_text.places import Place, line_of
from sidecar.core import foreign_text
from sidecar.core.errors import Fault
from sidecar.system import files

DEFAULT_PATH = Path("/etc/sidecar/config.yaml")
MAX_FILE_BYTES = 1 << 20

Tree = dict[str, Any]
"""YAML as loaded: checked nowhere yet."""


Read = Callable[[str, int], str]
"""Returns the text of a file of at most so many bytes. Raises OSError and ValueError."""


def place(path: str | None, environ: Mapping[str, str]) -> Path | None:
    """Return where the file is, None if there is none. One that was named need not exist: that is a fault."""
    named = path or environ.get("SIDECAR_CONFIG")
    if named:
        return Path(named)
    return DEFAULT_PATH if DEFAULT_PATH.exists() else None


@dataclass(frozen=True, slots=True)
class Written:
    """What a file says."""

    tree: Tree | None
    """None if it is no YAML mapping at all."""
    place: Place
    """Where everything in the tree is written."""
    faults: list[Fault]
    """What is wrong with its form."""


def name_of(place: Path) -> str:
    """Return the name of the file in faults."""
    return "standard input" if str(place) == files.STANDARD_INPUT else str(place)


def read(place: Path, breathe: Callable[[], None], *, attended: bool = False) -> Written:
    """Return what the file says, be it good or bad."""
    source = name_of(place)
    try:
        text = file_text(str(place), MAX_FILE_BYTES, files.awaited if attended else _lasting)
        read = document.load(text.encode(), breathe)
    except ValueError as error:
        return Written(None, 0, [Fault(source, "", str(error))])
    except yaml.YAMLError as error:
        return Written(None, 0, [_yaml_fault(source, error)])
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


def _yaml_fault(source: str, error: yaml.YAMLError) -> Fault:
    """Say where and why the text is no YAML, without quoting it: it may hold a misplaced secret."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Fault(source, "", "no YAML: it holds characters that YAML does not allow")
    mark = error.problem_mark
    problem = re.sub(r"""(['"]).*\1""", "…", error.problem or "unreadable", flags=re.DOTALL)
    return Fault(source, "", f"no YAML: {problem} (column {mark.column + 1})", mark.line + 1)


def file_text(name: str, limit: int, read: Read = files.text) -> str:
    """Return the text of a file of at most `limit` bytes. Raises ValueError with the reason it cannot be used."""
    try:
        text = read(name, limit)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}; check the path and who may read it") from None
    except ValueError as error:
        raise ValueError(f"cannot be read: {error}") from None
    if not text.strip():
        raise ValueError("is empty")
    return text


def file_value(name: str, read: Read = files.text) -> str:
    """Return the single value in a file: a secret, a token, a client id. Raises ValueError like `file_text`."""
    text = file_text(name, files.SECRET_LIMIT, read)
    try:
        return foreign_text.value(text)
    except ValueError as error:
        raise ValueError(f"cannot be used: {error}") from None
