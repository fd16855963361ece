"""`sidecar init`: a starter file that is valid, whatever it is to say."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.cli import main
from sidecar.config.load import load

FLEETS = pytest.mark.parametrize("fleet", [(), ("--fleet",)])


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What it prints."""
    assert main.main(["init", *arguments]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    return told.out


def validated(tmp_path: Path, text: str) -> dict[str, Any]:
    """The text as YAML, once `sidecar validate --no-secrets` finds nothing wrong with it."""
    file = tmp_path / "sidecar.yaml"
    file.write_text(text)
    assert main.main(["validate", "--no-secrets", str(file)]) == 0
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@FLEETS
def test_o14_the_starter_file_is_valid(
    fleet: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """For one route, and for a fleet with Redis, an encryption key and a token for busts."""
    text = printed(capsys, *fleet)
    found = validated(tmp_path, text)
    assert ("redis" in found, "token" in found["admin"]) == (bool(fleet), bool(fleet))
    assert max(map(len, text.splitlines())) <= 80


@FLEETS
def test_o14_each_setting_in_a_comment_is_valid(
    fleet: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its # it does what the comment says."""
    text = printed(capsys, *fleet)
    settings = re.findall(r"^ *#(?=\S)", text, re.MULTILINE)
    assert len(settings) == (10 if fleet else 7)
    validated(tmp_path, re.sub(r"^( *)#(?=\S)", r"\1", text, flags=re.MULTILINE))


@pytest.mark.parametrize(
    "client_id",
    [
        "app",
        "a: b",
        "# no",
        "'",
        '"',
        "{x}",
        "[x]",
        "yes",
        "null",
        "1e3",
        "0x10",
        "*a",
        "&a",
        "!!int",
        "%s",
        "\\n",
        "a" * 500,
    ],
)
def test_o14_what_flags_say_is_in_the_file(
    client_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As text, whatever YAML would make of it unquoted."""
    flags = {
        "upstream": "http://localhost:8080/base%20path?".rstrip("?"),
        "token-endpoint": "https://auth.internal/token?tenant=a%20b",
        "client-id": client_id,
    }
    given = [f"--{flag}={value}" for flag, value in flags.items()]
    found = validated(tmp_path, printed(capsys, *given, "--scope", "a b", "--scope=yes"))
    assert found["credentials"]["example-client"]["client_id"] == client_id
    assert found["routes"][0]["upstream"] == flags["upstream"]
    token = found["tokens"]["example"]
    assert (token["token_endpoint"], token["scope"]) == (flags["token-endpoint"], ["a", "b", "yes"])


@pytest.mark.parametrize(
    ("flag", "value", "reason"),
    [
        ("upstream", "api.example.com", "write http:// or https://"),
        ("upstream", "https://me:secret@api.example.com", "remove the user name and password"),
        ("upstream", "https://api.example.com?x", "an upstream has no query"),
        ("token-endpoint", "http://auth.example.com/token", "use https"),
        ("token-endpoint", "", "write a URL"),
        ("client-id", "", "write visible ASCII"),
        ("client-id", "a\nb: c", "write visible ASCII"),
        ("client-id", "\u00e4", "write visible ASCII"),
        ("scope", 'a"b', "write one scope an entry"),
    ],
)
def test_o14_a_wrong_value_is_refused_by_the_rule_of_the_configuration(
    flag: str, value: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the flag."""
    with pytest.raises(SystemExit) as ended:
        main.main(["init", f"--{flag}={value}"])
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    assert f"sidecar init: argument --{flag}: {reason}" in told.err


def test_o14_init_writes_a_new_file_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there stays, a link to nowhere included."""
    file, link, folder = tmp_path / "sidecar.yaml", tmp_path / "link", tmp_path / "nowhere/sidecar.yaml"
    assert main.main(["init", "--output", str(file)]) == 0
    assert capsys.readouterr().out == f"wrote {file}; next: sidecar validate --no-secrets {file}\n"
    assert stat.S_IMODE(file.stat().st_mode) & 0o111 == 0
    text = file.read_text()
    assert text == printed(capsys, "--output", "-")
    link.symlink_to(tmp_path / "other")
    for place, reason in (
        (file, "it exists; name another file"),
        (link, "it exists; name another file"),
        (tmp_path, "it exists; name another file"),
        (folder, "No such file or directory; check the path and its permissions"),
    ):
        assert main.main(["init", "-o", str(place), "--fleet"]) == 1
        assert capsys.readouterr() == ("", f"sidecar: cannot write {place}: {reason}\n")
    assert file.read_text() == text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "sidecar.yaml"]


def test_o14_the_starter_file_is_ready_for_its_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the files that it names it can be run."""
    text = printed(capsys, "--fleet").replace("/var/run/secrets", str(tmp_path))
    for name in re.findall(r"(?<=^)[^#\n]*file: ([^}]+)}", text, re.MULTILINE):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("A" * 43 + "=")
    (tmp_path / "sidecar.yaml").write_text(text)
    assert load(str(tmp_path / "sidecar.yaml"), {}).redis is not None
