"""Packages of npm for tests, installed once for all workers below `tests/build`."""

import fcntl
import shutil
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from tests import ROOT

BUILD = ROOT / "tests/build"
INSTALL = (
    *("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier"),
    *("--ignore-scripts", "--loglevel=error"),
)


def installed(name: str, sources: Path, files: Sequence[str]) -> Path:
    """Return the folder with these files and their modules; installs them there the first time."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.fail(f"no {tool}: install Node.js 20 or later, which the tests require for {name}")
    content = b"".join((sources / each).read_bytes() for each in files)
    folder = BUILD / f"{name}-{sha256(content).hexdigest()[:12]}"
    BUILD.mkdir(exist_ok=True)
    with (BUILD / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            folder.mkdir(exist_ok=True)
            for each in files:
                shutil.copy(sources / each, folder)
            done = subprocess.run(INSTALL, check=False, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                pytest.fail(f"npm cannot install {name} for the tests: {done.stderr[-1000:]}")
            (folder / "complete").touch()
    return folder
