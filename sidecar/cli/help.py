"""`sidecar help`."""

import argparse

from sidecar.cli.exits import EXIT_OK
from sidecar.cli.parser import Parser

MEANING = "explain the sidecar or one of its commands"
EXAMPLE = "sidecar help status"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the argument for a command."""
    parser.add_argument(
        "command", metavar="COMMAND", nargs="?", help="command to explain; default: list the commands"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the same as `sidecar COMMAND --help`."""
    program: Parser = arguments.program
    name: str | None = arguments.command
    if name is not None and name not in program.commands:
        arguments.usage(program.unknown("command", name, program.commands))
    print((program if name is None else program.commands[name]).format_help(), end="")
    return EXIT_OK
