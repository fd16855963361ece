"""The locks at work: a changed hash stops the build, and every platform of the image finds what it needs in them."""

import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

from tests import ROOT
from tests.support.lock import IMAGE, LOCKS, TOOLS, Release, Target, releases, targets, unserved

SMALL = "aiohappyeyeballs"
"""The package whose hash is changed: a wheel of a few kilobytes, in both locks."""


def block(text: str, name: str) -> str:
    """The lines of one pin, with its comments."""
    found = re.search(rf"^{re.escape(name)}==.*\n(?:    .*\n)*", text, re.MULTILINE)
    assert found, name
    return found[0]


def build(context: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """The image's own steps, on a copy of what they read."""
    return subprocess.run(
        [context / ".docker/build.sh", target],
        check=False,
        env={**os.environ, "PYTHON": sys.executable, "PIP_RETRIES": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What the build reads, with locks of one small package, so that each step is short."""
    for name in (".docker", ".build"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for lock in LOCKS:
        (tmp_path / lock.relative_to(ROOT)).write_text(block(lock.read_text(), SMALL))
    return tmp_path


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_a_changed_hash_stops_the_build(context: Path, lock: Path) -> None:
    """Of what the image holds, and of what builds the sidecar; before anything of it is installed or compiled."""
    file = context / lock.relative_to(ROOT)
    held = file.read_text()
    file.write_text(re.sub("sha256:[0-9a-f]{4}", "sha256:beef", held))
    done = build(context, context / "tree")
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert SMALL in done.stderr
    assert list(context.rglob("*.so")) == []


def test_what_has_no_hash_stops_the_build(context: Path) -> None:
    """A pin alone is not enough."""
    file = context / IMAGE.relative_to(ROOT)
    file.write_text(re.sub(r" \\\n +--hash=\S+", "", file.read_text()))
    done = build(context, context / "tree")
    assert done.returncode != 0
    assert "Hashes are required" in done.stderr


@lru_cache
def resolved(lock: str) -> list[Release]:
    """What a lock leads to, with all that its packages require, and what the index has of it; nothing is downloaded."""
    command: list[str | Path] = [
        Path(sys.executable).parent / "uv",
        "pip",
        "compile",
        "-",
        "--universal",
        "--no-config",
        "--quiet",
    ]
    command += ["--python-version", "3.11", "--format", "pylock.toml"]
    done = subprocess.run(command, check=False, input=lock, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return releases(done.stdout)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_every_platform_finds_all_it_needs_in_a_lock(lock: Path) -> None:
    """Each Python that wheels are built for, C library and architecture: a wheel of each package, by its hash."""
    text = lock.read_text()
    lacks = {str(target): unserved(text, resolved(text), target) for target in targets()}
    assert len(lacks) == 16
    assert {name: lack for name, lack in lacks.items() if lack} == {}


@pytest.mark.parametrize(
    ("lock", "name"),
    [
        (IMAGE, "six"),
        (IMAGE, "async-timeout"),
        (TOOLS, "librt"),
    ],
)
def test_a_lock_without_a_package_that_another_requires_is_incomplete(lock: Path, name: str) -> None:
    """None of these is in pyproject.toml; one of them is for early releases of one Python only."""
    text = lock.read_text()
    text = text.replace(block(text, name), "")
    lacks = [unserved(text, resolved(lock.read_text()), target) for target in targets()]
    assert [f"missing: {name}"] in lacks
    assert name in {release.name for release in resolved(text)}


@pytest.mark.parametrize("target", targets()[:4], ids=str)
def test_a_platform_without_its_wheel_is_found(target: Target) -> None:
    """Without the hashes of the wheels that it can use, and only there."""
    text = IMAGE.read_text()
    [uvloop] = [release for release in resolved(text) if release.name == "uvloop"]
    others = block(text, "uvloop")
    for digest, name in uvloop.wheels.items():
        if target.tags() & parse_wheel_filename(name)[3]:
            others = re.sub(rf" \\\n +--hash={digest}", "", others)
    without = text.replace(block(text, "uvloop"), others)
    lacks = [each for each in targets() if unserved(without, resolved(text), each) == ["no wheel: uvloop"]]
    assert lacks == [target]
