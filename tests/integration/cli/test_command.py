"""The command as a process: exit codes, pipes, and what a start loads and costs."""

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import sidecar
from tests import ROOT
from tests.support.commands import command
from tests.support.environment import BUILD, bare
from tests.support.loaded_modules import HEAVY, loaded

UNNEEDED = {
    "dataclasses",
    "difflib",
    "hashlib",
    "inspect",
    "ipaddress",
    "json",
    "pathlib",
    "socket",
    "urllib",
}
"""What a command needs it imports itself; these take as long as all the rest."""
GOOD = """
routes:
  - {name: ledger, match: {prefix: /ledger}, upstream: "https://ledger.internal/api"}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return str(path)


async def test_the_version_is_told() -> None:
    """`python -m sidecar --version` prints name, version and build."""
    assert await command("--version") == (0, f"sidecar {sidecar.__version__} ({BUILD})\n", "")


async def test_wrong_usage_exits_2() -> None:
    """What argparse does not know is wrong usage."""
    done = await command("run", "--bogus")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: sidecar")


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "arguments", [["--version"], ["version"], ["--help"], ["help"], ["run", "--help"], ["help", "run"]]
)
def test_questions_load_nothing_heavy(arguments: list[str]) -> None:
    """What only talks about the program loads no library at all, and little of Python's own."""
    assert (HEAVY | UNNEEDED) & loaded(*arguments) == set()


def test_validate_and_schema_load_only_what_they_read_with(config: str) -> None:
    """Validation and the schema need YAML and msgspec, no server, client or TLS."""
    both = loaded("validate", "-c", config) | loaded("schema")
    assert HEAVY & both == {"msgspec", "yaml"}


@pytest.mark.unmeasured
def test_the_version_comes_at_once() -> None:
    """At best it costs 60 ms of CPU, or where Python itself is slow, four times a start that does nothing."""

    def cost(*arguments: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], env=bare(), cwd=ROOT, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    both = [(cost("-m", "sidecar", "--version"), cost("-c", "")) for _ in range(5)]
    ours, bare_start = (min(costs) for costs in zip(*both, strict=True))
    assert ours <= max(0.06, 4 * bare_start)


async def test_b85_a_bad_configuration_exits_78(tmp_path: Path) -> None:
    """With every fault on stderr, one a line."""
    path = tmp_path / "config.yaml"
    path.write_text("routes: [{name: a b, upstream: x}]\ntypo: 1")
    done = await command("run", "-c", str(path))
    assert (done.code, done.out) == (78, "")
    head, *rest = done.err.splitlines()
    assert head == "sidecar: 3 faults in the configuration"
    assert [line.split(": ")[:2] for line in rest] == [
        [f"  {path}:1", "routes[0].name"],
        [f"  {path}:1", "routes[0].upstream"],
        [f"  {path}:2", "typo"],
    ]


def test_k7_validate_reads_a_pipe(config: str) -> None:
    """As the shell's `<(…)` gives one."""
    line = '"$0" -m sidecar validate -c <(cat "$1")'
    shell = ["bash", "-c", line, sys.executable, config]
    done = subprocess.run(
        shell, capture_output=True, text=True, env=bare({"PATH": os.defpath}), cwd=ROOT, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("ok: ")


async def test_o12_run_refuses_standard_input() -> None:
    """It reads its file again at each change, and standard input has an end."""
    done = await command("run", "-c", "-", stdin=GOOD.encode())
    assert (done.code, done.out) == (78, "")
    assert "standard input: cannot be read: the sidecar reads it again after a change; write" in done.err


async def test_o12_explain_and_check_read_standard_input() -> None:
    """The commands that a person waits for."""
    assert (await command("explain", "-c", "-", "GET", "/ledger", stdin=GOOD.encode())).code == 0
    done = await command("check", "-", stdin=b"routes: [{name: a, upstream: 'http://127.0.0.1:1'}]")
    assert done.code == 1
    assert "connect" in done.out


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """`sidecar schema | head -1` ends quietly."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    schema = [sys.executable, "-m", "sidecar", "schema"]
    done = subprocess.run(schema, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


async def test_an_address_in_use_exits_69(config: str) -> None:
    """A listen address that cannot be bound has its own exit code."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        done = await command("run", "-c", config, "--listen", listen, "--admin-listen", "127.0.0.1:0")
    assert done.code == 69
    assert listen in done.err
