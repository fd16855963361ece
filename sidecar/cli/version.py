"""`sidecar version`."""

import argparse

from sidecar import __version__
from sidecar.cli.exits import EXIT_OK
from sidecar.system.build import build

MEANING = "print the version and the build: pure or compiled"
EXAMPLE = "sidecar version"
LINE = f"sidecar {__version__} ({build()})"


def add_flags(_: argparse.ArgumentParser) -> None:
    """Add no flags."""


def execute(_: argparse.Namespace) -> int:
    """Print the same as `sidecar --version`."""
    print(LINE)
    return EXIT_OK
