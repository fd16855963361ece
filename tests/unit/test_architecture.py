"""What the import contracts in pyproject.toml cannot say: sizes, libraries, and what a start may load."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from shutil import copyfile, copytree, ignore_patterns
from typing import Any

import pytest

from tests import ROOT

MODULES = sorted((ROOT / "sidecar").rglob("*.py"))
LINES_PER_MODULE = 350
LINES_PER_FUNCTION = 50
LAZY = {"aiohttp", "boto3", "httptools", "opentelemetry", "redis", "uvloop", "yaml"}
"""Loaded by the commands that need them, never by `sidecar --version`."""


@cache
def nodes(module: Path) -> Sequence[ast.AST]:
    """Everything in a module."""
    return list(ast.walk(ast.parse(module.read_text())))


def functions(module: Path) -> Iterator[tuple[str, int]]:
    """Every function's name and length in lines, decorators not counted."""
    for node in nodes(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


@cache
def third_party() -> set[str]:
    """Top-level names imported from neither the standard library nor this project."""
    everything = [node for module in MODULES for node in nodes(module)]
    names = {alias.name for node in everything if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in everything if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"sidecar"}


def test_modules_and_functions_stay_small() -> None:
    """A reader can hold a module, and certainly a function, in the head."""
    lines = {str(module.relative_to(ROOT)): len(module.read_text().splitlines()) for module in MODULES}
    assert {module: count for module, count in lines.items() if count > LINES_PER_MODULE} == {}
    sizes = [(str(module.relative_to(ROOT)), *found) for module in MODULES for found in functions(module)]
    assert [found for found in sizes if found[-1] > LINES_PER_FUNCTION] == []


def test_t12_contexts_of_tls_are_made_in_one_place() -> None:
    """Where they are made strict: the defaults of the standard library accept a name from a common name."""
    made = re.compile(r"\b(SSLContext|create_default_context|_create_unverified_context)\(")
    places = [str(module.relative_to(ROOT)) for module in MODULES if made.search(module.read_text())]
    assert places == ["sidecar/system/client_tls.py"]


def contracts() -> list[dict[str, Any]]:
    """The import contracts."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    listed: list[dict[str, Any]] = settings["contracts"]
    return listed


def test_every_library_in_use_has_a_home() -> None:
    """A contract names the modules that may import it."""
    homes = [library for contract in contracts() for library in contract.get("forbidden_modules", [])]
    assert third_party() - set(homes) == set()


PLANTED = [
    ("core/lru", "sidecar.oauth.token"),  # each layer knows only those below
    ("telemetry/events", "sidecar.proxy.routes"),
    ("http1/relay", "sidecar.oauth.token"),
    ("http1/relay", "sidecar.http2.relay"),
    ("http2/relay", "sidecar.oauth.token"),
    ("credentials/model", "sidecar.http1.message"),  # beside each other
    ("oauth/fetcher", "sidecar.cache.tokens"),
    ("cache/tokens", "sidecar.fleet.messages"),
    ("proxy/proxy", "sidecar.fleet.messages"),
    ("fleet/receiver", "sidecar.config.settings"),
    ("config/load", "sidecar.app.sidecar"),
    ("admin/server", "sidecar.app.status"),
    ("token_api/entries", "sidecar.app.status"),
    ("app/sidecar", "sidecar.diagnostics.plan"),
    ("diagnostics/explain", "sidecar.cli.flags"),
    ("cli/bust", "sidecar.cli.logs"),
    ("app/sidecar", "aiohttp"),  # one library, one home
    ("http1/server", "aiohappyeyeballs"),
    ("app/credentials", "boto3"),
    ("credentials/sources/local", "botocore"),
    ("oauth/jwks", "cryptography"),
    ("oauth/unverified_jwt", "jwt"),
    ("proxy/router", "httptools"),
    ("admin/messages", "msgspec"),
    ("telemetry/tracing", "opentelemetry"),
    ("oauth/http_client", "requests"),
    ("telemetry/counters", "prometheus_client"),
    ("fleet/redis/bus", "redis"),
    ("app/serve", "uvloop"),
    ("config/load", "yaml"),
    ("fleet/receiver", "sidecar.system.clock"),
    ("core/backoff", "time"),  # no clock, chance or I/O
    ("cache/single_flight", "random"),
    ("fleet/seal", "secrets"),
    ("proxy/request_ids", "uuid"),
    ("oauth/discovery", "os"),
    ("credentials/secret_json", "pathlib"),
    ("telemetry/recent_events", "logging"),
    ("proxy/proxy", "socket"),
    ("cache/leased_source", "threading"),
    ("fleet/member", "subprocess"),
    ("token_api/handed_out", "time"),
    ("core/health", "asyncio"),  # no event loop in rules
    ("telemetry/counters", "asyncio"),
    ("oauth/token_response", "asyncio"),
    ("cache/refused_tokens", "asyncio"),
    ("fleet/receiver", "asyncio"),
    ("proxy/challenge", "asyncio"),
    ("config/rules", "asyncio"),
    ("token_api/guards", "asyncio"),
]


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the linter says of a tree in which all of PLANTED is imported besides."""
    folder = tmp_path_factory.mktemp("planted")
    copytree(ROOT / "sidecar", folder / "sidecar", ignore=ignore_patterns("__pycache__"))
    copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    for place, name in PLANTED:
        with (folder / "sidecar" / f"{place}.py").open("a") as module:
            module.write(f"\nimport {name}\n")
    (folder / "sidecar/stray").mkdir()
    (folder / "sidecar/stray/__init__.py").write_text("")
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    return done.stdout


def test_every_contract_can_be_broken(complaints: str) -> None:
    """With all of it planted no contract holds."""
    assert [
        contract["name"] for contract in contracts() if f"{contract['name']} BROKEN" not in complaints
    ] == []


@pytest.mark.parametrize(("place", "name"), PLANTED, ids=lambda text: text)
def test_a_planted_import_is_found(complaints: str, place: str, name: str) -> None:
    """Each kind of import that the rooms must not have."""
    assert f"sidecar.{place.replace('/', '.')} -> {name}" in complaints


def test_every_room_has_its_layer(complaints: str) -> None:
    """A package that no layer names is found too."""
    assert "sidecar.stray" in complaints


def test_packages_hold_a_docstring_only() -> None:
    """What is in a room is in its modules; the version is the one exception."""
    packages = {
        path.parent: ast.parse(path.read_text()).body for path in MODULES if path.name == "__init__.py"
    }
    assert [path for path, body in packages.items() if not body or not isinstance(body[0], ast.Expr)] == []
    assert [path for path, body in packages.items() if len(body) > 1] == [ROOT / "sidecar"]


LARGEST = {"cli": 24}
"""Files in a room, sub-rooms not counted; 18 in any other."""


def test_rooms_stay_small() -> None:
    """Their files can be taken in at a glance, and nothing lies outside of a room."""
    rooms = Counter(path.parent.relative_to(ROOT / "sidecar").as_posix() for path in MODULES)
    assert {room: files for room, files in rooms.items() if files > LARGEST.get(room, 18)} == {}
    assert {path.name for path in MODULES if path.parent == ROOT / "sidecar"} == {
        "__init__.py",
        "__main__.py",
    }


def test_every_library_in_use_is_declared() -> None:
    """No library is there by luck, because another one happens to need it."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {re.split(r"[<>=]", line)[0] for line in dependencies}
    homes = packages_distributions()
    used = {homes[name][0].lower().replace("_", "-") for name in third_party()}
    assert used - declared == set()


PROGRAMS = ("bench", "bench_fleet", "soak", "kind")
"""Folders of programs that measure, and may look at the clock."""
CLOCKS = {"time", "monotonic", "perf_counter"}


HURRY = re.compile(rf"\b(timeout|wait_for|{'|'.join(sorted(CLOCKS))})\s*\(")
"""What is in each module with such lines, and in few others: to parse them all takes a second."""


def hurried(module: Path) -> Iterator[int]:
    """Return the lines of waits whose limit is a number, and of upper limits for what the clock says."""
    text = module.read_text()
    for node in ast.walk(ast.parse(text)) if HURRY.search(text) else ():
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


def test_no_test_module_is_imported() -> None:
    """What tests share is in tests/support: importing a part of a test module loads, and depends on, all of it."""
    found = {
        path.relative_to(ROOT).as_posix(): re.findall(
            r"^(?:from|import) tests\.(?:\w+\.)*test_\w+", path.read_text(), re.MULTILINE
        )
        for path in (ROOT / "tests").rglob("*.py")
    }
    assert {path: imports for path, imports in found.items() if imports} == {}


def test_the_command_line_loads_nothing_heavy() -> None:
    """`sidecar --version` answers at once: what a command needs is imported by that command."""
    program = "import sys, sidecar.cli.main; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert LAZY & set(loaded.stdout.split()) == set()


WITHOUT = {
    "aiohttp",
    "boto3",
    "botocore",
    "cryptography",
    "google",
    "jwt",
    "opentelemetry",
    "redis",
    "requests",
}
"""What a sidecar on its own, with local credentials and nothing to export, does without."""


def test_a_sidecar_loads_only_what_its_configuration_needs(tmp_path: Path) -> None:
    """boto3 would cost tens of megabytes in every pod."""
    file = tmp_path / "sidecar.yaml"
    file.write_text("""
credentials: {app: {client_id: app, client_secret: {env: CLIENT_SECRET}}}
tokens: {api: {token_endpoint: "https://auth.test/token", credentials: app}}
routes: [{name: api, upstream: "https://api.test", token: api}]
""")
    program = f"""
import sys
from sidecar.app.sidecar import Sidecar
from sidecar.config.load import load
Sidecar(load({str(file)!r}, {{"CLIENT_SECRET": "s"}}))
print(*{{name.partition('.')[0] for name in sys.modules}})
"""
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert WITHOUT & set(loaded.stdout.split()) == set()


def test_a_member_of_a_fleet_loads_redis_py_without_what_that_would_take_along() -> None:
    """OpenTelemetry's SDK is installed, and redis-py loads it on sight; an exporter can still load it later."""
    program = """
import sys
import sidecar.fleet.member
print(*{name.partition('.')[0] for name in sys.modules})
import opentelemetry.sdk.metrics
"""
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert {"redis", "opentelemetry"} & set(loaded.stdout.split()) == {"redis"}
