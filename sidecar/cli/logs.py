"""`sidecar logs`."""

import argparse
import sys
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, BinaryIO, get_args

from sidecar.cli.exits import EXIT_OK
from sidecar.telemetry.words import Level

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    from sidecar.cli.log_filter import LogFilter

MEANING = "print JSON log lines for people, filtered; other lines pass as they are"
EXAMPLE = "kubectl logs -f deploy/ledger -c sidecar | sidecar logs --status 4xx,5xx"

LONGEST_LINE = 65_536
"""Bytes; a longer line is printed unchanged."""
_BEGIN = b'{"ts":'


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the place of the lines, and for the filters."""
    parser.add_argument(
        "file", metavar="FILE", nargs="?", default="-", help="log file; default: standard input"
    )
    parser.add_argument("--tenant", metavar="ID", default="", help="only lines about this tenant")
    parser.add_argument("--route", metavar="NAME", default="", help="only lines about this route")
    parser.add_argument("--request-id", metavar="ID", default="", help="only lines about this request")
    parser.add_argument(
        "--status", metavar="LIST", default="", help="only these statuses, such as 404,5xx or 400-499"
    )
    parser.add_argument(
        "--event",
        metavar="EVENTS",
        default="",
        help="only these events, such as request,refused,token_fetch_failed",
    )
    parser.add_argument(
        "--level",
        type=_level,
        choices=get_args(Level),
        default="",
        help="only this level and more severe ones",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Read to the end, or to Ctrl-C."""
    from sidecar.cli.log_filter import LogFilter, statuses
    from sidecar.cli.terminal import Terminal

    try:
        wanted = LogFilter(
            tenant=arguments.tenant,
            route=arguments.route,
            request_id=arguments.request_id,
            statuses=statuses(arguments.status) if arguments.status else (),
            events=frozenset(name.strip() for name in arguments.event.split(",") if name.strip()),
            level=arguments.level,
        )
    except ValueError as error:
        arguments.usage(f"--status: {error}")
    _warn_of_unknown(wanted.events)
    with _opened(arguments) as lines, suppress(KeyboardInterrupt):
        _copy(lines, sys.stdout.buffer, wanted, colour=Terminal(sys.stdout).coloured)
    return EXIT_OK


def _level(text: str) -> str:
    folded = text.lower()
    return "warning" if folded == "warn" else folded


def _warn_of_unknown(events: "frozenset[str]") -> None:
    """Warn only: the log may be a newer sidecar's, with events that this one does not have."""
    from sidecar.cli.log_filter import event_names
    from sidecar.cli.terminal import harmless
    from sidecar.core.foreign_text import nearest

    known = event_names() if events else frozenset()
    for name in sorted(events - known):
        meant = nearest(name, known)
        proposal = f"did you mean {meant}?" if meant else "docs/reference/log-events.md lists them"
        print(harmless(f"sidecar: warning: unknown event {name!r}; {proposal}"), file=sys.stderr)


def _opened(arguments: argparse.Namespace) -> "AbstractContextManager[BinaryIO]":
    """Open the file, which may be a pipe, because the user can interrupt the wait."""
    if arguments.file == "-":
        if sys.stdin.isatty():
            print("sidecar: pipe log lines in here, or end with Ctrl-D", file=sys.stderr)
        return nullcontext(sys.stdin.buffer)
    from pathlib import Path

    try:
        return Path(arguments.file).open("rb")
    except OSError as error:
        arguments.usage(f"cannot read {arguments.file}: {error.strerror}; check the path and its permissions")
    raise AssertionError("usage exits")


def _copy(source: BinaryIO, out: BinaryIO, wanted: "LogFilter", *, colour: bool) -> None:
    """Copy line by line, each as soon as it is complete."""
    beginning = True
    while data := source.readline(LONGEST_LINE):
        whole = beginning and data.endswith(b"\n")
        beginning = data.endswith(b"\n")
        line = _read(data) if whole else None
        if line is None:
            out.write(data)
        elif wanted.fits(line):
            out.write(_written(data, line, colour=colour))
        else:
            continue
        out.flush()


def _read(data: bytes) -> "Mapping[str, object] | None":
    """Return the fields of one of our lines, also after the prefix that kubectl adds; None for others."""
    from sidecar.core.foreign_text import parse_object

    begin = data.find(_BEGIN)
    if begin < 0:
        return None
    line = parse_object(data[begin:])
    return line if line is not None and "event" in line else None


def _written(data: bytes, line: "Mapping[str, object]", *, colour: bool) -> bytes:
    from sidecar.telemetry.console import columns

    return data[: data.find(_BEGIN)] + columns(line, colour=colour).encode() + b"\n"
