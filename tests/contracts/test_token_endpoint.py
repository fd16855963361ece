"""The client of authorization servers over real sockets."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from sidecar.core.errors import TokenUnavailable
from sidecar.core.tls import Tls
from sidecar.oauth.http_client import SIZE_LIMIT, HttpAuthorizationServer
from tests.support.waiting import PATIENCE

HEADERS = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": "Basic Y2FuYXJ5"}
FORM = "grant_type=client_credentials&client_secret=canary"


class Peer:
    """Answers every connection with the same bytes and keeps what it was sent."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        self.hangs = False
        self.received: list[bytes] = []
        self.certificates: list[object] = []
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
            if start in {b"POST ", b"GET /"}:
                head = start + await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(len(FORM)) if start == b"POST " else b""
                self.received.append(head + body)
                self.certificates.append(writer.get_extra_info("peercert"))
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
async def endpoint() -> HttpAuthorizationServer:
    return HttpAuthorizationServer()


async def test_the_form_goes_out_as_given_and_the_answer_comes_back_unjudged(
    peer: Peer, endpoint: HttpAuthorizationServer
) -> None:
    """Status, type, body and Retry-After; one POST, no compression asked for, no connection kept."""
    peer.answer = (
        b"HTTP/1.1 503 Busy\r\nContent-Type: text/plain\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy"
    )
    reply = await endpoint.post(await peer.start(), HEADERS, FORM, Tls())
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


async def test_b71_redirects_are_not_followed(peer: Peer, endpoint: HttpAuthorizationServer) -> None:
    """The credentials go nowhere else."""
    other = Peer()
    elsewhere = await other.start()
    peer.answer = f"HTTP/1.1 307 Go\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n".encode()
    assert (await endpoint.post(await peer.start(), HEADERS, FORM, Tls())).status == 307
    assert other.received == []
    await other.stop()


async def test_cookies_are_not_kept(peer: Peer, endpoint: HttpAuthorizationServer) -> None:
    """A load balancer's stickiness is not ours, nor a session across tenants."""
    peer.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    url = await peer.start()
    for _ in range(2):
        await endpoint.post(url, HEADERS, FORM, Tls())
    assert all(b"cookie" not in received.lower() for received in peer.received)


async def test_proxies_and_netrc_of_the_environment_do_not_matter(
    peer: Peer, endpoint: HttpAuthorizationServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Credentials take no way the configuration does not name."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login canary password canary")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    reply = await endpoint.post(await peer.start(), {"Content-Type": HEADERS["Content-Type"]}, FORM, Tls())
    assert reply.status == 200
    assert b"Authorization" not in peer.received[0]


async def test_a_body_is_not_unpacked(peer: Peer, endpoint: HttpAuthorizationServer) -> None:
    """A small answer cannot become a large one."""
    packed = gzip.compress(b"\0" * 10_000_000)
    peer.answer = (
        f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
        + packed
    )
    reply = await endpoint.post(await peer.start(), HEADERS, FORM, Tls())
    assert reply.body == packed


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncanary", "broke off"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (SIZE_LIMIT + 1), "larger than"),
        (b"SSH-2.0-canary\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"canary" * 20_000 + b"\r\n\r\n", "longer than 65536 bytes"),
    ],
    ids=["closed", "cut", "too large", "not HTTP", "endless field"],
)
async def test_answers_that_are_none(
    peer: Peer, endpoint: HttpAuthorizationServer, answer: bytes, hint: str
) -> None:
    """Each is an outage whose message names the host and what to look at, and nothing that was sent."""
    peer.answer = answer
    url = await peer.start()
    with pytest.raises(TokenUnavailable, match=hint) as raised:
        await endpoint.post(url, HEADERS, FORM, Tls())
    assert url.split("/")[2] in str(raised.value)
    assert "canary" not in str(raised.value)


async def test_an_answer_of_exactly_the_limit_is_one(peer: Peer, endpoint: HttpAuthorizationServer) -> None:
    """The limit is the largest size allowed."""
    peer.answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * SIZE_LIMIT
    assert len((await endpoint.post(await peer.start(), HEADERS, FORM, Tls())).body) == SIZE_LIMIT


