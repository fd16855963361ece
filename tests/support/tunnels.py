"""Open tunnels for the tests: an offer, a server that accepts it, and both ends as bytes."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from tests.support.sidecar import Running
from tests.support.upstream import Exchange, Upstream
from tests.support.waiting import PATIENCE, at_rest
from tests.support.wire_client import Client

Route = Mapping[str, object]
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
OFFER = (b"Upgrade: websocket", b"Connection: Upgrade", KEY, b"Sec-WebSocket-Version: 13")
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n%s\r\n\r\n" % ACCEPT
)
RELAYED_SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\n%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" % ACCEPT
)
BLOCK = bytes(range(256)) * 256
IDLE: Route = {"timeouts": {"idle": "10s"}}


class Ends:
    """A script that takes the offer and leaves the connection to the test."""

    def __init__(self, answer: bytes = SWITCH) -> None:
        self._answer = answer
        self._taken: asyncio.Queue[Exchange] = asyncio.Queue()

    async def __call__(self, exchange: Exchange) -> None:
        await exchange.send(self._answer)
        self._taken.put_nowait(exchange)
        await asyncio.Event().wait()  # until the server stops

    async def taken(self) -> Client:
        """The upstream's end of the next tunnel."""
        async with asyncio.timeout(PATIENCE):
            exchange = await self._taken.get()
        return Client(exchange.reader, exchange.writer)


@asynccontextmanager
async def tunnel(
    running: Running, upstream: Upstream, target: bytes = b"/"
) -> AsyncIterator[tuple[Client, Client]]:
    """Both ends of an open tunnel: the client's and the upstream's."""
    ends = Ends()
    upstream.script(ends)
    async with await running.connect() as client:
        await client.send(running.request(b"GET", target, *OFFER))
        assert (await client.head()).status == 101
        yield client, await ends.taken()


async def carries(source: Client, target: Client, data: bytes = b"some bytes") -> None:
    """Send at one end, and see it at the other."""
    await source.send(data)
    async with asyncio.timeout(PATIENCE):
        assert await target.reader.readexactly(len(data)) == data


async def rest_of(end: Client) -> bytes:
    """Everything up to a clean end."""
    async with asyncio.timeout(PATIENCE):
        return await end.reader.read()


class Flood:
    """Bytes without end from one end of a tunnel; it counts what it could hand over."""

    def __init__(self, source: Client) -> None:
        self.sent = 0
        self._source = source
        self._task = asyncio.create_task(self._send())

    async def _send(self) -> None:
        while True:
            self._source.writer.write(BLOCK)
            await self._source.writer.drain()
            self.sent += len(BLOCK)

    async def stuck(self) -> None:
        """Wait until it cannot go on."""
        await at_rest(lambda: self.sent)

    async def stop(self) -> int:
        """Send no more; how much there is to come altogether."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        return self.sent + len(BLOCK)  # the one it was at


BOUND = 24 << 20
"""The kernel holds up to 6 MiB of what arrived and 4 MiB of what is to leave, at each of two hops; we hold far less."""
