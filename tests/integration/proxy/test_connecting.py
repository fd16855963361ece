"""A token that is refused elsewhere while a request waits for its connection."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.processes import answering
from tests.support.sidecar import Running, Start
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE
from tests.support.wire_client import Answer

FIRST, SECOND = "canary-token-1", "canary-token-2"


class Queue:
    """A sidecar whose route `/narrow` has one connection; one request holds it, and another waits for it."""

    def __init__(self, running: Running, upstream: Upstream) -> None:
        self.running = running
        self._upstream = upstream
        self._go = asyncio.Event()

    async def form(self) -> None:
        self._upstream.script(answering(b"first", self._go))
        self._first = asyncio.create_task(self.running.get(b"/narrow"))
        await self._upstream.reached(1)
        self._second = asyncio.create_task(self.running.get(b"/narrow"))
        async with asyncio.timeout(PATIENCE):
            while b"http_server_active_requests 2" not in await self.running.app.metrics():
                await asyncio.sleep(0)

    async def move_on(self) -> None:
        """Free the connection for the waiting request."""
        self._go.set()
        assert (await self._first).body == b"first"

    async def served(self) -> Answer:
        return await self._second


@pytest.fixture
async def queue(sidecar: Start, upstream: Upstream) -> AsyncIterator[Queue]:
    everything = {"upstream": upstream.url, "token": "api"}
    api = {"name": "api", "match": {"prefix": "/"}, **everything}
    narrow = {"name": "narrow", "match": {"prefix": "/narrow"}, "max_connections": 1, **everything}
    async with sidecar(api, narrow) as running:
        queue = Queue(running, upstream)
        await queue.form()
        yield queue


async def test_a_token_refused_while_a_connection_was_waited_for_is_not_sent(
    queue: Queue, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """The newer one is: no further 401, and none of the guarantees hangs on how long connecting takes."""
    authorization_server.revoke(FIRST)
    assert (await queue.running.get()).status == 200
    await queue.move_on()
    assert (await queue.served()).status == 200
    assert upstream.tokens == [FIRST, FIRST, SECOND, SECOND]


async def test_while_there_is_no_newer_token_yet_it_is_waited_for(
    queue: Queue, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """The refused one is not used meanwhile."""
    authorization_server.hold = asyncio.Event()
    authorization_server.revoke(FIRST)
    refused = asyncio.create_task(queue.running.get())
    await authorization_server.reached(2)
    await queue.move_on()
    authorization_server.hold.set()
    assert (await refused).status == 200
    assert (await queue.served()).status == 200
    assert upstream.tokens == [FIRST, FIRST, SECOND, SECOND]
