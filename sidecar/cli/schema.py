"""`sidecar schema`."""

import argparse

from sidecar.cli.exits import EXIT_OK

MEANING = "print the JSON Schema of the configuration file"
EXAMPLE = "sidecar schema > sidecar.schema.json"


def add_flags(_: argparse.ArgumentParser) -> None:
    """Add no flags."""


def execute(_: argparse.Namespace) -> int:
    """Print the schema."""
    import json

    from sidecar.config.load import json_schema

    print(json.dumps(json_schema(), indent=2))
    return EXIT_OK
