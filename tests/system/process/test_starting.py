"""Signals and limits that meet a sidecar while it starts."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.environment import bare
from tests.support.processes import Child, File, Process, route, spawn, watching
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, until

STAGES = ["_socket", "uvloop", "msgspec"]
"""Libraries that a sidecar loads one after the other before it reads its configuration, or while it does."""


async def reached(child: Child, library: str) -> None:
    """Wait until the process has loaded the library."""
    maps = Path(f"/proc/{child.pid}/maps")
    await until(lambda: library in maps.read_text() or child.returncode is not None)


@pytest.mark.unmeasured  # coverage loads some of them before the sidecar begins
@pytest.mark.parametrize("stage", STAGES)
async def test_s17_sighup_while_it_starts_does_not_end_it(file: File, upstream: Upstream, stage: str) -> None:
    """However many there are; it serves, and ends as ever."""
    async with watching(await spawn(file, {"routes": [route(upstream)]})) as child:
        await reached(child, stage)
        for _ in range(3):
            child.send_signal(signal.SIGHUP)
        process = Process(child)
        await process.started()
        assert await process.get() == (200, b"ok")
        process.signal(signal.SIGTERM)
        assert await process.ends() == (0, "stopped")


async def test_s17_sighup_before_it_has_started_is_followed_by_a_reload(
    file: File, upstream: Upstream
) -> None:
    """What was read may be out of date."""
    async with watching(await spawn(file, {"routes": [route(upstream)]})) as child:
        await reached(child, "msgspec")
        child.send_signal(signal.SIGHUP)
        process = Process(child)
        assert (await process.logs("reloaded"))["routes"] == 1
        process.signal(signal.SIGTERM)
        assert await process.ends() == (0, "stopped")


@pytest.mark.unmeasured  # coverage loads some of them before the sidecar begins
@pytest.mark.parametrize("stage", STAGES)
async def test_s17_sigterm_while_it_starts_ends_it_cleanly(
    file: File, upstream: Upstream, stage: str
) -> None:
    """With exit code 0 and nothing on standard error."""
    routes = [route(upstream, f"r{n}", match={"prefix": f"/{n}"}) for n in range(500)]
    async with watching(await spawn(file, {"routes": routes})) as child:
        await reached(child, stage)
        child.send_signal(signal.SIGTERM)
        process = Process(child)
        code, last = await process.ends()
        assert (code, bytes(process.stderr)) == (0, b"")
        assert last in ("", "stopped")


async def test_s17_signals_are_taken_before_the_command_is_loaded(file: File, upstream: Upstream) -> None:
    """Of its libraries the process has none when it takes them."""
    code = (
        "import signal, sys; sys.argv = ['sidecar', 'run']; taken = []\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith('sidecar.cli'):\n"
        "            print(signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGTERM)); sys.stdout.flush()\n"
        "            raise SystemExit(3)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "from sidecar.__main__ import main; main()"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, cwd=ROOT, env=bare(), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert child.returncode == 3
    assert b"SIG_DFL" not in out


@pytest.mark.parametrize("limit", [10, 12, 16, 20, 24, 32, 48, 63])
async def test_s17_a_low_limit_of_open_files_is_named(file: File, upstream: Upstream, limit: int) -> None:
    """Exit code 69: it is no bug, and no address is taken."""
    child = await spawn(file, {"routes": [route(upstream)]}, shell=f"ulimit -n {limit}")
    async with watching(child), asyncio.timeout(PATIENCE):
        stdout, stderr = await child.communicate()
    assert (child.returncode, stdout) == (69, b"")
    assert f"limit of open files is {limit}; raise it" in stderr.decode()
    assert "bug" not in stderr.decode()


async def test_s17_the_least_limit_of_open_files_will_do(file: File, upstream: Upstream) -> None:
    """It serves, and answers on its admin port."""
    async with watching(await spawn(file, {"routes": [route(upstream)]}, shell="ulimit -n 64")) as child:
        process = Process(child)
        await process.started()
        assert await process.get() == (200, b"ok")
        assert (await process.readiness())[0] == 200
        process.signal(signal.SIGTERM)
        assert await process.ends() == (0, "stopped")
