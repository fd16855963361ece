"""The end of a drain, for clients that read slowly: what they have not read yet is in flight too."""

import asyncio

from sidecar.http1.server import ClientConnection
from tests.support.clock import settle
from tests.support.sidecar import Running, Start
from tests.support.tunnels import Route
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, awake, until
from tests.support.wire_client import Client

BODY = b"0123456789" * 3000
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


async def ask_until_unread(running: Running, upstream: Upstream, client: Client) -> int:
    """Ask, without reading, until answers wait in the sidecar; how many there are."""
    upstream.script(*[ANSWER] * 1000)
    await settle()
    [connection] = running.app._listener.connections
    assert isinstance(connection, ClientConnection)
    asked = 0
    while not connection.transport.get_write_buffer_size():
        await client.send(running.request(b"GET", b"/"))
        asked += 1
        await upstream.reached(asked)
        await until(lambda: not connection.busy)
    return asked


async def test_b80_an_answer_still_being_read_is_in_flight(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """The drain waits until the client has taken the last byte."""
    async with (
        sidecar(plain, drain_timeout="1m") as running,
        await running.connect(receive_buffer=4096) as client,
    ):
        asked = await ask_until_unread(running, upstream, client)
        stopping = asyncio.create_task(running.app.stop())
        await settle()
        await client.send(running.request(b"GET", b"/"))
        await upstream.reached(asked + 1)
        await awake(0.2)  # longer than the quiet that ends a drain
        for _ in range(asked + 1):
            assert (await client.answer()).body == BODY
        assert await client.ending() == "closed"
        async with asyncio.timeout(PATIENCE):
            await stopping


async def test_b80_a_client_that_does_not_read_cannot_hold_up_the_end(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """Its answers are all written, and it is between two requests: the drain's limit holds all the same."""
    async with (
        sidecar(plain, drain_timeout="50ms") as running,
        await running.connect(receive_buffer=4096) as client,
    ):
        await ask_until_unread(running, upstream, client)
        async with asyncio.timeout(PATIENCE):
            await running.app.stop()
