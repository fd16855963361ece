"""`sidecar logs` as a process: pipes, terminals and signals."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.sinks.log_lines import JsonLines
from tests import ROOT
from tests.support.commands import command, on_terminal
from tests.support.environment import bare
from tests.support.processes import File, route, run
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE

AT = 1_800_000_000.25


def line(path: str, status: int = 200) -> bytes:
    """A line of the log."""
    record = RequestRecord(AT, "GET", path, "a-1", "")
    record.finished = AT + 0.0125
    record.status = status
    return JsonLines().request(record, AT)


@asynccontextmanager
async def reading() -> AsyncIterator[asyncio.subprocess.Process]:
    """`sidecar logs` that waits for lines."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "logs"),
        cwd=ROOT,
        env=bare(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.communicate()


async def test_logs_shows_each_line_as_it_comes_until_ctrl_c() -> None:
    """As behind `kubectl logs -f`: nothing waits for the next line, and the end is clean."""
    async with reading() as child, asyncio.timeout(PATIENCE):
        assert child.stdin is not None
        assert child.stdout is not None
        for path in ("/one", "/two"):
            child.stdin.write(line(path))
            assert path.encode() in await child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert await child.communicate() == (b"", b"")
        assert child.returncode == 0


async def test_logs_ends_quietly_when_its_reader_leaves() -> None:
    """As with `| head -1`."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "logs"),
        cwd=ROOT,
        env=bare(),
        stdin=asyncio.subprocess.PIPE,
        stdout=write_end,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write_end)
    _, err = await child.communicate(line("/one") * 1000)
    assert (child.returncode, err) == (0, b"")


async def test_logs_colours_what_is_shown_on_a_terminal() -> None:
    """Warnings stand out; with NO_COLOR nothing does."""
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        async with on_terminal("logs", environ=environ) as screen:
            await screen.shows(b"pipe log lines in here")
            await screen.types(line("/one", 503))
            await screen.shows(b"/one", 2)  # the terminal's own echo first
            await screen.types(b"\x04")
            assert await screen.ends() == 0
        assert (b"\x1b[33m" in screen.shown) is coloured


async def test_logs_of_a_running_sidecar(file: File, upstream: Upstream) -> None:
    """The one line of the one request."""
    async with run(file, route(upstream)) as process:
        await process.get(b"/hello")
        await process.logs("request")
        done = await command("logs", "--event", "request", stdin=bytes(process.stdout))
    [shown] = done.out.splitlines()
    assert shown.split()[1:5] == ["info", "request", "200", "GET"]
    assert " /hello " in shown
