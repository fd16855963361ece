"""`sidecar logs`."""

import argparse
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from sidecar.cli.exits import EXIT_OK
from sidecar.cli.log_filter import LEVELS, LogFilter, statuses

if TYPE_CHECKING:
    from collections.abc import Mapping

MEANING = "read JSON log lines from standard input and print them for people; other lines pass as they are"
EXAMPLE = "kubectl logs -f deploy/ledger -c sidecar | sidecar logs --tenant acme --status 4xx,5xx"

LONGEST_LINE = 65_536
"""Bytes; what is longer passes as it is."""
_BEGIN = b'{"ts":'


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Take what to look for."""
    parser.add_argument("--tenant", metavar="ID", default="", help="lines that tell of this tenant")
    parser.add_argument("--route", metavar="NAME", default="", help="lines that tell of this route")
    parser.add_argument("--request-id", metavar="ID", default="", help="lines that tell of this request")
    parser.add_argument(
        "--status", metavar="LIST", default="", help="answers with such as 404, 5xx or 400-499"
    )
    parser.add_argument(
        "--event", metavar="LIST", default="", help="such as request, refused or token_fetch_failed"
    )
    parser.add_argument("--level", choices=LEVELS, default="", help="this level or a worse one")


def execute(arguments: argparse.Namespace) -> int:
    """Read to the end, or to Ctrl-C."""
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
    if sys.stdin.isatty():
        print("sidecar: pipe log lines in here, or end with Ctrl-D", file=sys.stderr)
    with suppress(KeyboardInterrupt):
        _copy(sys.stdin.buffer, sys.stdout.buffer, wanted, colour=Terminal(sys.stdout).coloured)
    return EXIT_OK


def _copy(source: BinaryIO, out: BinaryIO, wanted: LogFilter, *, colour: bool) -> None:
    """Copy line by line, each as soon as it is there."""
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
    """Return the fields of one of our lines, also behind the prefix that kubectl puts before it; None for others."""
    from sidecar.core.foreign_text import parse_object

    begin = data.find(_BEGIN)
    if begin < 0:
        return None
    line = parse_object(data[begin:])
    return line if line is not None and "event" in line else None


def _written(data: bytes, line: "Mapping[str, object]", *, colour: bool) -> bytes:
    from sidecar.telemetry.console import columns

    return data[: data.find(_BEGIN)] + columns(line, colour=colour).encode() + b"\n"
