"""What the import contracts in pyproject.toml cannot say: sizes, libraries, and what a start may load."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
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


def third_party(modules: list[Path]) -> set[str]:
    """Top-level names imported from neither the standard library nor this project."""
    nodes = [node for module in modules for node in ast.walk(ast.parse(module.read_text()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"sidecar"}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_small(module: Path) -> None:
    """A reader can hold a module, and certainly a function, in the head."""
    assert len(module.read_text().splitlines()) <= LINES_PER_MODULE
    assert [(name, size) for name, size in functions(module) if size > LINES_PER_FUNCTION] == []


def test_core_needs_nothing_but_the_standard_library() -> None:
    """What decides can be read, tested and reused without installing anything."""
    assert third_party(sorted((ROOT / "sidecar/core").rglob("*.py"))) == set()


def test_every_library_in_use_is_declared() -> None:
    """No library is there by luck, because another one happens to need it."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {re.split(r"[<>=]", line)[0] for line in dependencies}
    homes = packages_distributions()
    used = {homes[name][0].lower().replace("_", "-") for name in third_party(MODULES)}
    assert used - declared == set()


PROGRAMS = ("bench", "bench_fleet", "soak", "kind")
"""Folders of programs that measure, and may look at the clock."""
CLOCKS = {"time", "monotonic", "perf_counter"}


def hurried(module: Path) -> Iterator[int]:
    """Return the lines of waits whose limit is a number, and of upper limits for what the clock says."""
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="timeout" | "wait_for"),
                args=[*_, ast.Constant(value=int() | float())],
            ):
                yield node.lineno
            case ast.Compare(
                left=ast.BinOp(
                    left=ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)), op=ast.Sub()
                ),
                ops=[ast.Lt() | ast.LtE(), *_],
            ) if name in CLOCKS:
                yield node.lineno


def test_o17_no_test_fails_for_the_time_it_takes() -> None:
    """Limits of waits are those of tests/waiting.py, far above what the busiest machine needs."""
    tests = [path for path in (ROOT / "tests").rglob("*.py") if path.parent.name not in PROGRAMS]
    found = [f"{path.relative_to(ROOT)}:{line}" for path in tests for line in hurried(path)]
    assert found == []


def test_the_command_line_loads_nothing_heavy() -> None:
    """`sidecar --version` answers at once: what a command needs is imported by that command."""
    program = "import sys, sidecar.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert LAZY & set(loaded.stdout.split()) == set()


WITHOUT = {"boto3", "botocore", "cryptography", "google", "jwt", "opentelemetry", "redis", "requests"}
"""What a sidecar on its own, with local credentials and nothing to export, does without."""


def test_a_sidecar_loads_only_what_its_configuration_needs(tmp_path: Path) -> None:
    """boto3 alone would cost tens of megabytes in every pod."""
    file = tmp_path / "sidecar.yaml"
    file.write_text("""
credentials: {app: {client_id: app, client_secret: {env: CLIENT_SECRET}}}
tokens: {api: {token_endpoint: "https://auth.test/token", credentials: app}}
routes: [{name: api, upstream: "https://api.test", token: api}]
""")
    program = f"""
import sys
from sidecar.app import Sidecar
from sidecar.config import load
Sidecar(load({str(file)!r}, {{"CLIENT_SECRET": "s"}}))
print(*{{name.partition('.')[0] for name in sys.modules}})
"""
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert WITHOUT & set(loaded.stdout.split()) == set()


def test_a_member_of_a_fleet_loads_redis_py_without_what_that_would_take_along() -> None:
    """OpenTelemetry's SDK is installed, and redis-py loads it on sight; who exports can still load it later."""
    program = """
import sys
import sidecar.app.member
print(*{name.partition('.')[0] for name in sys.modules})
import opentelemetry.sdk.metrics
"""
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {"redis", "opentelemetry"} & set(loaded.stdout.split()) == {"redis"}
