"""Live pages whose readers do not read: they lose their places, and the other readers keep theirs."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sidecar.admin import server as admin
from sidecar.admin.events_stream import MAX_SUBSCRIBERS, Progress
from sidecar.app.listen import bind
from tests.support.admin_server import State
from tests.support.journal import RecordingJournal
from tests.support.waiting import until

REQUEST = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"
SIZE = 20_000
"""Bytes of an event: a reader's buffer holds less, the server's and the kernel's hold many."""


@pytest.mark.parametrize(
    ("steps", "standstill"),
    [
        ([(0, 0), (0, 50)], 0),
        ([(0, 0), (100, 1), (100, 5), (100, 11)], 11),
        ([(0, 0), (100, 1), (99, 5), (99, 11)], 6),
        ([(0, 0), (100, 1), (0, 9), (100, 10), (100, 12)], 3),
        ([(0, 0), (100, 1), (50, 9), (1, 18), (1, 19)], 1),
        ([(100, 3), (300, 5)], 5),
    ],
)
def test_s16_taking_a_byte_is_progress(steps: list[tuple[int, float]], standstill: float) -> None:
    """As is having taken all; that more waits is none."""
    progress = Progress(0.0)
    assert [progress.standstill(untaken, now) for untaken, now in steps][-1] == standstill


@asynccontextmanager
async def serving(listen: str) -> AsyncIterator[admin.AdminServer]:
    state = State()
    state.shown = {"version": "x" * SIZE}
    server = await admin.start(state, listen, RecordingJournal(), bind, every=0.5, patience=1.0)
    yield server
    await server.close()


def connected(address: str, receive_buffer: int = 0) -> socket.socket:
    """A client that requests live events."""
    if address.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        client.connect(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.connect((host, int(port)))
    client.send(REQUEST)
    client.settimeout(0)
    return client


async def status_of_another(address: str) -> bytes:
    """The status that one more is answered with."""
    loop = asyncio.get_running_loop()
    with connected(address) as client:
        return (await loop.sock_recv(client, 100))[:12]


@pytest.mark.parametrize("way", ["tcp", "unix"])
async def test_s16_readers_that_never_read_lose_their_places(way: str, tmp_path: Path) -> None:
    """Though nothing the server writes has to wait: what they leave fits in the kernel's buffers."""
    async with serving("127.0.0.1:0" if way == "tcp" else f"unix:{tmp_path / 'admin'}") as server:
        with ExitStack() as readers:
            for _ in range(MAX_SUBSCRIBERS):
                readers.enter_context(connected(server.address, receive_buffer=2048))
            await until(lambda: server._live._subscribers == MAX_SUBSCRIBERS)
            assert await status_of_another(server.address) == b"HTTP/1.1 503"
            await until(lambda: server._live._subscribers == 0)
            assert await status_of_another(server.address) == b"HTTP/1.1 200"


async def test_s16_a_reader_that_reads_keeps_its_place() -> None:
    """For longer than patience lasts, while the others lose theirs."""
    async with serving("127.0.0.1:0") as server:
        loop = asyncio.get_running_loop()
        with connected(server.address) as reading, connected(server.address, receive_buffer=2048):
            await until(lambda: server._live._subscribers == 2)
            taken = 0
            while taken < 10 * SIZE:
                chunk = await loop.sock_recv(reading, 65536)
                assert chunk
                taken += len(chunk)
            assert server._live._subscribers == 1
