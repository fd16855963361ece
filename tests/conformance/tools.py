"""The tools that a part of `make conformance` requires, and where it keeps what it builds with them."""

import shutil
import subprocess

from tests import ROOT

FOLDER = ROOT / "build" / "conformance"


class CannotRunError(Exception):
    """This machine lacks something."""


def tool(command: str, name: str, built: str) -> str:
    """Return the path of a command. Raises CannotRunError."""
    found = shutil.which(command)
    if found is None:
        raise CannotRunError(f"`{command}` of {name} is not installed; {built} is built with it")
    return found


def version(command: str, flag: str) -> str:
    """Return the first line that a tool prints about its version."""
    done = subprocess.run([command, flag], capture_output=True, text=True, check=True)
    return (done.stdout or done.stderr).splitlines()[0].strip()
