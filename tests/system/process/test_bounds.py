"""What a process takes, whatever comes: memory, descriptors, and the time of half-open connections.

Memory is what is resident, at its highest since the test began to look.
"""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from statistics import quantiles
from typing import cast

import pytest

from tests import ROOT
from tests.support import bulk
from tests.support.bulk import MIB
from tests.support.processes import (
    PIPE,
    File,
    Load,
    Process,
    get,
    raise_descriptor_limit,
    route,
    run,
    serving,
    spawn,
    watching,
)
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, until
from tests.support.wire_client import LIMIT, Client, open_stream

pytestmark = pytest.mark.unmeasured

GROWTH = 16 * MIB
SIZED, CHUNKED = 2048 * MIB, 512 * MIB
SECONDS = 5
"""How long the slow ones are watched."""
KERNEL = 128 * MIB
"""More than the kernel buffers on the way from one end to the other."""
HEADS = 50_000
IDENTITIES = 50_000
IDLE = 4000
FEW = 8
"""Descriptors that may come and go with single connections."""
HALF_OPEN = 2000
HEAD_TIMEOUT = 10.0


class Memory:
    """How much more a process holds than when the looking began."""

    def __init__(self, process: Process) -> None:
        self._process = process
        process.forget_most_resident()
        self._before = process.resident

    @property
    def growth(self) -> int:
        return self._process.most_resident - self._before


def to(upstream: bulk.Upstream) -> Mapping[str, object]:
    return {"name": "bulk", "upstream": upstream.url}


@pytest.mark.parametrize(
    ("who", "count", "size"),
    [
        ("callers", IDENTITIES, 700),
        ("tenants", IDENTITIES, 700),
        ("callers", 2000, 60_000),
        ("strangers", 2000, 60_000),
    ],
    ids=["callers", "tenants", "large tokens", "large tokens in vain"],
)
async def test_b84_what_is_kept_of_identities_is_bounded(who: str, count: int, size: int) -> None:
    """In bytes, not only in entries: tokens of ours beside those of callers, and why there are none for others."""
    command = (sys.executable, "-m", "tests.support.programs.identities", who, str(count), str(size))
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE)
    async with watching(child):
        output, _ = await child.communicate()
    assert int(output) <= GROWTH


@pytest.mark.parametrize(("size", "chunked"), [(SIZED, False), (CHUNKED, True)], ids=["sized", "chunked"])
async def test_b84_streaming_takes_no_memory(file: File, size: int, chunked: bool) -> None:
    """Gigabytes go through in both directions, complete, without staying."""
    with bulk.Upstream() as upstream:
        async with run(file, to(upstream)) as process:
            with bulk.Client(process.address) as client:
                for way in (client.down, client.up):
                    await asyncio.to_thread(way, 8 * MIB, chunked=chunked)
                memory = Memory(process)
                for way in (client.down, client.up):
                    assert await asyncio.to_thread(way, size, chunked=chunked) == size
                assert memory.growth <= GROWTH


async def test_b84_a_slow_reader_slows_the_sender_down(file: File) -> None:
    """A megabyte a second in either direction: neither end gets ahead by more than sockets hold, nor do we hold it."""
    with bulk.Upstream() as upstream:
        async with run(file, to(upstream)) as process:
            with bulk.Client(process.address) as reader, bulk.Client(process.address) as writer:
                await asyncio.to_thread(reader.down, 8 * MIB)
                memory = Memory(process)
                writing = asyncio.create_task(asyncio.to_thread(writer.up, SIZED, way=b"slow"))
                read = await asyncio.to_thread(reader.down, SIZED, slowly=SECONDS)
                assert read <= upstream.sent <= read + KERNEL < SIZED / 8
                assert upstream.taken <= writer.sent <= upstream.taken + KERNEL
                assert min(read, upstream.taken) >= MIB
                assert memory.growth <= GROWTH
                writer.give_up()
                with pytest.raises(BrokenPipeError):
                    await writing


