"""Exchanges that fail leave nothing behind for the cycle collector: where few run, it would be megabytes."""

import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest

from sidecar.http1.connection import Connection
from sidecar.http1.relay import Relay
from sidecar.http1.upload import Upload
from tests.conftest import Running
from tests.servers import Exchange, Script, Upstream, hang_up
from tests.waiting import until
from tests.wire import WireError

ROUNDS = 5


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def truncated(exchange: Exchange) -> None:
    await exchange.read()
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    exchange.reset()


async def refused_early(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    exchange.close()


FAILURES: dict[str, tuple[Script, bytes]] = {
    "the answer breaks off": (truncated, b"Content-Length: 0\r\n\r\n"),
    "there is no answer": (hang_up, b"Content-Length: 0\r\n\r\n"),
    "the answer is malformed": (b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n", b"Content-Length: 0\r\n\r\n"),
    "a length nobody can read": (
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"Content-Length: 0\r\n\r\n",
    ),
    "a switch that was not offered": (b"HTTP/1.1 101 Switching\r\n\r\n", b"Content-Length: 0\r\n\r\n"),
    "the request's body is malformed": (hang_up, b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "refused before the body": (refused_early, b"Content-Length: 100000\r\n\r\nabc"),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.usefixtures("uncollected")
async def test_a_failed_exchange_is_freed_without_the_collector(
    relay: Running, upstream: Upstream, failure: str
) -> None:
    """Connections, relays and uploads are gone when the client is."""
    script, body = FAILURES[failure]
    upstream.script(*[script] * ROUNDS)
    for _ in range(ROUNDS):
        async with await relay.connect() as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: " + relay.host + b"\r\n" + body)
            with suppress(WireError, ConnectionError):
                await client.answer("POST")
    await until(lambda: not left())


def left() -> list[object]:
    return [kept for kept in gc.get_objects() if isinstance(kept, Connection | Relay | Upload)]
