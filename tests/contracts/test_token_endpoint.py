"""The token endpoint client over real sockets."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from sidecar.adapters.token_endpoint import SIZE_LIMIT, HttpTokenEndpoint
from sidecar.core.errors import TokenUnavailable

HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic Y2FuYXJ5"}
FORM = "grant_type=client_credentials&client_secret=canary"


class Peer:
    """Answers every connection with the same bytes and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        self.hangs = False
        self.received: list[bytes] = []
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None = None) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        port = self._server.sockets[0].getsockname()[1]
        return f"{'https' if tls else 'http'}://127.0.0.1:{port}/token"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            start = await reader.readexactly(5)
            if start == b"POST ":
                head = start + await reader.readuntil(b"\r\n\r\n")
                self.received.append(head + await reader.readexactly(len(FORM)))
            if self.hangs:
                await reader.read()
            writer.write(self.answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    yield peer
    await peer.stop()


@pytest.fixture
async def endpoint() -> AsyncIterator[HttpTokenEndpoint]:
    endpoint = HttpTokenEndpoint()
    yield endpoint
    await endpoint.close()


async def test_the_form_goes_out_as_given_and_the_answer_comes_back_unjudged(
    peer: Peer, endpoint: HttpTokenEndpoint
) -> None:
    """Status, type, body and Retry-After; one POST, no compression asked for, no connection kept."""
    peer.answer = (
        b"HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"
    )
    reply = await endpoint.post(await peer.start(), HEADERS, FORM)
    assert (reply.status, reply.content_type, reply.body, reply.retry_after) == (
        503,
        "text/plain",
        b"busy",
        "7",
    )
    (received,) = peer.received
    assert received.startswith(b"POST /token HTTP/1.1\r\n")
    assert received.endswith(b"\r\n\r\n" + FORM.encode())
    assert b"\r\nAccept-Encoding: identity\r\n" in received
    assert b"\r\nAuthorization: Basic Y2FuYXJ5\r\n" in received


async def test_b71_redirects_are_not_followed(peer: Peer, endpoint: HttpTokenEndpoint) -> None:
    """The credentials go nowhere else."""
    other = Peer()
    elsewhere = await other.start()
    peer.answer = f"HTTP/1.1 307 Go\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
    assert (await endpoint.post(await peer.start(), HEADERS, FORM)).status == 307
    assert other.received == []
    await other.stop()


async def test_cookies_are_not_kept(peer: Peer, endpoint: HttpTokenEndpoint) -> None:
    """A load balancer's stickiness is not ours, nor a session across tenants."""
    peer.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    url = await peer.start()
    for _ in range(2):
        await endpoint.post(url, HEADERS, FORM)
    assert all(b"cookie" not in received.lower() for received in peer.received)


async def test_proxies_and_netrc_of_the_environment_do_not_matter(
    peer: Peer, endpoint: HttpTokenEndpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Credentials take no way the configuration does not name."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login canary password canary")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    reply = await endpoint.post(await peer.start(), {"Content-Type": HEADERS["Content-Type"]}, FORM)
    assert reply.status == 200
    assert b"Authorization" not in peer.received[0]


async def test_a_body_is_not_unpacked(peer: Peer, endpoint: HttpTokenEndpoint) -> None:
    """A small answer cannot become a large one."""
    packed = gzip.compress(b"\0" * 10_000_000)
    peer.answer = (
        f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
        + packed
    )
    reply = await endpoint.post(await peer.start(), HEADERS, FORM)
    assert reply.body == packed


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncanary", "broke off"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (SIZE_LIMIT + 1), "larger than"),
        (b"SSH-2.0-canary\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"canary" * 20_000 + b"\r\n\r\n", "not HTTP"),
    ],
    ids=["closed", "cut", "too large", "not HTTP", "endless field"],
)
async def test_answers_that_are_none(
    peer: Peer, endpoint: HttpTokenEndpoint, answer: bytes, hint: str
) -> None:
    """Each is an outage whose message names the host and what to look at, and nothing that was sent."""
    peer.answer = answer
    url = await peer.start()
    with pytest.raises(TokenUnavailable, match=hint) as raised:
        await endpoint.post(url, HEADERS, FORM)
    assert url.split("/")[2] in str(raised.value)
    assert "canary" not in str(raised.value)


async def test_an_answer_of_exactly_the_limit_is_one(peer: Peer, endpoint: HttpTokenEndpoint) -> None:
    """The limit is the largest size allowed."""
    peer.answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * SIZE_LIMIT
    assert len((await endpoint.post(await peer.start(), HEADERS, FORM)).body) == SIZE_LIMIT


async def test_b14_a_server_that_hangs_costs_no_more_than_the_limit(peer: Peer) -> None:
    """It takes the request and never answers."""
    peer.hangs = True
    endpoint = HttpTokenEndpoint(total_limit=0.1)
    url = await peer.start()
    async with asyncio.timeout(5):
        with pytest.raises(TokenUnavailable, match="in time"):
            await endpoint.post(url, HEADERS, FORM)
    await endpoint.close()


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://127.0.0.1:1/token", "cannot connect"),
        ("http://nowhere.invalid/token", "does not resolve"),
        ("http://127.0.0.1:99999/token", "cannot be used"),
        ("ftp://127.0.0.1/token", "not an HTTP one"),
    ],
)
async def test_endpoints_that_are_not_there(endpoint: HttpTokenEndpoint, url: str, hint: str) -> None:
    """Every failure to connect is an outage with a hint of its own."""
    with pytest.raises(TokenUnavailable, match=hint):
        await endpoint.post(url, HEADERS, FORM)


async def test_a_certificate_nobody_vouches_for_is_refused(peer: Peer, endpoint: HttpTokenEndpoint) -> None:
    """No secret is sent before the server has proved its name."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    url = await peer.start(tls)
    with pytest.raises(TokenUnavailable, match="not trusted"):
        await endpoint.post(url, HEADERS, FORM)
    assert peer.received == []


async def test_https_to_a_plain_port_says_so(peer: Peer, endpoint: HttpTokenEndpoint) -> None:
    """A wrong scheme is found quickly."""
    url = await peer.start()
    with pytest.raises(TokenUnavailable, match="TLS failed"):
        await endpoint.post(url.replace("http:", "https:"), HEADERS, FORM)
