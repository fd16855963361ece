"""`sidecar completion`: the scripts in real shells."""

from pathlib import Path

import pytest

from sidecar.cli import main
from sidecar.cli.log_filter import event_names
from tests.support.commands import command
from tests.support.shells import completed

SHELLS = ("bash", "zsh", "fish")
FETCHED = {name for name in event_names() if name.startswith("token_")}

UNIQUE = {
    "sidecar lo": "sidecar logs",
    "sidecar help ex": "sidecar help explain",
    "sidecar completion z": "sidecar completion zsh",
    "sidecar logs --le": "sidecar logs --level",
    "sidecar logs --level wa": "sidecar logs --level warning",
    "sidecar logs --level=wa": "sidecar logs --level=warning",
    "sidecar logs --tenant logs --rou": "sidecar logs --tenant logs --route",
    "sidecar run --log-format=js": "sidecar run --log-format=json",
    "sidecar run --admin-listen 127.0.0.1:9 only": "sidecar run --admin-listen 127.0.0.1:9 only.yaml",
    "sidecar validate --no-secrets only": "sidecar validate --no-secrets only.yaml",
    "sidecar check --config only": "sidecar check --config only.yaml",
    "sidecar explain -c only": "sidecar explain -c only.yaml",
    "sidecar inject --file=only": "sidecar inject --file=only.yaml",
    "sidecar logs only": "sidecar logs only.yaml",
    "sidecar bust --all --token-file only": "sidecar bust --all --token-file only.yaml",
    # and nothing:
    "sidecar keygen only": "sidecar keygen only",
    "sidecar status only": "sidecar status only",
    "sidecar status --tenant only": "sidecar status --tenant only",
    "sidecar status --admin 127.0.0.1:": "sidecar status --admin 127.0.0.1:",
    "sidecar explain only": "sidecar explain only",
    "sidecar quux --": "sidecar quux --",
}
SEVERAL = {
    "sidecar ": set(main.COMMANDS),
    "sidecar v": {"validate", "version"},
    "sidecar help ": set(main.COMMANDS),
    "sidecar completion ": set(SHELLS),
    "sidecar logs --level ": {"debug", "info", "warning", "error"},
    "sidecar run --log-format ": {"json", "console"},
    "sidecar logs --event token_": FETCHED,
    "sidecar validate two": {"two.yaml", "two.d/"},
    "sidecar inject -f two": {"two.yaml", "two.d/"},
    "sidecar bust --t": {"--tenant", "--team", "--token-file"},
    "sidecar --": {"--help", "--version"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    here = tmp_path / "here"
    (here / "two.d").mkdir(parents=True)
    for name in ("only.yaml", "two.yaml"):
        (here / name).touch()
    return here


async def script(shell: str) -> str:
    done = await command("completion", shell)
    assert (done.code, done.err) == (0, "")
    return done.out


@pytest.mark.parametrize("shell", SHELLS)
async def test_o14_the_one_completion_is_typed(shell: str, folder: Path) -> None:
    """Commands, flags, values and files, in each place where they can be; elsewhere nothing."""
    found = completed(shell, await script(shell), list(UNIQUE), folder)
    assert {line: one.line.rstrip() for line, one in zip(UNIQUE, found, strict=True)} == UNIQUE
    assert [one.shown for one in found if one.shown] == []


@pytest.mark.parametrize("shell", SHELLS)
async def test_o14_several_completions_are_shown(shell: str, folder: Path) -> None:
    """All of them, and no other."""
    found = completed(shell, await script(shell), list(SEVERAL), folder)
    assert {line: set(one.shown) for line, one in zip(SEVERAL, found, strict=True)} == SEVERAL


@pytest.mark.parametrize("shell", SHELLS)
async def test_o14_each_flag_of_each_command_is_shown(shell: str, folder: Path) -> None:
    """A script is what the parser takes."""
    program = main.parser()
    lines = {
        f"sidecar {name} --": flags
        for name, parser in program.commands.items()
        if len(flags := {flag for flag in parser.flags if flag.startswith("--")}) > 1
    }
    assert len(lines) >= 8
    found = completed(shell, await script(shell), list(lines), folder)
    assert {line: set(one.shown) for line, one in zip(lines, found, strict=True)} == lines


async def test_o14_another_shell_is_wrong_usage() -> None:
    """With those that there are."""
    done = await command("completion", "ksh")
    assert (done.code, done.out) == (2, "")
    assert "'bash', 'zsh', 'fish'" in done.err.replace("bash, zsh, fish", "'bash', 'zsh', 'fish'")
