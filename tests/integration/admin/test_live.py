"""Live events over real sockets: bounded in number and in what waits for a slow browser."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from sidecar.admin import server as admin
from sidecar.admin.events_stream import MAX_SUBSCRIBERS
from sidecar.app.listen import bind
from sidecar.core.labels import Labels
from sidecar.core.secret import Secret
from tests.support.admin_server import Rig, State, running
from tests.support.journal import RecordingJournal
from tests.support.waiting import PATIENCE, awake, until

REQUEST = b"GET /events%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Counting(State):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.broken = False

    def status(self, chosen: Labels) -> dict[str, object]:
        if self.broken:
            raise RuntimeError("canary")
        self.asked += 1
        return {**super().status(chosen), "asked": self.asked, "chosen": sorted(chosen)}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """An admin server whose events come quickly."""
    async with running(Counting(), lifetime=0.5, every=0.05) as rig:
        yield rig


class Subscriber:
    """A reader of live events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def event(self) -> dict[str, object]:
        """The next event."""
        async with asyncio.timeout(PATIENCE):
            while not (line := await self.reader.readline()).startswith(b"data: "):
                assert line, "the stream has ended"
        found: dict[str, object] = json.loads(line.removeprefix(b"data: "))
        return found

    async def head(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readuntil(b"\r\n\r\n")


@asynccontextmanager
async def subscribed(rig: Rig, query: bytes = b"") -> AsyncIterator[Subscriber]:
    host, port = rig.server.address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 20)
    writer.write(REQUEST % query)
    try:
        yield Subscriber(reader, writer)
    finally:
        writer.close()


async def test_what_status_shows_comes_again_and_again(rig: Rig) -> None:
    """As an event stream that must not be cached, for longer than other connections may last."""
    async with subscribed(rig, b"?tenant=acme&other=1") as subscriber:
        head = await subscriber.head()
        assert head.startswith(b"HTTP/1.1 200 ")
        for field in (b"Content-Type: text/event-stream", b"Cache-Control: no-store", b"Server: sidecar"):
            assert field in head
        events = [await subscriber.event() for _ in range(14)]
    assert [event["version"] for event in events] == ["1.2.3"] * 14
    assert events[0]["chosen"] == [["tenant", "acme"]]


async def test_a_stray_secret_shows_its_fingerprint_only(rig: Rig) -> None:
    """As on /status."""
    rig.state.shown = {"tokens": [Secret("canary", "abcdef012345")]}
    async with subscribed(rig) as subscriber:
        assert (await subscriber.event())["tokens"] == ["<secret abcdef012345>"]


async def test_nothing_is_made_when_nobody_looks_and_those_who_do_share_it(rig: Rig) -> None:
    """Two readers of the same cost one snapshot each time."""
    state = rig.state
    assert isinstance(state, Counting)
    async with subscribed(rig) as one, subscribed(rig) as other:
        seen = [((await one.event())["asked"], (await other.event())["asked"]) for _ in range(5)]
    assert any(first == second for first, second in seen)
    async with asyncio.timeout(PATIENCE):
        while rig.server._live._subscribers:
            await asyncio.sleep(0.01)
    asked = state.asked
    for _ in range(50):
        assert (await rig.ask("GET", "/healthz"))[0] == 200
    assert state.asked == asked


async def test_one_subscriber_too_many_is_told_when_to_come_back(rig: Rig) -> None:
    """503; a place is free again when one has gone."""
    async with subscribed(rig) as first:
        await first.event()
        others = [subscribed(rig) for _ in range(MAX_SUBSCRIBERS - 1)]
        for other in others:
            await (await other.__aenter__()).event()
        async with subscribed(rig) as refused:
            head = await refused.head()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in head
        for other in others:
            await other.__aexit__(None, None, None)
    async with asyncio.timeout(PATIENCE):
        while rig.server._live._subscribers:
            await asyncio.sleep(0.01)
    async with subscribed(rig) as again:
        assert (await again.event())["version"] == "1.2.3"


async def test_s16_a_page_that_closes_gives_its_place_back_at_once() -> None:
    """Not only when it has read nothing for `patience`: what was sent to it meanwhile is never acknowledged."""
    state = Counting()
    server = await admin.start(
        state, "127.0.0.1:0", RecordingJournal(), bind, every=0.01, patience=10 * PATIENCE
    )
    rig = Rig(state, RecordingJournal(), server)
    async with subscribed(rig) as page:
        await page.event()
    await until(lambda: not server._live._subscribers)
    await server.close()


async def test_a_browser_that_does_not_read_is_cut_off_and_costs_nothing_meanwhile() -> None:
    """At most one snapshot waits for it; the others go on."""
    state = Counting()
    state.shown = {"version": "x" * 500_000}
    server = await admin.start(state, "127.0.0.1:0", RecordingJournal(), bind, every=0.01, patience=0.3)
    rig = Rig(state, RecordingJournal(), server)
    async with subscribed(rig) as slow:
        await slow.head()
        async with asyncio.timeout(PATIENCE):
            while not server._live._subscribers:
                await asyncio.sleep(0.01)
            while server._live._subscribers:
                assert (await rig.ask("GET", "/healthz"))[0] == 200
    assert state.asked < 100
    await server.close()


async def test_a_bug_ends_the_stream_and_is_told(rig: Rig) -> None:
    """The server lives on."""
    state = rig.state
    assert isinstance(state, Counting)
    async with subscribed(rig) as subscriber:
        await subscriber.event()
        state.broken = True
        async with asyncio.timeout(PATIENCE):
            with suppress(ConnectionResetError):
                await subscriber.reader.read()
    (event,) = rig.journal.named("failed")
    assert "RuntimeError" in str(event)
    assert "canary" not in str(event)
    assert (await rig.ask("GET", "/healthz"))[0] == 200


async def test_closing_lets_subscribers_go_at_once() -> None:
    """A page left open does not hold up the end of the pod."""
    server = await admin.start(State(), "127.0.0.1:0", RecordingJournal(), bind)
    rig = Rig(State(), RecordingJournal(), server)
    async with subscribed(rig) as subscriber:
        await subscriber.event()
        limit = asyncio.create_task(awake(0.9))  # under the second that answers have to finish
        await server.close()
        assert not limit.done()
        limit.cancel()
        assert (await subscriber.reader.read()).strip() in (b"", b"0")
