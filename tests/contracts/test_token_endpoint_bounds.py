"""Authorization servers that never come to the end of their answer: each costs a bounded memory and no turn's peace."""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from sidecar.core.errors import TokenUnavailable
from sidecar.core.tls import Tls
from sidecar.oauth.http_client import HttpAuthorizationServer
from tests.support.authorization_server import AuthorizationServer
from tests.support.flooding import CHUNKED, MEMORY, OK, Flood, flooding
from tests.support.sidecar import Start
from tests.support.upstream import Exchange
from tests.support.waiting import PATIENCE

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
TURN = 0.02
"""Seconds of CPU time that one turn of the event loop may take."""


FLOODS = {
    "early hints": Flood(b"", HINTS, "more than 16 interim answers"),
    "continue": Flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n", "more than 16 interim answers"),
    "a million hints and an answer": Flood(HINTS * 1_000_000, OK + b"\r\n{}", "more than 16 interim answers"),
    "large hints": Flood(b"", HINTS[:-2] + b"X: " + b"x" * 16_000 + b"\r\n\r\n", "longer than 65536 bytes"),
    "a switch": Flood(
        b"HTTP/1.1 101 Go\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"x",
        "switches to another protocol",
    ),
    "a header line": Flood(OK + b"X: ", b"x" * 1000, "longer than 65536 bytes"),
    "header fields": Flood(OK, b"a:b\r\n", "longer than 65536 bytes"),
    "many header fields": Flood(OK + b"a:b\r\n" * 1000 + b"\r\n", b"x", "more than 200 header fields"),
    "a status line": Flood(b"HTTP/1.1 200 ", b"x" * 1000, "longer than 65536 bytes"),
    "a chunk's extension": Flood(CHUNKED + b"1;", b"x" * 1000, "size line is malformed or too long"),
    "chunks of a byte": Flood(CHUNKED, b"1\r\nx\r\n", "more than 131072 bytes"),
    "chunks with extensions": Flood(CHUNKED, b"1;a=" + b"b" * 200 + b"\r\nx\r\n", "more than 131072 bytes"),
    "trailers": Flood(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: x\r\n", "trailer section is too long"),
    "a body": Flood(OK + b"\r\n", b"x" * 1000, "larger than 65536 bytes"),
    "an announced body": Flood(
        OK + b"Content-Length: 99999999999\r\n\r\n", b"x" * 1000, "larger than 65536 bytes"
    ),
    "zeros": Flood(b"", b"\0" * 1000, "not HTTP/1.x"),
    "line ends": Flood(b"", b"\r\n", "an empty line before the status line"),
}


class Turns:
    """Counts the CPU time of the event loop's thread in each of its turns; what else runs does not count."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def run(self) -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            self.longest = max(self.longest, time.thread_time() - began)


@asynccontextmanager
async def turns() -> AsyncIterator[Turns]:
    """Watch the turns; the collector, which would pass through what all other tests have left, is out."""
    gc.collect()
    gc.disable()
    watched = Turns()
    watching = asyncio.create_task(watched.run())
    try:
        yield watched
    finally:
        watching.cancel()
        gc.enable()


async def refusal(client: HttpAuthorizationServer, url: str, method: str) -> str:
    with pytest.raises(TokenUnavailable) as raised:
        await (client.post(url, {}, "a=b", Tls()) if method == "POST" else client.get(url, Tls()))
    return str(raised.value)


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_s5_an_answer_without_end_is_given_up_at_once_and_by_its_cause(
    flood: Flood, method: str
) -> None:
    """Of token endpoints, key sets and metadata alike; no turn of the loop is long."""
    client = HttpAuthorizationServer(total_limit=60)
    async with flooding(flood) as server, turns() as watched:
        assert flood.cause in await refusal(client, server.url, method)
    assert watched.longest < TURN


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_s5_an_answer_without_end_takes_no_more_memory_than_its_bounds(flood: Flood) -> None:
    """At its highest, of four attempts in a row, without the cycle collector's help."""
    client = HttpAuthorizationServer(total_limit=60)
    async with flooding(flood) as server:
        await refusal(client, server.url, "POST")
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(4):
                await refusal(client, server.url, "POST")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
    assert peak < MEMORY


@pytest.mark.parametrize("begin", [b"HTTP/1.1 200 ", HINTS[:20], OK + b"X", CHUNKED + b"ffff\r\n"])
async def test_s5_an_answer_that_trickles_ends_with_the_time_there_is(
    authorization_server: AuthorizationServer, begin: bytes
) -> None:
    """A byte now and then is no progress: the limit is for all of the answer."""

    async def trickle(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(begin)
        with suppress(ConnectionError):
            while True:
                await asyncio.sleep(0.01)
                await exchange.send(b"x")
        exchange.close()

    authorization_server.script(trickle)
    client = HttpAuthorizationServer(total_limit=0.3)
    async with asyncio.timeout(PATIENCE):
        assert "it did not answer in time" in await refusal(
            client, authorization_server.token_endpoint, "POST"
        )


@pytest.mark.parametrize("interim", [1, 16])
async def test_s5_a_few_interim_answers_are_passed_over(interim: int) -> None:
    """Any server may send some (RFC 9110 section 15.2)."""
    client = HttpAuthorizationServer()
    async with flooding(Flood(HINTS * interim + OK + b"Content-Length: 2\r\n\r\n{}", b"x", "")) as server:
        reply = await client.post(server.url, {}, "a=b", Tls())
    assert (reply.status, reply.body) == (200, b"{}")


async def test_s5_a_token_endpoint_without_end_stalls_no_other_request(
    sidecar: Start, authorization_server: AuthorizationServer, plain: dict[str, object]
) -> None:
    """Requests that need no token go on in the meantime; the others are answered 503."""
    async with flooding(FLOODS["early hints"]) as server:
        token = {"token_endpoint": server.url}
        with_token = {**plain, "name": "api", "match": {"prefix": "/api"}, "token": "api"}
        async with sidecar(plain, with_token, token=token) as running, turns() as watched:
            await asyncio.gather(running.get(), running.get(b"/api"), running.get())
            asking = asyncio.create_task(running.get(b"/api"))
            while not asking.done():
                assert (await running.get()).status == 200
            assert (await asking).status == 503
            assert server.asked
    assert watched.longest < TURN
    assert authorization_server.requests == []


FOREIGN = {
    "bare line feeds": (OK[:-2] + b"\nContent-Length: 2\n\n{}", "bare line feeds"),
    "a bare line feed in a field": (OK + b"A: b\n\r\n", "bare line feeds"),
    "bare line feeds after an interim answer": (HINTS + OK[:-2] + b"\nA: b\n\n", "bare line feeds"),
    "SMTP": (b"220 mx.example.net ESMTP\r\n", "a mail server (SMTP)"),
    "a TLS alert": (b"\x15\x03\x03\x00\x02\x02\x46", "a TLS alert: the server requires https"),
    "HTTP/2": (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "HTTP/2 (a SETTINGS frame)"),
    "SSH": (b"SSH-2.0-x\r\n", "an SSH server"),
    "a page without a head": (b"<html>", "markup without a head"),
    "an unknown version": (b"HTTP/1.2 200 OK\r\n", "HTTP/1.2"),
}


@pytest.mark.parametrize("name", FOREIGN)
async def test_h7_a_token_endpoint_that_answers_otherwise_is_named_at_once(name: str) -> None:
    """Its connection stays open: it is not waited on, and not reported as silent."""
    data, words = FOREIGN[name]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
        client = HttpAuthorizationServer(total_limit=PATIENCE)
        with pytest.raises(TokenUnavailable) as raised:
            await client.post(url, {}, "", Tls())
    assert words in str(raised.value)
    assert "in time" not in str(raised.value)
