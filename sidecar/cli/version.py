"""`sidecar version`."""

import argparse

from sidecar import __version__
from sidecar.cli.exits import EXIT_OK

MEANING = "print the version"
EXAMPLE = "sidecar version"
LINE = f"sidecar {__version__}"


def add_flags(_: argparse.ArgumentParser) -> None:
    """Add no flags."""


def execute(_: argparse.Namespace) -> int:
    """Print the same as `sidecar --version`."""
    print(LINE)
    return EXIT_OK
