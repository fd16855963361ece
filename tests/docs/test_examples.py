"""The examples of all pages: files are valid, and what the pages print of commands is what these print."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption

from sidecar.cli import main
from sidecar.config.load import load
from sidecar.fleet.settings import Dialect
from tests import ROOT
from tests.support.environment import bare
from tests.support.keys import pem_of_both
from tests.support.pages import PAGES, blocks, fences
from tests.support.programs import reference

USERS = tuple(name for name in PAGES if name == "README.md" or name.startswith("docs/"))
FILES = [
    pytest.param(text, id=f"{name}-{number}")
    for name in USERS
    for number, text in enumerate(blocks(ROOT / name, "yaml"))
]
RERUN = re.compile(r"\bsidecar (?:validate|explain) ")
"""Commands that need no server."""


def rerun() -> list[tuple[str, str, str]]:
    """Return each such block with its page and the file before it there, `sidecar.yaml`."""
    found = []
    for name in USERS:
        file = ""
        for language, text in fences(ROOT / name):
            if language == "yaml":
                file = text
            elif language == "console" and RERUN.search(text.partition("\n")[0]):
                found.append((name, file, text))
    return found


@pytest.mark.parametrize("text", FILES)
def test_every_example_of_a_file_is_valid(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sidecar validate` finds no fault in a copied example, once its secrets are there."""

    def elsewhere(path: re.Match[str]) -> str:
        copy = tmp_path / path[0].replace("/", "_")
        secret = "A" * 43 + "="  # also an encryption key
        contents = {
            ".pem": pem_of_both(
                "rsa", BestAvailableEncryption(secret.encode()) if "passphrase:" in text else None
            ),
            ".json": json.dumps({"client_id": "app", "client_secret": secret}),
        }
        copy.write_text(contents.get(Path(path[0]).suffix, secret))
        return str(copy)

    file = tmp_path / "sidecar.yaml"
    file.write_text(re.sub(r"(?<=file: )/[^\s,}]+", elsewhere, text))
    for name in re.findall(r"env: (\w+)", text):
        monkeypatch.setenv(name, "secret")
    code = main.main(["validate", "--config", str(file)])
    assert (code, capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize(("page", "file", "block"), rerun(), ids=[page for page, *_ in rerun()])
def test_what_a_command_prints_is_what_the_page_shows(
    page: str, file: str, block: str, tmp_path: Path
) -> None:
    """`validate` and `explain` are run again, in a shell, beside the page's file."""
    (tmp_path / "sidecar.yaml").write_text(file)
    typed, printed = block.removeprefix("$ ").split("\n", 1)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", typed],
        cwd=tmp_path,
        env={**bare(), "PATH": path, "LEDGER_CLIENT_SECRET": "secret"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.stdout == printed, page


def test_commands_are_run_again() -> None:
    """The search finds them."""
    assert len(rerun()) >= 4


@pytest.mark.parametrize("name", [name for name in USERS if "SIDECAR_UPSTREAM=" in (ROOT / name).read_text()])
def test_the_example_without_a_file_is_valid(name: str) -> None:
    """The variables make a route."""
    example = next(block for block in blocks(ROOT / name, "sh") if "SIDECAR_UPSTREAM=" in block)
    assert load(None, dict(re.findall(r"^(\w+)=(\S+)", example, re.MULTILINE))).routes


def test_excerpts_of_the_demo_are_in_the_demos_words() -> None:
    """What a page shows of the demo is what the demo prints."""
    scenes = "".join((ROOT / f"sidecar/demo/{module}.py").read_text() for module in ("scenes", "fleet"))
    excerpts = [text for name in USERS for text in blocks(ROOT / name, "") if re.match(r"\d\. ", text)]
    words = re.compile(r"^(?:\d\. |  The | +\^ )(.*)$", re.MULTILINE)
    lines = [line for text in excerpts for line in words.findall(text)]
    assert len(lines) >= 12
    assert [line for line in lines if line.strip() not in scenes] == []


RECIPES = ("nginx", "envoy", "grpc", "kafka")
"""Pages with excerpts of files that tests run."""


@pytest.mark.parametrize("name", RECIPES)
def test_excerpts_of_recipes_are_in_their_files(name: str) -> None:
    """What a page shows of a recipe is what a test runs."""
    page = ROOT / f"docs/how-to/{name}.md"
    files = [
        (page.parent / path).read_text()
        for path in re.findall(r"\]\((\.\./examples/[^)]+)\)", page.read_text())
    ]
    shown = [text for language, text in fences(page) if language in {"nginx", "text", "python"}]
    excerpts = [text for text in shown if re.search(r"^(?: +|def )", text)]
    assert excerpts
    assert [text for text in excerpts if not any(text.strip("\n") in file for file in files)] == []


def test_the_permissions_in_redis_are_up_to_date() -> None:
    """`make reference` writes the line of `ACL SETUSER`."""
    assert reference.PAGE.read_text() == reference.page()


def test_every_dialect_is_listed() -> None:
    """The table has each dialect that `busts.listen` takes."""
    page = (ROOT / "docs/how-to/other-programs-busts.md").read_text()
    assert set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)) == set(get_args(Dialect))
