"""The command line: what is printed, where, and with which exit code."""

import base64
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sidecar.cli import main
from tests.support.in_process import typed

GOOD = """
routes:
  - {name: ledger, match: {prefix: /ledger}, upstream: "https://ledger.internal/api"}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return str(path)


def test_o14_version_prints_what_the_flag_prints() -> None:
    """One line, in either spelling."""
    assert typed("version").out == typed("--version").out


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


@pytest.mark.parametrize(
    "arguments", [[], ["bogus"], ["run", "--bogus"], ["validate", "a", "extra"], ["run", "--conf=x"]]
)
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    """What argparse does not know is wrong usage, abbreviations included."""
    done = typed(*arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: sidecar")


def test_validate_says_ok_and_shows_the_routes(config: str) -> None:
    """A good configuration is summed up, so that a wrong file is noticed."""
    done = typed("validate", "--config", config, "--admin-listen", "127.0.0.1:1")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "ok: listen 127.0.0.1:9180, admin 127.0.0.1:1, cache local",
        "route ledger: /ledger -> https://ledger.internal/api, no token",
    ]


@pytest.mark.parametrize(
    ("encryption", "key", "said"),
    [
        ("aes-256-gcm", "A" * 43 + "=", "redis r.internal:6379, encrypted with env"),
        ("none", "", "redis r.internal:6379, NOT ENCRYPTED: "),
    ],
)
def test_validate_says_where_the_fleet_meets(tmp_path: Path, encryption: str, key: str, said: str) -> None:
    """And what protects it there, but no password."""
    path = tmp_path / "config.yaml"
    path.write_text(f"{GOOD}\nredis: {{url: redis://x, encryption: {encryption}}}")
    environ = {"REDIS_URL": "redis://:hunter2@r.internal", "SIDECAR_ENCRYPTION_KEY": key}
    done = typed("validate", "-c", str(path), environ=environ)
    assert (done.code, done.err) == (0, "")
    head, redis, _ = done.out.splitlines()
    assert head.endswith(", cache distributed")
    assert redis.startswith(said)
    assert "hunter2" not in done.out


@pytest.mark.parametrize(
    ("tenant", "said"),
    [
        ("{header: X-Tenant, default: acme}", "any tenant, named by the field x-tenant, else acme"),
        ("{path: true, allow: [a, b]}", "2 allowed, named by the path, /t/{tenant}/, no default"),
        ("{claim: org}", "any tenant, named by the claim org of the caller's verified token, no default"),
    ],
)
def test_validate_says_who_names_tenants(tmp_path: Path, tenant: str, said: str) -> None:
    """And which there are."""
    path = tmp_path / "config.yaml"
    path.write_text(f"{GOOD}\ntenant: {tenant}")
    done = typed("validate", "-c", str(path))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1] == f"tenants: {said}"


def test_o13_validate_prints_warnings_beside_the_result(tmp_path: Path) -> None:
    """On standard error, and the exit code is 0; where there are faults, after them."""
    path = tmp_path / "config.yaml"
    path.write_text("routes: [{name: a, match: {prefix: /$API}, upstream: 'https://a.test'}]")
    done = typed("validate", "-c", str(path), environ={"SIDECAR_UPSTERAM": "x"})
    ignored, doubtful = done.err.splitlines()
    assert (done.code, done.out.splitlines()[-1]) == (
        0,
        "route a: /$API -> https://a.test, no token",
    )
    assert ignored.startswith("warning: environment: SIDECAR_UPSTERAM: there is no such setting")
    assert doubtful.startswith(f"warning: {path}:1: routes[0].match.prefix: $NAME is taken literally")
    bad = typed("validate", environ={"SIDECAR_UPSTERAM": "x"})
    assert bad.code == 78
    assert [line.split(": ")[:2] for line in bad.err.splitlines()[1:]] == [
        ["  environment", "nothing to do"],
        ["  warning", "environment"],
    ]


def test_b85_a_bad_configuration_exits_78_with_every_fault(tmp_path: Path) -> None:
    """All faults are on stderr, one a line, with file, line and path."""
    path = tmp_path / "config.yaml"
    path.write_text("routes: [{name: a b, upstream: x}]\ntypo: 1")
    done = typed("validate", "-c", str(path))
    assert (done.code, done.out) == (78, "")
    head, *rest = done.err.splitlines()
    assert head == "sidecar: 3 faults in the configuration"
    assert [line.split(": ")[:2] for line in rest] == [
        [f"  {path}:1", "routes[0].name"],
        [f"  {path}:1", "routes[0].upstream"],
        [f"  {path}:2", "typo"],
    ]


def test_b85_no_configuration_at_all_exits_78() -> None:
    """With nothing to do the sidecar says what to give it."""
    done = typed("validate")
    assert done.code == 78
    assert "SIDECAR_UPSTREAM" in done.err


def test_flags_go_before_the_environment(config: str) -> None:
    """A flag wins over its variable, the variable over the file."""
    environ = {"SIDECAR_LISTEN": "127.0.0.1:8", "LOG_FORMAT": "console"}
    done = typed("validate", "-c", config, "--listen", "127.0.0.1:7", environ=environ)
    assert "listen 127.0.0.1:7," in done.out
    done = typed("validate", "-c", config, "--log-format", "xml", environ={"LOG_FORMAT": "json"})
    assert done.code == 78


def test_a_fault_in_a_flag_names_the_flag(config: str) -> None:
    """For a typed flag the fault names that flag; for a variable, the variable."""
    by_flag = typed("validate", "-c", config, "--log-format", "xml", "--admin-listen", "nowhere").err
    assert "  --log-format: must be one of" in by_flag
    assert "  --admin-listen: " in by_flag
    assert "environment" not in by_flag
    by_variable = typed("validate", "-c", config, environ={"LOG_FORMAT": "xml"}).err
    assert "  environment: LOG_FORMAT: must be one of" in by_variable


def test_schema_is_json() -> None:
    """The schema names its dialect and the keys of the file."""
    schema = json.loads(typed("schema").out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "routes" in schema["$defs"]["File"]["properties"]


def test_a_bug_exits_70_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The place and type of an unexpected error are printed; its text may hold anything and is not."""
    monkeypatch.setitem(sys.modules, "sidecar.config.load", Broken("broken"))
    assert main.main(["schema"]) == 70
    told = capfd.readouterr()
    assert "ZeroDivisionError: this is a bug" in told.err
    assert "hunterhunter" not in told.err + told.out


def test_keygen_makes_another_key_each_time() -> None:
    """32 bytes in base64, as the configuration requires them."""
    keys = {typed("keygen").out for _ in range(2)}
    assert [len(base64.b64decode(key, validate=True)) for key in map(str.strip, keys)] == [32, 32]


class Broken(ModuleType):
    """A module with a bug in it."""

    def json_schema(self) -> None:
        secret = "hunter"
        raise ZeroDivisionError(secret * 2)
