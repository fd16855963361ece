"""What the import contracts in pyproject.toml cannot say: sizes, and what a start may load."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "sidecar").rglob("*.py"))
LINES_PER_MODULE = 350
LINES_PER_FUNCTION = 50
LAZY = {"aiohttp", "boto3", "httptools", "opentelemetry", "redis", "uvloop", "yaml"}
"""Loaded by the commands that need them, never by `sidecar --version`."""


def functions(module: Path) -> Iterator[tuple[str, int]]:
    """Every function's name and length in lines, decorators not counted."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_small(module: Path) -> None:
    """A reader can hold a module, and certainly a function, in the head."""
    assert len(module.read_text().splitlines()) <= LINES_PER_MODULE
    assert [(name, size) for name, size in functions(module) if size > LINES_PER_FUNCTION] == []


def test_the_command_line_loads_nothing_heavy() -> None:
    """`sidecar --version` answers at once: what a command needs is imported by that command."""
    program = "import sys, sidecar.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert LAZY & set(loaded.stdout.split()) == set()
