"""argv → exit code. A command is a module that imports what it needs itself, so that `--version` answers at once."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from io import TextIOWrapper
from typing import Protocol

from sidecar.cli import (
    bust,
    check,
    completion,
    demo,
    dumps,
    explain,
    flags,
    help,  # noqa: A004  named for its command
    init,
    inject,
    keygen,
    logs,
    run,
    schema,
    status,
    validate,
    version,
)
from sidecar.cli.exits import (
    EXIT_BUG,
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_UNREACHABLE,
    MEANINGS,
)
from sidecar.cli.parser import Parser, formatter


class Command(Protocol):
    """The interface of a command's module."""

    MEANING: str
    """Its purpose, in one line."""
    EXAMPLE: str
    """Examples, one or more lines."""

    def add_flags(self, parser: argparse.ArgumentParser, /) -> None:
        """Add the command's flags and arguments to the parser."""

    def execute(self, arguments: argparse.Namespace, /) -> int:
        """Run the command and return the exit code. Raises SidecarError."""


COMMANDS: Mapping[str, Command] = {
    "init": init,
    "run": run,
    "validate": validate,
    "check": check,
    "explain": explain,
    "status": status,
    "logs": logs,
    "bust": bust,
    "inject": inject,
    "keygen": keygen,
    "schema": schema,
    "demo": demo,
    "completion": completion,
    "help": help,
    "version": version,
}

ENVIRONMENT = """\
To run one route without a file, set SIDECAR_UPSTREAM, SIDECAR_TOKEN_ENDPOINT,
SIDECAR_CLIENT_ID and SIDECAR_CLIENT_SECRET (or the latter two with _FILE), and
optionally SIDECAR_SCOPE and SIDECAR_AUDIENCE.

SIDECAR_ALLOW_DUMPS=true permits core files and debuggers; by default both are
disabled because tokens and secrets are in memory.
"""
_EPILOG = """\
example:
  sidecar run sidecar.yaml

`sidecar COMMAND --help` shows the flags of a command and an example.

exit codes:
{codes}

{environment}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` (the process's own by default) and return its exit code."""
    _open_standard_descriptors()
    arguments = parser().read(sys.argv[1:] if argv is None else argv)
    try:
        dumps.forbid()
    except OSError as error:
        _complain(
            EXIT_OK, f"sidecar: cannot forbid dumps of its memory: {error.strerror}; keep other processes out"
        )
    try:
        code: int = arguments.execute(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001  the last place that can report it
        return _failed(error, arguments)
    return code


def _failed(error: Exception, arguments: argparse.Namespace) -> int:
    from sidecar.cli.terminal import harmless
    from sidecar.core.errors import (
        AdminRefused,
        AdminUnreachable,
        ConfigError,
        LimitReached,
        ListenError,
        ManifestRefused,
    )
    from sidecar.system.limits import reached

    if isinstance(error, ConfigError):
        return _complain(EXIT_CONFIGURATION, *flags.faults(error, arguments))
    if isinstance(error, AdminRefused | ManifestRefused):
        return _complain(EXIT_FAILED, harmless(f"sidecar: {error}"))
    if isinstance(error, AdminUnreachable | LimitReached | ListenError):
        return _complain(EXIT_UNREACHABLE, harmless(f"sidecar: {error}"))
    if limit := reached(error):
        return _complain(EXIT_UNREACHABLE, f"sidecar: {limit}")
    return _complain(EXIT_BUG, *_bug(error))


def _open_standard_descriptors() -> None:
    """Open missing standard descriptors, or the next file opened becomes our stdout and gets the log."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115  a descriptor, open for good
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # the terminal's encoding is no reason to fail
            stream.reconfigure(errors="backslashreplace")


def parser() -> Parser:
    """Return the parser of the command line."""
    program = Parser(
        prog="sidecar",
        epilog=_EPILOG.format(
            codes="\n".join(f"  {code:<4}{meaning}" for code, meaning in MEANINGS.items()),
            environment=ENVIRONMENT,
        ),
        formatter_class=formatter,
        allow_abbrev=False,
    )
    program.meaning = "A localhost reverse proxy that injects, caches and heals bearer tokens."
    program.add_argument(
        "--version", action="version", version=version.LINE, help="print the version and the build, and exit"
    )
    commands = program.add_subparsers(title="commands", metavar="COMMAND")
    program.commands = commands.choices
    for name, command in COMMANDS.items():
        parts = commands.add_parser(
            name,
            help=command.MEANING,
            epilog="example:\n  " + command.EXAMPLE.replace("\n", "\n  "),
            formatter_class=formatter,
            allow_abbrev=False,
        )
        parts.meaning = command.MEANING
        parts.set_defaults(execute=command.execute, usage=parts.error, parser=parts, program=program)
        command.add_flags(parts)
    return program


def _bug(error: Exception) -> list[str]:
    """Return the type and the place of an unexpected exception; not its text, which may hold anything."""
    import traceback

    places = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    return [places, f"sidecar: {type(error).__name__}: this is a bug; please report the lines above"]


def _complain(code: int, *lines: str) -> int:
    print(*lines, sep="\n", file=sys.stderr)
    return code
