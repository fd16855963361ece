"""`sidecar keygen`."""

import argparse

from sidecar.cli.exits import EXIT_OK

MEANING = "print a new encryption key for the fleet"
EXAMPLE = "(umask 077; sidecar keygen > fleet.key)"


def add_flags(_: argparse.ArgumentParser) -> None:
    """Add no flags."""


def execute(_: argparse.Namespace) -> int:
    """Print 32 random bytes in base64."""
    import base64
    import os

    print(base64.b64encode(os.urandom(32)).decode())
    return EXIT_OK
