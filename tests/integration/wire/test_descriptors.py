"""A process that has no file descriptor left."""

import asyncio
from contextlib import AsyncExitStack

from sidecar.app.listen import TELL_EVERY, watch_descriptors
from sidecar.telemetry.events import OutOfDescriptors
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.processes import File, get, route, serving, spawn
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE
from tests.support.wire_client import Client, WireError

LIMIT = 64


async def test_clients_turned_away_for_want_of_descriptors_are_told_of(
    file: File, upstream: Upstream
) -> None:
    """The event loop closes them without a word; the log says why and what to do. It ends by itself."""
    child = await spawn(file, {"routes": [route(upstream)]}, shell=f"ulimit -Sn {LIMIT}; ulimit -Hn {LIMIT}")
    async with serving(child) as process:
        assert (await process.get())[0] == 200
        async with AsyncExitStack() as clients:
            for _ in range(LIMIT):
                await clients.enter_async_context(await Client.connect(process.address))
            line = await process.logs("out_of_descriptors")
            assert (line["level"], line["limit"]) == ("warning", LIMIT)
            assert "max_connections" in str(line["hint"])
        assert (await _once_there_is_room(process.address)) == 200
        status, page = await process.page(b"/metrics")
        assert (status, b"\nsidecar_descriptors_exhausted_total 1.0" in page) == (200, True)
    assert len(process.events("out_of_descriptors")) == 1


async def test_while_descriptors_are_free_nothing_is_told() -> None:
    """However long it looks."""
    clock, journal = FakeClock(), RecordingJournal()
    watching = asyncio.create_task(watch_descriptors(clock, journal))
    await clock.advance(3 * TELL_EVERY)
    watching.cancel()
    assert journal.named(OutOfDescriptors.name) == []


async def _once_there_is_room(address: str) -> int:
    """The sidecar notices that its clients have left when it next reads."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                async with await Client.connect(address) as client:
                    return (await client.ask(get())).status
            except (OSError, WireError):
                await asyncio.sleep(0.01)
