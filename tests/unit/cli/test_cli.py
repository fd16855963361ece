"""The command line: what is printed, where, and with which exit code."""

import base64
import json
import os
import re
import resource
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import sidecar
from sidecar.cli import main
from tests import ROOT
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


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`sidecar …` as a process of its own, with a bare environment."""
    command = [sys.executable, "-m", "sidecar", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=bare(environ),
        cwd=ROOT,
        check=False,
    )


def test_the_version_is_told() -> None:
    """`python -m sidecar --version` prints name, version and build."""
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"sidecar {sidecar.__version__} ({BUILD})\n")


def test_o14_version_prints_what_the_flag_prints() -> None:
    """One line, whichever of the two habits somebody has."""
    assert run("version").stdout == run("--version").stdout


@pytest.mark.parametrize("words", [(), *((name,) for name in main.COMMANDS)])
def test_o14_help_prints_what_the_flag_prints(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The help of the program, and of each command."""
    with pytest.raises(SystemExit):
        main.main([*words, "--help"])
    by_flag = capsys.readouterr()
    assert main.main(["help", *words]) == 0
    assert capsys.readouterr() == by_flag


@pytest.mark.parametrize("columns", ["80", "300", "40", "", "0"])
@pytest.mark.parametrize("name", ["", *main.COMMANDS])
def test_o14_help_says_what_for_and_fits_and_has_an_example(
    name: str, columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most 80 columns on every terminal; no flag without a text; at its end something to copy."""
    monkeypatch.setenv("COLUMNS", columns)
    assert main.main(["help", *name.split()]) == 0
    shown = capsys.readouterr().out
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    meaning, usage, _ = shown.split("\n\n", 2)
    assert usage.startswith("usage: sidecar")
    if name:
        assert meaning == main.COMMANDS[name].MEANING
    described, example = shown.split("\nexample:\n")
    assert re.match(rf"  .*\bsidecar {name or 'run'}\b", example)
    flags = re.split(r"^  (?=-)", described.split("\noptions:\n")[1], flags=re.MULTILINE)[1:]
    assert flags
    assert [flag for flag in flags if not re.search(r"(  |\n +)\S", flag)] == []


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
    """The best of ten starts costs at most 60 ms of CPU."""

    def cost() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run("--version")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(cost() for _ in range(10)) <= 0.06


@pytest.mark.parametrize(
    "arguments", [[], ["bogus"], ["run", "--bogus"], ["validate", "a", "extra"], ["run", "--conf=x"]]
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    """What argparse does not know is wrong usage, abbreviations included."""
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: sidecar")


def test_validate_says_ok_and_shows_the_routes(config: str) -> None:
    """A good configuration is summed up, so that a wrong file is noticed."""
    done = run("validate", "--config", config, "--admin-listen", "127.0.0.1:1")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "ok: listen 127.0.0.1:9180, admin 127.0.0.1:1, cache local",
        "route ledger: /ledger -> https://ledger.internal/api, no token",
    ]


@pytest.mark.parametrize(
    ("encryption", "key", "said"),
    [
        ("aes-256-gcm", "A" * 43 + "=", "redis r.internal:6379, sealed with env"),
        ("none", "", "redis r.internal:6379, NOT ENCRYPTED: "),
    ],
)
def test_validate_says_where_the_fleet_meets(tmp_path: Path, encryption: str, key: str, said: str) -> None:
    """And what protects it there, but no password."""
    path = tmp_path / "config.yaml"
    path.write_text(f"{GOOD}\nredis: {{url: redis://x, encryption: {encryption}}}")
    environ = {"REDIS_URL": "redis://:hunter2@r.internal", "SIDECAR_ENCRYPTION_KEY": key}
    done = run("validate", "-c", str(path), **environ)
    assert (done.returncode, done.stderr) == (0, "")
    head, redis, _ = done.stdout.splitlines()
    assert head.endswith(", cache distributed")
    assert redis.startswith(said)
    assert "hunter2" not in done.stdout


@pytest.mark.parametrize(
    ("tenant", "said"),
    [
        ("{header: X-Tenant, default: acme}", "anybody, named by the field x-tenant, else acme"),
        ("{path: true, allow: [a, b]}", "2 allowed, named by the path, /t/{tenant}/, no default"),
        ("{claim: org}", "anybody, named by the claim org of the caller's verified token, no default"),
    ],
)
def test_validate_says_who_names_tenants(tmp_path: Path, tenant: str, said: str) -> None:
    """And which there are."""
    path = tmp_path / "config.yaml"
    path.write_text(f"{GOOD}\ntenant: {tenant}")
    done = run("validate", "-c", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1] == f"tenants: {said}"


def test_o13_validate_prints_warnings_beside_the_result(tmp_path: Path) -> None:
    """On standard error, and the exit code is 0; where there are faults, after them."""
    path = tmp_path / "config.yaml"
    path.write_text("routes: [{name: a, match: {prefix: /$API}, upstream: 'https://a.test'}]")
    done = run("validate", "-c", str(path), SIDECAR_UPSTERAM="x")
    ignored, doubtful = done.stderr.splitlines()
    assert (done.returncode, done.stdout.splitlines()[-1]) == (
        0,
        "route a: /$API -> https://a.test, no token",
    )
    assert ignored.startswith("warning: environment: SIDECAR_UPSTERAM: there is no such setting")
    assert doubtful.startswith(f"warning: {path}:1: routes[0].match.prefix: $NAME is taken literally")
    bad = run("validate", SIDECAR_UPSTERAM="x")
    assert bad.returncode == 78
    assert [line.split(": ")[:2] for line in bad.stderr.splitlines()[1:]] == [
        ["  environment", "nothing to do"],
        ["  warning", "environment"],
    ]


@pytest.mark.parametrize("command", ["validate", "run"])
def test_b85_a_bad_configuration_exits_78_with_every_fault(tmp_path: Path, command: str) -> None:
    """All faults are on stderr, one a line, with file, line and path."""
    path = tmp_path / "config.yaml"
    path.write_text("routes: [{name: a b, upstream: x}]\ntypo: 1")
    done = run(command, "-c", str(path))
    assert (done.returncode, done.stdout) == (78, "")
    head, *rest = done.stderr.splitlines()
    assert head == "sidecar: 3 faults in the configuration"
    assert [line.split(": ")[:2] for line in rest] == [
        [f"  {path}:1", "routes[0].name"],
        [f"  {path}:1", "routes[0].upstream"],
        [f"  {path}:2", "typo"],
    ]


def test_b85_no_configuration_at_all_exits_78() -> None:
    """With nothing to do the sidecar says what to give it."""
    done = run("validate")
    assert done.returncode == 78
    assert "SIDECAR_UPSTREAM" in done.stderr


def test_flags_go_before_the_environment(config: str) -> None:
    """A flag wins over its variable, the variable over the file."""
    done = run(
        "validate",
        "-c",
        config,
        "--listen",
        "127.0.0.1:7",
        SIDECAR_LISTEN="127.0.0.1:8",
        LOG_FORMAT="console",
    )
    assert "listen 127.0.0.1:7," in done.stdout
    assert run("validate", "-c", config, "--log-format", "xml", LOG_FORMAT="json").returncode == 78


def test_a_fault_in_a_flag_names_the_flag(config: str) -> None:
    """Who typed a flag is told of that flag; who set its variable, of the variable."""
    typed = run("validate", "-c", config, "--log-format", "xml", "--admin-listen", "nowhere").stderr
    assert "  --log-format: must be one of" in typed
    assert "  --admin-listen: " in typed
    assert "environment" not in typed
    by_variable = run("validate", "-c", config, LOG_FORMAT="xml").stderr
    assert "  environment: LOG_FORMAT: must be one of" in by_variable


def test_schema_is_json() -> None:
    """The schema names its dialect and the keys of the file."""
    schema = json.loads(run("schema").stdout)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "routes" in schema["$defs"]["File"]["properties"]


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """`sidecar schema | head -1` ends quietly."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "sidecar", "schema"]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, check=False)
    os.close(write_end)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_address_in_use_exits_69(config: str, unused_tcp_port: int) -> None:
    """A listen address that cannot be bound is told with its own exit code."""
    with socket.create_server(("127.0.0.1", unused_tcp_port)):
        listen = f"127.0.0.1:{unused_tcp_port}"
        done = run("run", "-c", config, "--listen", listen, "--admin-listen", "127.0.0.1:0")
    assert done.returncode == 69
    assert listen in done.stderr


def test_a_bug_exits_70_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The place and type of an unexpected error are told; its text may hold anything and is not."""
    monkeypatch.setitem(sys.modules, "sidecar.config.load", Broken("broken"))
    assert main.main(["schema"]) == 70
    told = capfd.readouterr()
    assert "ZeroDivisionError: this is a bug" in told.err
    assert "hunterhunter" not in told.err + told.out


def test_keygen_makes_another_key_each_time() -> None:
    """32 bytes in base64, as the configuration wants them."""
    keys = {run("keygen").stdout for _ in range(2)}
    assert [len(base64.b64decode(key, validate=True)) for key in map(str.strip, keys)] == [32, 32]


class Broken(ModuleType):
    """A module with a bug in it."""

    def json_schema(self) -> None:
        secret = "hunter"
        raise ZeroDivisionError(secret * 2)
