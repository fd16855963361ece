"""Connections that part from an upstream which never lets them go. Over real sockets and TLS."""

import asyncio
import select
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from sidecar.core.origin import Origin
from sidecar.core.tls import Tls
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.pool import Pool
from sidecar.http1.upstream import UpstreamConnection
from tests.support.clock import FakeClock
from tests.support.waiting import PATIENCE, until

LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


class Deaf:
    """Answers one request a connection, then neither reads nor closes it: no end of TLS is ever answered."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def held(self) -> list[bool]:
        """Of each connection, in their order, whether the other end is still there."""
        poll = select.poll()
        for connection in self._connections:
            poll.register(connection, select.POLLHUP | select.POLLERR)
        gone = {descriptor for descriptor, _ in poll.poll(0)}
        return [connection.fileno() not in gone for connection in self._connections]

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self._listener.accept()
                accepted.settimeout(PATIENCE)
                connection = self._context.wrap_socket(accepted, server_side=True)
                self._connections.append(connection)
                connection.recv(65536)
                connection.sendall(LAST)

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for end in (self._listener, *self._connections):
            end.close()


@pytest.fixture
async def deaf(tmp_path: Path) -> AsyncIterator[Deaf]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = Deaf(context)
    yield server
    server.stop()


@pytest.fixture
def pool(deaf: Deaf, tmp_path: Path) -> Pool:
    """One connection at most, and a clock that stands still: no connection is cut off by time."""
    tls = Tls(ca_file=str(tmp_path / "ca.pem"))
    origin = Origin("https", "127.0.0.1", deaf.port, tls=tls, max_connections=1, connect_timeout=PATIENCE)
    return Pool(origin, Deadlines(FakeClock()))


async def used(connection: UpstreamConnection) -> UpstreamConnection:
    """It has carried its last exchange."""
    await connection.send(b"GET / HTTP/1.1\r\nHost: u\r\n\r\n", b"GET", 0, lambda _: None)
    assert connection.whole_body() == b"ok"
    return connection


async def part(pool: Pool) -> UpstreamConnection:
    connection = await used(await pool.connect())
    pool.give_back(connection)
    return connection


async def test_who_parts_keeps_nobody_out(pool: Pool) -> None:
    """Its place is free while it waits for the end of TLS, also for requests in line."""
    async with asyncio.timeout(PATIENCE):
        connection = await pool.connect()
        waiting = asyncio.create_task(pool.connect())
        pool.give_back(await used(connection))
        other = await waiting
    assert not connection.closed
    other.abort()
    connection.abort()


async def test_only_so_many_part_at_a_time(pool: Pool, deaf: Deaf) -> None:
    """As many as may be open; the one that has had the longest time makes way, and what is gone is forgotten."""
    async with asyncio.timeout(PATIENCE):
        parting = [await part(pool) for _ in range(3)]
        await until(lambda: deaf.held == [False, False, True])
        parting[2].abort()
        await until(lambda: deaf.held == [False, False, False])
        last = await part(pool)
    assert deaf.held == [False, False, False, True]
    last.abort()
