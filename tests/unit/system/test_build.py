"""Which build runs, and that a compiled one can be debugged like the other."""

import ast
import subprocess
import sys
import tomllib
import traceback
from importlib import import_module
from pathlib import Path

import pytest

from sidecar.core.errors import RequestRefused
from sidecar.http1.message import parse_request
from sidecar.system.build import build
from tests import ROOT
from tests.support.environment import BUILD, bare

_WHEEL = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
MODULES: list[str] = _WHEEL["hooks"]["custom"]["modules"]


def test_the_tests_run_the_build_that_they_mean() -> None:
    """In this process and in its children."""
    program = "from sidecar.system.build import build; print(build())"
    child = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT, env=bare()
    )
    assert [build(), child.stdout.strip()] == [BUILD, BUILD]


@pytest.mark.parametrize("path", MODULES)
def test_all_listed_modules_are_of_that_build(path: str) -> None:
    """None is left out of the compiled package, and each has its source beside it."""
    found = import_module(path.removesuffix(".py").replace("/", ".")).__file__
    assert found is not None
    assert (Path(found).suffix == ".py") is (BUILD == "pure")
    assert Path(found).with_name(Path(path).name).exists()


@pytest.mark.parametrize("path", MODULES)
def test_nothing_is_awaited_while_an_exception_is_handled(path: str) -> None:
    """A compiled coroutine that suspends then leaves the exception set for good, for everything in the thread.

    `asyncio.timeout` may be left by an exception: it does not suspend.
    """
    handlers = [
        statement
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Try)
        for body in (node.finalbody, *(handler.body for handler in node.handlers))
        for statement in body
    ]
    suspend = (ast.Await, ast.AsyncWith, ast.AsyncFor, ast.Yield, ast.YieldFrom)
    assert [node.lineno for each in handlers for node in ast.walk(each) if isinstance(node, suspend)] == []
    entered = [
        ast.unparse(item.context_expr)
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.AsyncWith)
        for item in node.items
    ]
    assert [each for each in entered if not each.startswith("asyncio.timeout(")] == []


def test_a_traceback_names_file_and_line() -> None:
    """And so it shows the source."""
    with pytest.raises(RequestRefused) as caught:
        parse_request(b"nonsense\r\n\r\n")
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert Path(frame.filename).parts[-3:] == ("sidecar", "http1", "message.py")
    assert frame.line is not None
    assert frame.line.startswith("raise RequestRefused(400, ")
