"""Upstreams that acknowledge nothing any more: the kernel ends their connections, by its own clock."""

import asyncio
import socket
import sys
from typing import cast

import pytest

from sidecar.app.upstreams import table
from sidecar.config.settings import Config
from sidecar.core.origin import Origin
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.pool import Pool as PoolOfHttp1
from sidecar.http2.outgoing import Outbox
from sidecar.http2.pool import Pool
from sidecar.proxy.routes import Route
from tests.integration.http2.conftest import connect, route
from tests.support.clock import FakeClock
from tests.support.http2_peer import INITIAL_WINDOW_SIZE, PREFACE, WINDOW_UPDATE, frame, settings
from tests.support.sidecar import Start
from tests.support.upstream import Server

MOST = 2**31 - 1
MORE_THAN_THE_KERNELS_HOLD = 32 * 1024 * 1024


class Stopped(Server):
    """Allows the largest windows, and reads nothing after the preface."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(PREFACE))
        cast(asyncio.Transport, writer.transport).pause_reading()
        more = MOST - 65_535
        writer.write(
            settings((INITIAL_WINDOW_SIZE, MOST)) + frame(WINDOW_UPDATE, 0, 0, more.to_bytes(4, "big"))
        )
        await self.over.wait()


async def test_i21_the_connection_to_an_upstream_that_takes_nothing_ends(sidecar: Start) -> None:
    """Within the idle time-out, although the client sends on. The kernel measures it, so the test waits for it."""
    async with (
        Stopped() as server,
        sidecar(route(server, timeouts={"idle": "300ms"})) as running,
        await connect(running) as client,
    ):
        stream = client.begin_request(b"POST", end=False)
        uploading = asyncio.ensure_future(client.send(stream, bytes(MORE_THAN_THE_KERNELS_HOLD), end=True))
        answer = await client.answer(stream)
        await uploading
        assert answer.status == 502
        server.over.set()


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_USER_TIMEOUT is Linux's")
@pytest.mark.parametrize(
    ("http2", "idle", "milliseconds"),
    [
        (True, [60.0], 60_000),
        (True, [0.25], 250),
        (True, [5.0, 90.0, 10.0], 90_000),
        (True, [60.0, 0.0], 0),
        (True, [0.0], 0),
        (True, [1e9], MOST),
        (False, [60.0], 0),
    ],
)
async def test_i21_the_kernels_limit_follows_the_routes(
    idle: list[float], milliseconds: int, *, http2: bool
) -> None:
    """The longest idle time-out of an origin's routes; none if one is unlimited, and over HTTP/1.1."""
    deadlines = Deadlines(FakeClock())
    async with Stopped() as server:
        origin = Origin("http", "127.0.0.1", server.port, http2=http2)
        made = Pool(origin, deadlines, Outbox()) if http2 else PoolOfHttp1(origin, deadlines)
        routes = [Route(f"r{number}", origin, idle_timeout=each) for number, each in enumerate(idle)]
        table(Config(routes=tuple(routes)), "127.0.0.1:0", {origin: made})
        connection = await made.connect()
        sock = connection.transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == milliseconds
        connection.transport.abort()
        server.over.set()
