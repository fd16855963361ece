"""Reloads of a running sidecar: whatever becomes of its file, requests go on, and so does the watch."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
import yaml

from sidecar.app.reload import watch
from tests import ROOT
from tests.support.heavy_files import HEAVY
from tests.support.journal import RecordingJournal
from tests.support.odd_files import NEVER_ENDING, ODD
from tests.support.processes import PIPE, File, Load, Process, route, run, serving
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE

ROUTES = 1000
LONGEST_STALL = 20.0
"""Milliseconds of CPU time, as are all here."""
MIB = 1 << 20


@pytest.mark.parametrize("kind", NEVER_ENDING)
async def test_s1_whatever_takes_the_place_of_the_file_the_sidecar_goes_on(
    file: File, upstream: Upstream, tmp_path: Path, kind: str
) -> None:
    """It says what is wrong, once, serves on in as much memory, notices the next good file, and can be stopped."""
    make, reason = ODD[kind]
    odd = tmp_path / "odd"
    make(odd)
    async with run(file, route(upstream)) as process:
        good = file.path.read_bytes()
        before = process.resident
        process.forget_most_resident()
        file.path.unlink()
        file.path.symlink_to(odd)
        assert reason in str((await process.logs("reload_failed"))["error"])
        assert await process.get() == (200, b"ok")
        assert process.most_resident - before < 16 * MIB
        file.path.unlink()
        file.put(good + b"\nlog: {level: debug}\n")
        await process.logs("reloaded")
        file.path.unlink()
        file.path.symlink_to(odd)
        await process.logs("reload_failed")
        process.signal(signal.SIGTERM)
        assert await process.ends() == (0, "stopped")
    assert len(process.events("reload_failed")) == 2


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError(), ValueError("canary"), OSError(24, "canary")]
)
async def test_s1_the_watch_outlives_every_error(tmp_path: Path, error: Exception) -> None:
    """It reports it, without its text, and the next change is detected."""
    journal, asked, tried = RecordingJournal(), asyncio.Event(), asyncio.Event()
    path = tmp_path / "file"

    async def reload() -> None:
        tried.set()
        raise error

    watching = asyncio.create_task(watch(lambda: (path,), asked, "", reload, journal))
    async with asyncio.timeout(PATIENCE):
        for _ in range(3):
            asked.set()
            await tried.wait()
            tried.clear()
            while asked.is_set():
                await asyncio.sleep(0)
        path.write_text("changed")
        await tried.wait()
    assert not watching.done()
    watching.cancel()
    told = [str(event) for event in journal.events]
    assert type(error).__name__ in told[0]
    assert not any("canary" in text for text in told)


async def test_s1_a_source_that_cannot_even_be_named_is_told(tmp_path: Path) -> None:
    """As where the working directory is gone: the watch goes on."""
    journal, asked = RecordingJournal(), asyncio.Event()
    named = False

    def sources() -> tuple[Path, ...]:
        nonlocal named
        if not named:
            named = True
            raise RuntimeError
        return (tmp_path / "file",)

    reloaded = asyncio.Event()

    async def reload() -> None:
        reloaded.set()

    watching = asyncio.create_task(watch(sources, asked, "", reload, journal))
    asked.set()
    async with asyncio.timeout(PATIENCE):
        await reloaded.wait()  # at the next look: there was nothing to compare with
    watching.cancel()
    assert len(journal.events) == 1


# What a reload costs the requests beside it


async def beating(file: File, document: dict[str, object]) -> asyncio.subprocess.Process:
    file.put(yaml.dump(document, Dumper=yaml.CSafeDumper).encode())
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.beating", str(file.path)),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "CLIENT_SECRET": "x"},
        stdout=PIPE,
        stderr=PIPE,
    )


def thousand(upstream: Upstream, turn: int) -> dict[str, object]:
    """A route for the load, and a thousand others with a token and pool each; all of them new in each turn."""
    numbers = range(ROUTES)
    tokens = {
        f"t{n}": {"token_endpoint": "http://127.0.0.1:1", "credentials": "c", "scope": [f"s{turn}"]}
        for n in numbers
    }
    others = [
        {
            "name": f"r{n}",
            "match": {"prefix": f"/{turn}/{n}"},
            "upstream": f"http://127.0.0.1:{1 + turn * ROUTES + n}",
            "token": f"t{n}",
        }
        for n in numbers
    ]
    return {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "credentials": {"c": {"client_id": "c", "client_secret": {"env": "CLIENT_SECRET"}}},
        "tokens": tokens,
        "routes": [route(upstream), *others],
    }


async def longest_stall(process: Process) -> float:
    process.signal(signal.SIGUSR2)
    return float(str((await process.logs("longest_stall"))["milliseconds"]))


async def test_s2_a_reload_of_a_thousand_routes_stalls_no_request(file: File, upstream: Upstream) -> None:
    """Under load. Of three reloads the best one counts: what always takes long, takes long in each."""
    stalls: list[float] = []
    async with (
        serving(await beating(file, thousand(upstream, 0))) as process,
        Load(process.address, rate=200, connections=4) as load,
    ):
        await load.reach(100)
        for turn in (1, 2, 3):
            file.put(yaml.dump(thousand(upstream, turn), Dumper=yaml.CSafeDumper).encode())
            await longest_stall(process)
            process.signal(signal.SIGHUP)
            assert (await process.logs("reloaded"))["routes"] == ROUTES + 1
            stalls.append(await longest_stall(process))
            await load.reach(20)
            if stalls[-1] <= LONGEST_STALL:
                break
    assert set(load.answers) == {"200"}
    assert min(stalls) <= LONGEST_STALL, stalls


COSTLY = {
    "aliases of lists": "reload_failed",
    "flow lists, nested": "reload_failed",
    "different keys": "reload_failed",
    "one-character keys": "reload_failed",
    "anchors": "reload_failed",
    "escapes": "reload_failed",
    "routes": "reloaded",
    "hosts": "reloaded",
}


@pytest.mark.parametrize("name", COSTLY)
async def test_s2_a_file_that_is_costly_to_read_stalls_no_request(
    file: File, upstream: Upstream, name: str
) -> None:
    """It is loaded, or refused, beside them. Of three times the best one counts."""
    listens = "listen: 127.0.0.1:0\nadmin: {listen: '127.0.0.1:0'}\n"
    content = (listens if COSTLY[name] == "reloaded" else "") + HEAVY[name]
    stalls: list[float] = []
    async with serving(
        await beating(file, {**thousand(upstream, 0), "routes": [route(upstream)]})
    ) as process:
        for _ in range(3):
            await longest_stall(process)
            file.put(content.encode())
            process.signal(signal.SIGHUP)
            await process.logs(COSTLY[name])
            stalls.append(await longest_stall(process))
            if stalls[-1] <= LONGEST_STALL:
                break
        assert (await process.get())[0] in (200, 404)
    assert min(stalls) <= LONGEST_STALL, stalls
