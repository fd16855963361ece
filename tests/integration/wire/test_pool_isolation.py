"""Connections that only one owner uses, and the checks before a connection is used again. Over real sockets."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import trustme

from sidecar.core.origin import Origin
from sidecar.core.tls import Tls
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.pool import Pool
from sidecar.http1.upstream import UpstreamConnection
from tests.support.clock import FakeClock, settle
from tests.support.upstream import OK, Upstream
from tests.support.waiting import PATIENCE, block_until
from tests.support.wire_client import LIMIT

Make = Callable[[int], Pool]


@pytest.fixture
def make(upstream: Upstream) -> Make:
    def pool(limit: int) -> Pool:
        origin = Origin("http", "127.0.0.1", upstream.port, max_connections=limit, connect_timeout=PATIENCE)
        return Pool(origin, Deadlines(FakeClock()))

    return pool


async def used(pool: Pool, owner: str = "") -> UpstreamConnection:
    """A connection that has carried an exchange of this owner."""
    async with asyncio.timeout(PATIENCE):
        connection = pool.take(owner) or await pool.connect(owner)
        await connection.send(b"GET / HTTP/1.1\r\nHost: u\r\n\r\n", b"GET", 0, lambda _: None)
    assert connection.whole_body() == b"ok"
    return connection


async def rounds(pool: Pool, owners: str) -> list[UpstreamConnection]:
    """One exchange after the other, each of its owner; the connections that they used."""
    connections = []
    for owner in owners:
        connections.append(await used(pool, owner))
        pool.give_back(connections[-1])
    return connections


@pytest.mark.parametrize(
    ("limit", "owners", "connections"),
    [
        (8, "aaaa", [0, 0, 0, 0]),
        (8, "abab", [0, 1, 0, 1]),
        (8, "abcabc", [0, 1, 2, 0, 1, 2]),
        (8, "aabba", [0, 0, 1, 1, 0]),
        (1, "aba", [0, 1, 2]),
        (1, "aabb", [0, 0, 1, 1]),
        (2, "abca", [0, 1, 2, 3]),
        (2, "abacb", [0, 1, 0, 2, 3]),
        (2, "abaca", [0, 1, 0, 2, 0]),
        (3, "abcdbcd", [0, 1, 2, 3, 1, 2, 3]),
    ],
)
async def test_s6_a_connection_is_used_again_by_its_owner_alone(
    make: Make, upstream: Upstream, limit: int, owners: str, connections: list[int]
) -> None:
    """Within the limit; beyond it the connection that has been idle longest makes way, whose ever it is."""
    pool = make(limit)
    seen = await rounds(pool, owners)
    order = list(dict.fromkeys(seen))
    assert [order.index(connection) for connection in seen] == connections
    assert len(pool._open) <= limit
    readings = pool.readings()
    assert (readings.active, readings.idle, readings.waiting) == (0, min(limit, len(set(owners))), 0)
    pool.close()


async def test_s6_those_that_are_shared_are_not_anybodys_own(make: Make) -> None:
    """A route without isolation beside one with it, to the same upstream."""
    pool = make(8)
    shared = await used(pool)
    pool.give_back(shared)
    own = await used(pool, "tenant a")
    pool.give_back(own)
    assert own is not shared
    assert await used(pool) is shared
    assert await used(pool, "tenant a") is own


async def test_s6_owners_wait_in_one_line(make: Make) -> None:
    """First come, first served: an owner with busy connections goes no sooner than one without."""
    pool, served = make(4), list[str]()

    async def ask(owner: str) -> None:
        connection = await used(pool, owner)
        served.append(owner)
        pool.give_back(connection)

    busy = [await used(pool, "a") for _ in range(4)]
    waiting = []
    for owner in "baab":
        waiting.append(asyncio.create_task(ask(owner)))
        await settle()
    pool.give_back(busy.pop())
    await asyncio.gather(*waiting)
    assert served == ["b", "a", "a", "b"]
    for connection in busy:
        pool.give_back(connection)
    pool.close()


async def test_s6_no_owner_is_remembered_without_a_connection(make: Make) -> None:
    """However many there have been."""
    pool = make(4)
    for number in range(50):
        pool.give_back(await used(pool, f"tenant {number}"))
    assert (len(pool._idle._of), len(pool._idle), len(pool._open)) == (4, 4, 4)
    pool.close()
    assert (len(pool._idle._of), len(pool._idle)) == (0, 0)


async def test_s6_what_is_lost_while_idle_is_forgotten(make: Make, upstream: Upstream) -> None:
    """By its owner too."""
    pool = make(4)
    await rounds(pool, "abc")
    upstream.drop()
    async with asyncio.timeout(PATIENCE):
        while len(pool._idle):
            await asyncio.sleep(0.001)
    assert pool._idle._of == {}


class Peer:
    """An upstream on blocking sockets: what it sends is in the kernel before the event loop has another turn."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def close(self) -> None:
        self._listener.close()

    def serve(self) -> socket.socket:
        """Take a connection and answer a request on it."""
        taken, _ = self._listener.accept()
        if self._tls is not None:
            taken = self._tls.wrap_socket(taken, server_side=True)
        taken.recv(LIMIT)
        taken.sendall(OK)
        return taken


def reset(taken: socket.socket) -> None:
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    taken.close()


UNASKED: Mapping[str, Callable[[socket.socket], object]] = {
    "an answer": lambda taken: taken.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    "an interim answer": lambda taken: taken.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a byte": lambda taken: taken.sendall(b"\n"),
    "a time-out": lambda taken: taken.sendall(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"),
    "the end": lambda taken: taken.shutdown(socket.SHUT_RDWR),
    "a reset": reset,
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("what", UNASKED)
async def test_s6_what_arrives_unasked_is_seen_before_the_connection_is_used_again(
    tmp_path: Path, what: str, *, tls: bool
) -> None:
    """Though the event loop has had no turn to read it: the next exchange has a connection of its own."""
    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    peer = Peer(context if tls else None)
    trust = Tls(ca_file=str(tmp_path / "ca.pem"))
    pool = Pool(Origin("https" if tls else "http", "127.0.0.1", peer.port, trust), Deadlines(FakeClock()))
    serving = asyncio.create_task(asyncio.to_thread(peer.serve))
    connection = await used(pool)
    taken = await serving
    pool.give_back(connection)
    again = pool.take()
    assert again is connection
    again.rest(0.0)
    pool.give_back(again)
    UNASKED[what](taken)
    block_until(lambda: bool(connection.unread_arrivals()))
    assert pool.take() is None
    assert connection not in pool._open
    serving = asyncio.create_task(asyncio.to_thread(peer.serve))
    assert await used(pool) is not connection
    (await serving).close()
    taken.close()
    peer.close()
    pool.close()
