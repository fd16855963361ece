"""A process with few file descriptors: what clients may use of them, and what is said."""

import asyncio
import resource
from contextlib import AsyncExitStack, suppress

import pytest

from sidecar.app import descriptors
from sidecar.app.descriptors import KEPT, TELL_EVERY, for_clients
from sidecar.http1.limits import ServerLimits
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
    """They are closed without a word; the log says why and what to do. It ends by itself."""
    child = await spawn(file, {"routes": [route(upstream)]}, shell=f"ulimit -Sn {LIMIT}; ulimit -Hn {LIMIT}")
    async with serving(child) as process:
        assert (await process.get())[0] == 200
        async with AsyncExitStack() as clients:
            for _ in range(LIMIT):
                with suppress(ConnectionError):
                    await clients.enter_async_context(await Client.connect(process.address))
            line = await process.logs("out_of_descriptors")
            assert (line["level"], line["limit"]) == ("warning", LIMIT)
            assert "max_connections" in str(line["hint"])
        assert (await _once_there_is_room(process.address)) == 200
        status, page = await process.page(b"/metrics")
        assert (status, b"\nsidecar_descriptors_exhausted_total 1.0" in page) == (200, True)
    assert len(process.events("out_of_descriptors")) == 1


@pytest.mark.parametrize(
    ("limit", "clients"),
    [
        (16, 5),
        (64, 21),
        (256, 85),
        (1024, 597),
        (4096, 2645),
        (15_128, 10_000),
        (1_048_576, 10_000),
        (resource.RLIM_INFINITY, 10_000),
    ],
)
def test_s12_some_descriptors_are_not_for_clients(limit: int, clients: int) -> None:
    """A third of what is not kept back is for connections to upstreams; with a high limit nothing changes."""
    limits = for_clients(ServerLimits(), limit)
    assert limits.max_connections == clients
    if limit != resource.RLIM_INFINITY:
        assert limit - clients >= min(KEPT, limit // 2) + clients // 2
    assert limits.keep_alive_timeout == ServerLimits().keep_alive_timeout


@pytest.mark.parametrize("limit", [2, 3, 5, 8])
def test_s12_one_client_is_always_served(limit: int) -> None:
    """However low the limit: the start fails for other reasons, and by their own names."""
    assert for_clients(ServerLimits(), limit).max_connections >= 1


async def test_while_descriptors_are_free_nothing_is_told() -> None:
    """However long it looks."""
    clock, journal = FakeClock(), RecordingJournal()
    watching = asyncio.create_task(descriptors.watch(clock, journal, lambda: 0))
    await clock.advance(3 * TELL_EVERY)
    watching.cancel()
    assert journal.named(OutOfDescriptors.name) == []


async def test_s12_clients_that_are_refused_are_told_of_once_a_minute() -> None:
    """With the limit that they have come up against."""
    clock, journal, refused = FakeClock(), RecordingJournal(), [0]
    watching = asyncio.create_task(descriptors.watch(clock, journal, lambda: refused[0]))
    told = []
    for _ in range(4):
        refused[0] += 1
        await clock.advance(TELL_EVERY / 2)
        told.append(len(journal.named(OutOfDescriptors.name)))
    await clock.advance(5 * TELL_EVERY)
    watching.cancel()
    assert told == [1, 1, 2, 2]
    assert len(journal.named(OutOfDescriptors.name)) <= 3


async def _once_there_is_room(address: str) -> int:
    """The sidecar notices that its clients have left when it next reads."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                async with await Client.connect(address) as client:
                    return (await client.ask(get())).status
            except (OSError, WireError):
                await asyncio.sleep(0.01)
