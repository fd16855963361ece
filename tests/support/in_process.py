"""The command as a function: as people type it, in the process of the test, which a start of Python would dwarf."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO, TextIOWrapper
from tempfile import TemporaryFile
from typing import NamedTuple

from sidecar.cli import dumps
from sidecar.cli.main import main


class Done(NamedTuple):
    """Result of a command."""

    code: int
    out: str
    err: str


def typed(*arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> Done:
    """Run `sidecar …` with a bare environment; whatever it prints, it is no secret.

    Bytes that are no UTF-8 are surrogates there.
    """
    with _environment(environ or {}), _standard_streams(stdin) as (out, err):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        done = Done(code, _written(out), _written(err))
    assert "canary" not in done.out + done.err
    return done


async def typed_aside(*arguments: str, environ: Mapping[str, str] | None = None) -> Done:
    """Do so in a thread, for a command with an event loop of its own, which servers of the test may answer meanwhile.

    They share its standard output and its environment, so they may neither print nor look there until it ends. Not for
    `sidecar check`, which at its time limit ends the process and whatever hangs in it.
    """
    return await asyncio.to_thread(typed, *arguments, environ=environ)


def _written(stream: TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, BytesIO)
    return stream.buffer.getvalue().decode(errors="surrogateescape")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    ours = dict(os.environ)
    os.environ.clear()
    os.environ.update({dumps.ALLOW: "true", **variables})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(ours)


@contextmanager
def _standard_streams(stdin: bytes) -> Iterator[tuple[TextIOWrapper, TextIOWrapper]]:
    """Replace all three; standard input also as descriptor 0."""
    ours = sys.stdin, sys.stdout, sys.stderr
    out, err = (TextIOWrapper(BytesIO(), "utf-8") for _ in range(2))
    descriptor = os.dup(0)
    with TemporaryFile() as file:
        file.write(stdin)
        file.seek(0)
        os.dup2(file.fileno(), 0)
        try:
            with open(0, closefd=False) as sys.stdin:
                sys.stdout, sys.stderr = out, err
                yield out, err
        finally:
            sys.stdin, sys.stdout, sys.stderr = ours
            os.dup2(descriptor, 0)
            os.close(descriptor)
