"""Answers whose head is good and whose body is malformed from the start."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.support.sidecar import Start
from tests.support.upstream import HINTS, Exchange, Upstream, says

Route = Mapping[str, object]


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BAD_STARTS = {
    "no number": b"zz\r\n",
    "an empty size": b"\r\n",
    "a negative size": b"-1\r\n",
    "a prefixed size": b"0x5\r\nhello\r\n0\r\n\r\n",
    "a size of 16 digits": b"0000000000000005\r\nhello\r\n0\r\n\r\n",
    "a bare line feed": b"5\nhello\n0\n\n",
    "a bare semicolon": b"5;\r\nhello\r\n0\r\n\r\n",
    "an endless size line": b"5;" + b"a" * 400,
    "a good chunk, then a bad size": b"5\r\nhello\r\nxyz\r\n",
    "a chunk that is too long": b"5\r\nhelloXX\r\n0\r\n\r\n",
    "a bad trailer": b"0\r\nA : 1\r\n\r\n",
    "long trailers": b"0\r\nA: " + b"a" * 9_000,
}


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
@pytest.mark.parametrize("name", BAD_STARTS)
async def test_h2_a_fault_before_a_byte_has_left_is_502(
    sidecar: Start, plain: Route, upstream: Upstream, name: str, version: bytes
) -> None:
    """Head and bad chunk arrive together: the log says what was sent, and the client's connection goes on."""
    upstream.script(says(CHUNKED + BAD_STARTS[name]))
    request = b"GET / HTTP/%b\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n" % version
    async with sidecar(plain) as running, await running.connect() as client:
        answer = await client.ask(request)
        assert (answer.status, answer.values("Proxy-Status")) == (
            502,
            [b"sidecar; error=http_protocol_error"],
        )
        assert (await client.ask(request)).body == b"ok"
    first, second = running.events("request")
    assert (first["status"], first["error"], first["bytes_out"]) == (
        502,
        "upstream_malformed",
        len(answer.body),
    )
    assert (second["status"], second["error"]) == (200, "")


async def test_h2_a_fault_after_a_byte_has_left_keeps_the_status(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """The client has its head; the log has its status, and why there was no more."""
    go = asyncio.Event()

    async def two_reads(exchange: Exchange) -> None:
        await exchange.send(CHUNKED)
        await go.wait()
        await exchange.send(b"zz\r\n")

    upstream.script(two_reads)
    async with sidecar(plain) as running, await running.connect() as client:
        await client.send(running.request(b"GET", b"/"))
        assert (await client.head()).status == 200
        go.set()
        assert await client.ending() == "reset"
    (line,) = running.events("request")
    assert (line["status"], line["error"]) == (200, "upstream_malformed")


async def test_h2_interim_answers_do_not_make_it_too_late(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """They are no answer yet (RFC 9110 section 15.2)."""
    upstream.script(says(HINTS + CHUNKED + b"zz\r\n"))
    async with sidecar(plain) as running:
        answer = await running.get()
    assert ([head.status for head in answer.interim], answer.status) == ([103], 502)
    assert [line["status"] for line in running.events("request")] == [502]
