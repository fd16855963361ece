"""The command as people type it: a process of its own, beside the servers of the test."""

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests import ROOT
from tests.support.environment import bare
from tests.support.sidecar import CANARY
from tests.support.waiting import PATIENCE


class Screen:
    """The command on a terminal of its own."""

    def __init__(self, child: asyncio.subprocess.Process, descriptor: int) -> None:
        self.child = child
        self._descriptor = descriptor
        self.shown = b""
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _read(self) -> None:
        try:
            self.shown += os.read(self._descriptor, 65_536)
        except OSError:  # the other end is closed
            asyncio.get_running_loop().remove_reader(self._descriptor)

    async def shows(self, text: bytes, times: int = 1) -> None:
        """Wait until it has shown this so often."""
        async with asyncio.timeout(PATIENCE):
            while self.shown.count(text) < times:
                await asyncio.sleep(0.01)

    async def types(self, text: bytes) -> None:
        """Type, such as Ctrl-C."""
        os.write(self._descriptor, text)

    async def ends(self) -> int:
        """Wait for the end and return the exit code."""
        async with asyncio.timeout(PATIENCE):
            return await self.child.wait()


@asynccontextmanager
async def on_terminal(
    *arguments: str, columns: int = 100, rows: int = 40, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Screen]:
    """`sidecar …` on a terminal of that size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _ON_TERMINAL, *arguments),
        cwd=ROOT,
        env=bare({"TERM": "xterm", **(environ or {})}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    screen = Screen(child, ours)
    try:
        yield screen
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        assert CANARY not in screen.shown


_ON_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from sidecar.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""The terminal becomes the process's own, so that Ctrl-C typed there reaches it."""


class Done(NamedTuple):
    """Result of a command."""

    code: int
    out: str
    err: str


async def command(*arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> Done:
    """`sidecar …` with a bare environment; whatever it prints, it is no secret."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", *arguments),
        cwd=ROOT,
        env=bare(environ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate(stdin)
    assert CANARY not in out + err
    assert child.returncode is not None
    return Done(child.returncode, out.decode(), err.decode())