class Echo(asyncio.Protocol):
    """Answers each request with a head of its own: the number in its path is a field's name and value."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        number = data[5 : data.index(b"?")]
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nX-%b: %b\r\nContent-Length: 2\r\n\r\nok" % (number, number)
        )


def head(number: int) -> bytes:
    """A request that shares no value with any other."""
    return (
        b"GET /%05d?q=%05d HTTP/1.1\r\nHost: h%05d.example\r\nX-Request-Id: r%05d\r\nX-%05d: x\r\n"
        b"Cookie: %05d\r\ntraceparent: 00-%032x-0000000000000001-01\r\n\r\n" % ((number,) * 7)
    )


async def ask_all(address: str, numbers: range) -> int:
    """Send these requests down one connection, fifty at a time; how many were answered well."""
    reader, writer = await open_stream(address)
    good = 0
    for begin in range(numbers.start, numbers.stop, 50):
        writer.write(b"".join(map(head, range(begin, begin + 50))))
        got = b""
        async with asyncio.timeout(PATIENCE):
            while got.count(b"\r\n\r\nok") < 50 and (data := await reader.read(LIMIT)):
                got += data
        good += got.count(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    await writer.wait_closed()
    return good


async def test_b84_heads_that_never_repeat_are_not_kept(file: File, tmp_path: Path) -> None:
    """Fifty thousand different paths, queries, hosts, ids and fields, in requests and in answers."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream = {"name": "echo", "upstream": f"http://127.0.0.1:{port}"}
    async with server, run(file, upstream, listen=f"unix:{tmp_path}/s") as process:
        assert await ask_all(process.address, range(1000)) == 1000
        memory = Memory(process)
        for begin in range(1000, 1000 + HEADS, HEADS // 5):
            part = HEADS // 50
            starts = range(begin, begin + HEADS // 5, part)
            asking = (ask_all(process.address, range(start, start + part)) for start in starts)
            assert sum(await asyncio.gather(*asking)) == HEADS // 5
        assert memory.growth <= GROWTH
        _, page = await process.page(b"/metrics")
        assert page.count(b"\n") < 200
    server.close()


def keep_alive(address: str, count: int) -> list[socket.socket]:
    """Open that many connections, with one request on each."""
    host, _, port = address.rpartition(":")
    connections = []
    for _ in range(count):
        connections.append(socket.create_connection((host, int(port))))
        connections[-1].sendall(get())
        assert connections[-1].recv(LIMIT).startswith(b"HTTP/1.1 200")
    return connections


async def test_b84_connections_that_end_leave_nothing_behind(file: File, upstream: Upstream) -> None:
    """Four thousand idle connections are closed, and again: descriptors are free, memory is used again."""
    raise_descriptor_limit()
    async with run(file, route(upstream)) as process:
        await process.get()
        descriptors = process.descriptors
        growth = []
        for _ in range(2):
            memory = Memory(process)
            connections = await asyncio.to_thread(keep_alive, process.address, IDLE)
            held = process.descriptors
            for connection in connections:
                connection.close()
            assert held >= IDLE
            await until(lambda: process.descriptors <= descriptors + FEW)
            growth.append(memory.growth)
    assert growth[0] <= IDLE * 8 * 1024
    assert growth[1] <= GROWTH / 2


# Half-open connections


class HalfOpen:
    """A client that never completes a head; how its connection ended, and after how many seconds."""

    def __init__(self, process: Process, entrance: asyncio.Semaphore, kind: str) -> None:
        """`entrance` is shared: as many as the system queues for a listener can connect at the same time."""
        self._process = process
        self._entrance = entrance
        self.kind = kind
        self.ending = ""
        self.seconds = 0.0

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._entrance:
            began = loop.time()
            client = await Client.connect(self._process.address)
        async with client:
            if self.kind != "silent":
                await client.send(get()[:-2])
            ending = asyncio.create_task(client.reader.read(LIMIT))
            while self.kind == "dripping" and not ending.done():
                client.writer.write(b"X: y\r\n")
                await asyncio.wait([ending], timeout=1)
            async with asyncio.timeout(HEAD_TIMEOUT + PATIENCE):
                self.ending = (await ending)[9:12].decode()
            self.seconds = loop.time() - began


def p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[98]


async def ask_anew(process: Process, stop: asyncio.Event) -> Counter[int]:
    """Requests on connections of their own, one after the other."""
    answers: Counter[int] = Counter()
    while not stop.is_set():
        status, _ = await process.get()
        answers[status] += 1
        await asyncio.sleep(0.02)
    return answers


async def test_b86_half_open_connections_end_at_the_header_limit(file: File, upstream: Upstream) -> None:
    """Two thousand do good traffic no harm, new connections included, however low the soft limit of files."""
    raise_descriptor_limit()
    child = await spawn(file, {"routes": [route(upstream)]}, shell="ulimit -S -n 256")
    async with serving(child) as process, Load(process.address, rate=200) as load:
        await load.reach(200)
        calm = len(load.seconds)
        kinds = ("silent", "half", "dripping", "half")
        entrance = asyncio.Semaphore(200)
        strangers = [HalfOpen(process, entrance, kinds[number % 4]) for number in range(HALF_OPEN)]
        stop = asyncio.Event()
        anew = asyncio.create_task(ask_anew(process, stop))
        await asyncio.gather(*(stranger.run() for stranger in strangers))
        stop.set()
        assert set(await anew) == {200}
        await until(lambda: process.descriptors < 256)
    assert Counter((stranger.kind, stranger.ending) for stranger in strangers) == {
        ("silent", ""): HALF_OPEN // 4,
        ("half", "408"): HALF_OPEN // 2,
        ("dripping", "408"): HALF_OPEN // 4,
    }
    assert min(stranger.seconds for stranger in strangers) >= HEAD_TIMEOUT - 0.5
    assert set(load.answers) == {"200"}
    before, meanwhile = p99(load.seconds[:calm]), p99(load.seconds[calm:])
    assert meanwhile <= max(0.5, 25 * before)


# Descriptors


@pytest.mark.parametrize("limit", [64, 128, 512])
async def test_s12_idle_clients_leave_descriptors_to_the_admin_port_and_to_neighbours(
    file: File, upstream: Upstream, limit: int
) -> None:
    """Probes are answered, and clients that are connected have their requests sent, as long as the crowd stays."""
    child = await spawn(file, {"routes": [route(upstream)]}, shell=f"ulimit -Sn {limit}; ulimit -Hn {limit}")
    async with serving(child) as process, AsyncExitStack() as crowd:
        early = [await crowd.enter_async_context(await Client.connect(process.address)) for _ in range(8)]
        for _ in range(2 * limit):
            with suppress(OSError):
                await crowd.enter_async_context(await Client.connect(process.address))
        await process.logs("out_of_descriptors")
        for path in (b"/healthz", b"/readyz", b"/metrics"):
            for _ in range(3):
                assert (await process.page(path))[0] == 200
        for client in early:
            assert (await client.ask(get())).status == 200
        assert process.descriptors < limit
