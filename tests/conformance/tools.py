"""The tools that a part of `make conformance` requires, and where it keeps what it builds with them."""

import shutil
import subprocess

from tests import ROOT

FOLDER = ROOT / "build" / "conformance"


class CannotRunError(Exception):
    """This machine lacks something."""


def tool(command: str, package: str) -> str:
    """Return the path of a command. Raises CannotRunError, which names the package that brings it."""
    found = shutil.which(command)
    if found is None:
        raise CannotRunError(f"`{command}` is not installed; install {package}")
    return found


def version(command: str, flag: str) -> str:
    """Return the first line that a tool prints about its version."""
    done = subprocess.run([command, flag], capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0].strip()
