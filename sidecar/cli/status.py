"""`sidecar status`."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from sidecar.cli import flags
from sidecar.cli.exits import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from sidecar.cli.terminal import Terminal

MEANING = "show a running sidecar: what is wrong now, neighbours, routes, tokens, events"
EXAMPLE = "sidecar status --watch"
EVERY = 2.0
_LABELS = ("tenant", "service")
_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the admin server, and for the output."""
    flags.add_admin(parser)
    parser.add_argument(
        "--tenant", metavar="ID", help="show only tokens of this tenant; exit with 1 if there are none"
    )
    parser.add_argument(
        "--service", metavar="ID", help="show only tokens obtained with the credentials of this service"
    )
    parser.add_argument(
        "--watch",
        metavar="SECONDS",
        nargs="?",
        type=flags.seconds(0.1, 3600),
        const=EVERY,
        help="refresh every SECONDS until Ctrl-C; default: 2",
    )
    parser.add_argument("--json", action="store_true", help="print the JSON of /status")
    parser.add_argument(
        "--healthcheck",
        action="store_true",
        help="print nothing; exit with 0 if the sidecar is ready, else 1; for HEALTHCHECK and exec probes",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Show the status."""
    if arguments.healthcheck:
        return _healthcheck(arguments.admin)
    if arguments.watch is None:
        lines, missed = _shown(arguments)
        _write("\n".join(lines) + "\n")
        if missed:
            print(missed, file=sys.stderr)
        return EXIT_FAILED if missed else EXIT_OK
    try:
        _watch(arguments)
    except KeyboardInterrupt:
        return EXIT_OK
    return EXIT_OK


def _healthcheck(admin: str) -> int:
    from sidecar.admin.client import ready
    from sidecar.core.errors import AdminUnreachable

    try:
        return EXIT_OK if ready(admin) else EXIT_FAILED
    except AdminUnreachable as error:
        print(f"sidecar: {error}", file=sys.stderr)
        return EXIT_FAILED


def _watch(arguments: argparse.Namespace) -> None:
    """Show it repeatedly; an unreachable sidecar may become reachable again."""
    from sidecar.cli.terminal import Terminal, harmless
    from sidecar.core.errors import AdminRefused, AdminUnreachable

    while True:
        try:
            lines, missed = _shown(arguments)
        except (AdminRefused, AdminUnreachable) as error:
            lines, missed = [harmless(f"sidecar: {error}")], ""
        if not arguments.json:
            _write(_screen([*lines, *filter(None, [missed])], Terminal(sys.stdout)))
        else:
            print(*lines, file=sys.stdout if lines[0].startswith("{") else sys.stderr, flush=True)
        time.sleep(arguments.watch)


def _screen(lines: list[str], terminal: "Terminal") -> str:
    """Overwrite the screen without flicker; lines that do not fit are left out."""
    if not terminal.interactive:
        return "\n".join((*lines, "", ""))
    room = terminal.height - 1
    lines = lines if len(lines) <= room else [*lines[: room - 1], "…"]
    return _HOME + "".join(f"{line}{_REST_OF_LINE}\n" for line in lines) + _REST


def _shown(arguments: argparse.Namespace) -> tuple[list[str], str]:
    """Request the status. Return its lines, and why no token has the selected labels.

    Raises AdminRefused, AdminUnreachable.
    """
    import json

    from sidecar.admin.client import status
    from sidecar.cli.status_table import lines
    from sidecar.cli.terminal import Terminal, harmless

    labels = {name: value for name in _LABELS if (value := getattr(arguments, name)) is not None}
    shown = status(arguments.admin, labels)
    missed = ""
    if labels and not shown["tokens"]:
        selected = " ".join(f"{name}={value}" for name, value in labels.items())
        missed = harmless(f"sidecar: {shown.get('not_found') or f'this pod has no token with {selected}'}")
    if arguments.json:
        return [json.dumps(shown, indent=None if arguments.watch else 2)], missed
    return list(lines(shown, Terminal(sys.stdout))), missed


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
