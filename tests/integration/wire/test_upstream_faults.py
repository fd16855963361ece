"""Upstreams that answer wrongly: each kind has one word in the log, at once, and a detail that says what it is."""

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from tests.support.clock import settle
from tests.support.sidecar import Start
from tests.support.upstream import HINTS, Exchange, Script, Server, Upstream, closing, hang_up, says
from tests.support.waiting import PATIENCE
from tests.support.wire_client import LIMIT

Route = Mapping[str, object]
UNREACHABLE = (502, "upstream_unreachable")
MALFORMED = (502, "upstream_malformed")
TIMEOUT = (504, "upstream_timeout")


def resets(data: bytes) -> Script:
    """Read the request, send these bytes, and once they are read reset the connection."""

    async def script(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(data)
        await settle()
        exchange.reset()

    return script


Case = tuple[Script, str]
EARLY_CLOSED: dict[str, Case] = {
    "closed without a byte": (hang_up, "before it answered"),
    "reset without a byte": (resets(b""), "before it answered"),
    "closed after an interim answer": (closing(HINTS), "before it answered"),
    "reset after an interim answer": (resets(HINTS), "before it answered"),
}
HALF: dict[str, Case] = {
    "closed after a byte": (closing(b"H"), "in the middle of the answer's head"),
    "closed in a field": (closing(b"HTTP/1.1 200 OK\r\nContent-Le"), "in the middle of the answer's head"),
    "closed before the empty line": (closing(b"HTTP/1.1 200 OK\r\n"), "in the middle of the answer's head"),
    "closed in the empty line": (closing(b"HTTP/1.1 200 OK\r\n\r"), "in the middle of the answer's head"),
    "reset in a field": (resets(b"HTTP/1.1 200 OK\r\nContent-Le"), "in the middle of the answer's head"),
    "closed after an interim answer and a half": (
        closing(HINTS + b"HTTP/1.1 2"),
        "in the middle of the answer's head",
    ),
}
WRONG: dict[str, Case] = {
    "bare line feeds": (says(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), "bare line feeds"),
    "bare line feeds after an interim answer": (
        says(HINTS + b"HTTP/1.1 200 OK\nA: b\n\n"),
        "bare line feeds",
    ),
    "bare line feeds in the fields": (says(b"HTTP/1.1 200 OK\r\nA: b\n\n"), "bare line feeds"),
    "a bad status": (says(b"HTTP/1.1 20 OK\r\n"), "malformed status line"),
    "SMTP": (says(b"220 mx.example.net ESMTP\r\n"), "a mail server (SMTP)"),
    "FTP": (says(b"220 (vsFTPd 3.0.3)\r\n"), "an FTP server"),
    "SSH": (says(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "SSH"),
    "Redis": (says(b"-ERR wrong number of arguments for 'get' command\r\n"), "Redis"),
    "a TLS alert": (says(b"\x15\x03\x03\x00\x02\x02\x46"), "the server requires https"),
    "HTTP/2 SETTINGS": (says(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), "HTTP/2 (a SETTINGS frame)"),
    "HTTP/2 GOAWAY": (says(b"\x00\x00\x08\x07\x00" + bytes(11) + b"\x01"), "HTTP/2 (a GOAWAY frame)"),
    "RTSP": (says(b"RTSP/1.0 400 Bad Request\r\n"), "RTSP/1.0"),
    "HTTP/0.9": (says(b"<!doctype html><p>hello"), "markup"),
    "garbage": (says(b"\xde\xad\xbe\xef\x00\xff"), "binary data"),
    "an echo of the request": (says(b"GET / HTTP/1.1\r\n"), "sends back what it is sent"),
    "another protocol, then closed": (closing(b"SSH-2.0-OpenSSH_9.2p1\r\n"), "SSH"),
}
OVERSIZED: dict[str, Case] = {
    "a long field": (
        says(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"),
        "longer than 65536 bytes",
    ),
    "an endless field": (says(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 400_000), "longer than 65536 bytes"),
    "an endless reason": (says(b"HTTP/1.1 200 " + b"a" * 400_000), "longer than 65536 bytes"),
    "many fields": (says(b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 300 + b"\r\n"), "more than 200"),
    "many interim answers": (says(HINTS * 20), "103"),
}
CASES = {
    **{f"early-closed: {name}": (case, UNREACHABLE) for name, case in EARLY_CLOSED.items()},
    **{f"malformed: {name}": (case, MALFORMED) for name, case in {**HALF, **WRONG}.items()},
    **{f"oversized: {name}": (case, MALFORMED) for name, case in OVERSIZED.items()},
}


@pytest.mark.parametrize("name", CASES)
async def test_h7_each_kind_of_upstream_fault_has_one_word(
    sidecar: Start, plain: Route, upstream: Upstream, name: str
) -> None:
    """Without waiting for more; the client, and the log, get the reason; so does the upstream's state."""
    (script, detail), expected = CASES[name]
    upstream.script(script)
    async with sidecar(plain) as running:
        async with asyncio.timeout(PATIENCE):
            answer = await running.get()
        (state,) = [row for row in await running.rows("health") if row["kind"] == "upstream"]
    (line,) = running.events("request")
    assert (answer.status, line["error"]) == expected
    assert line["status"] == answer.status
    assert detail in str(line["detail"])
    assert detail.encode() in answer.body
    assert detail in str(state)


SLOW: dict[str, bytes] = {
    "nothing": b"",
    "a byte": b"H",
    "half a status line": b"HTTP/1.1 2",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
    "all but the last byte of a head": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r",
    "an interim answer": HINTS,
}


@pytest.mark.parametrize("name", SLOW)
async def test_h7_a_slow_upstream_has_its_own_word(
    sidecar: Start, plain: Route, upstream: Upstream, name: str
) -> None:
    """What may still become an answer is waited on for as long as the route says."""
    upstream.script(says(SLOW[name]))
    async with sidecar({**plain, "timeouts": {"idle": "5s"}}) as running, await running.connect() as client:
        await client.send(running.request(b"GET", b"/"))
        await upstream.reached(1)
        await settle()
        await running.clock.advance(7)
        async with asyncio.timeout(PATIENCE):
            answer = await client.answer()
    (line,) = running.events("request")
    assert (answer.status, line["error"]) == TIMEOUT
    assert "in time" in str(line["detail"])


class Speaker(Server):
    """Sends its bytes, at once or when it has read something, over TLS or not."""

    def __init__(self, data: bytes, *, first: bool, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self._data = data
        self._first = first

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._first:
            await reader.read(LIMIT)
        writer.write(self._data)
        while self._data and await reader.read(LIMIT):
            pass


SPEAKS = {
    "plain HTTP": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", False, MALFORMED, "http://"),
    "plain HTML": (
        b"<html>400 The plain HTTP request was sent to HTTPS port</html>",
        False,
        MALFORMED,
        "http://",
    ),
    "HTTP/2 without TLS": (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", False, MALFORMED, "http://"),
    "an SMTP greeting": (b"220 mx.example.net ESMTP\r\n", True, MALFORMED, "TLS"),
    "garbage": (b"\xde\xad\xbe\xef\x00\xff", False, MALFORMED, "TLS"),
    "an alert: HTTP/2 only": (b"\x15\x03\x03\x00\x02\x02\x78", False, MALFORMED, "does not accept HTTP/1.1"),
    "an alert: no common version": (b"\x15\x03\x03\x00\x02\x02\x46", False, UNREACHABLE, "TLS with"),
    "nothing": (b"", True, UNREACHABLE, "cannot connect"),
    "nothing after the client's hello": (b"", False, UNREACHABLE, "cannot connect"),
}


@pytest.mark.parametrize("name", SPEAKS)
async def test_h7_where_tls_should_be_another_protocol_is_malformed(
    sidecar: Start, plain: Route, name: str
) -> None:
    """A handshake that fails as a handshake, or a connection that ends, is no connection."""
    data, first, expected, detail = SPEAKS[name]
    async with Speaker(data, first=first) as server:
        async with sidecar({**plain, "upstream": f"https://127.0.0.1:{server.port}"}) as running:
            async with asyncio.timeout(PATIENCE):
                answer = await running.get()
        (line,) = running.events("request")
    assert (answer.status, line["error"]) == expected
    assert detail in str(line["detail"])


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"220 mx.example.net ESMTP\r\n", "SMTP"),
        (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "HTTP/2 (a SETTINGS frame)"),
    ],
    ids=["greeting", "settings"],
)
async def test_h7_an_upstream_that_speaks_first_is_malformed(
    sidecar: Start, plain: Route, tmp_path: Path, data: bytes, detail: str, *, tls: bool
) -> None:
    """Whether its bytes arrive before the request is sent, or just after; with TLS, right behind the handshake."""
    context, route = None, dict(plain)
    if tls:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        route["tls"] = {"ca_file": str(tmp_path / "ca.pem")}
    async with Speaker(data, first=True, tls=context) as server:
        async with sidecar({**route, "upstream": server.url}) as running:
            async with asyncio.timeout(PATIENCE):
                answer = await running.get()
        (line,) = running.events("request")
    assert (answer.status, line["error"]) == MALFORMED
    assert detail in str(line["detail"])