async def test_b14_a_server_that_hangs_costs_no_more_than_the_limit(peer: Peer) -> None:
    """It takes the request and never answers."""
    peer.hangs = True
    endpoint = HttpAuthorizationServer(total_limit=0.1)
    url = await peer.start()
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(TokenUnavailable, match="in time"):
            await endpoint.post(url, HEADERS, FORM, Tls())


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://127.0.0.1:1/token", "cannot connect"),
        ("http://nowhere.invalid/token", "does not resolve"),
        ("http://127.0.0.1:99999/token", "cannot be used"),
        ("ftp://127.0.0.1/token", "cannot be used"),
    ],
)
async def test_endpoints_that_are_not_there(endpoint: HttpAuthorizationServer, url: str, hint: str) -> None:
    """Every failure to connect is an outage with a hint of its own."""
    with pytest.raises(TokenUnavailable, match=hint):
        await endpoint.post(url, HEADERS, FORM, Tls())


async def test_a_certificate_nobody_vouches_for_is_refused(
    peer: Peer, endpoint: HttpAuthorizationServer
) -> None:
    """No secret is sent before the server has proved its name."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    url = await peer.start(tls)
    with pytest.raises(TokenUnavailable, match="not trusted"):
        await endpoint.post(url, HEADERS, FORM, Tls())
    assert peer.received == []


async def test_https_to_a_plain_port_says_so(peer: Peer, endpoint: HttpAuthorizationServer) -> None:
    """A wrong scheme is found quickly."""
    url = await peer.start()
    with pytest.raises(TokenUnavailable, match="TLS failed"):
        await endpoint.post(url.replace("http:", "https:"), HEADERS, FORM, Tls())


async def test_a_document_is_asked_for_and_comes_back_unjudged(
    peer: Peer, endpoint: HttpAuthorizationServer
) -> None:
    """One GET under the same rules: no redirect is followed."""
    peer.answer = b"HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 2\r\n\r\n{}"
    reply = await endpoint.get(await peer.start(), Tls())
    assert (reply.status, reply.body) == (302, b"{}")
    (received,) = peer.received
    assert received.startswith(b"GET /token HTTP/1.1\r\n")
    assert b"\r\nAccept: application/json\r\n" in received


class Authority:
    """Issues the certificates of one test, as files."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.certificate_file = str(directory / "client.pem")
        self.rotate()

    def rotate(self) -> None:
        self.issued = self.ca.issue_cert("client.test")
        self.issued.private_key_and_cert_chain_pem.write_to_path(self.certificate_file)

    def spoil(self, content: str | None) -> None:
        path = Path(self.certificate_file)
        path.unlink()
        if content is not None:
            path.write_text(content)

    def server(self) -> ssl.SSLContext:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("127.0.0.1").configure_cert(tls)
        tls.verify_mode = ssl.CERT_REQUIRED
        self.ca.configure_trust(tls)
        return tls


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_b62_mutual_tls_presents_our_certificate(
    peer: Peer, endpoint: HttpAuthorizationServer, authority: Authority
) -> None:
    """Named by files; an authority of our own; a rotated certificate is used by the next request."""
    url = await peer.start(authority.server())
    tls = Tls(authority.ca_file, authority.certificate_file)
    await endpoint.post(url, HEADERS, FORM, tls)
    authority.rotate()
    await endpoint.get(url, tls)
    first, second = peer.certificates
    assert first is not None
    assert second is not None
    assert first != second


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\ncanary\n", None])
async def test_certificates_that_cannot_be_used_are_named(
    peer: Peer, endpoint: HttpAuthorizationServer, authority: Authority, content: str | None
) -> None:
    """An outage, because they may be about to be replaced; nothing of them is quoted."""
    url = await peer.start(authority.server())
    path = authority.certificate_file
    authority.spoil(content)
    for tls in (Tls(authority.ca_file, path), Tls(ca_file=path)):
        with pytest.raises(TokenUnavailable, match=r"cannot use .*client\.pem for TLS") as raised:
            await endpoint.post(url, HEADERS, FORM, tls)
        assert "canary" not in str(raised.value)
    assert peer.received == []
