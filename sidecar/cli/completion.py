"""`sidecar completion`."""

import argparse

from sidecar.cli.exits import EXIT_OK

MEANING = "print a completion script for a shell"
EXAMPLE = "source <(sidecar completion bash)"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the argument for the shell."""
    parser.add_argument(
        "shell",
        choices=("bash", "zsh", "fish"),
        help="shell to complete in; the script explains how to install it",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from sidecar.cli.log_filter import event_names
    from sidecar.cli.shells import bash, fish, zsh
    from sidecar.cli.shells.grammar import grammar

    scripts = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}
    commands = grammar(arguments.program, {"EVENTS": tuple(sorted(event_names()))})
    print(scripts[arguments.shell](commands), end="")
    return EXIT_OK
