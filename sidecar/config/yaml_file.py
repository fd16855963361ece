"""The configuration file: where it is, and its YAML as one unchecked tree."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sidecar.core.errors import Fault

DEFAULT_PATH = Path("/etc/sidecar/config.yaml")
MAX_FILE_BYTES = 1 << 20

Tree = dict[str, Any]
"""YAML as loaded: checked nowhere yet."""


def place(path: str | None, environ: Mapping[str, str]) -> Path | None:
    """Return where the file is, None if there is none. One that was named need not exist: that is a fault."""
    named = path or environ.get("SIDECAR_CONFIG")
    if named:
        return Path(named)
    return DEFAULT_PATH if DEFAULT_PATH.exists() else None


class _Loader(yaml.SafeLoader):
    """YAML's plain types only; notes keys that come twice, of which YAML would silently take the last."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twice: list[tuple[int, str]] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    self.twice.append((key.start_mark.line + 1, key.value[:64]))
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read(place: Path) -> tuple[Tree | None, list[Fault]]:
    """Return the file's tree, None if it is no YAML mapping at all, and what is wrong with its form."""
    source = str(place)
    try:
        text = file_text(source)
    except ValueError as error:
        return None, [Fault(source, "", str(error))]
    try:
        loader = _Loader(text)
        tree = loader.get_single_data()
    except yaml.YAMLError as error:
        return None, [Fault(source, *_yaml_fault(error))]
    except RecursionError:
        return None, [Fault(source, "", "nested too deeply")]
    except ValueError:  # from YAML's own numbers and dates; its text would quote the value
        return None, [Fault(source, "", "no YAML: a number or a date in it is impossible; put it in quotes")]
    faults = [Fault(source, f"line {line}", f"{key} is given twice: keep one") for line, key in loader.twice]
    if not isinstance(tree, dict):
        return None, [*faults, Fault(source, "", "write a mapping with at least routes: in it")]
    return tree, faults


def _yaml_fault(error: yaml.YAMLError) -> tuple[str, str]:
    """Say where and why the text is no YAML, without quoting it: it may hold a misplaced secret."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return "", "no YAML: it holds characters that YAML does not allow"
    mark = error.problem_mark
    problem = re.sub(r"""(['"]).*\1""", "…", error.problem or "unreadable", flags=re.DOTALL)
    return f"line {mark.line + 1}, column {mark.column + 1}", f"no YAML: {problem}"


def file_text(name: str) -> str:
    """Return a configuration, secret or PEM file's text; raises ValueError saying why it cannot be used."""
    try:
        path = Path(name)
        if path.exists() and not path.is_file():
            raise ValueError("is no regular file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}; check the path and who may read it") from error
    if len(content) > MAX_FILE_BYTES:
        raise ValueError("is larger than 1 MiB")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None
    if not text.strip():
        raise ValueError("is empty")
    return text
