"""How every client of the sidecar judges the certificates of servers, and what it says about them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from ssl import CERT_REQUIRED, SSLContext, SSLError

import pytest
import requests
import trustme
from cryptography.x509 import DNSName, IPAddress

from sidecar.admin import client as admin
from sidecar.core.errors import SidecarError
from sidecar.core.origin import Origin
from sidecar.core.tls import Tls
from sidecar.credentials.model import AwsSecretCredentials
from sidecar.credentials.sources.aws import SecretsManager
from sidecar.fleet.redis.connect import connect, disconnect
from sidecar.fleet.redis.library import RedisClusterException, RedisError
from sidecar.fleet.redis.reasons import reason
from sidecar.fleet.settings import RedisSettings, SentinelSettings
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.dial import Dialler
from sidecar.http1.tls import TlsUpstreamConnection
from sidecar.oauth.http_client import HttpAuthorizationServer
from sidecar.telemetry.sinks.otlp.endpoint import Session
from tests.support.aws import ENVIRONMENT, REGION
from tests.support.certificates import issue, server_with
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.waiting import PATIENCE
from tests.support.wire_client import LIMIT

NAMES = [DNSName("localhost"), IPAddress(ip_address("127.0.0.1"))]
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ANSWER = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Server:
    """Counts those that talk to it, which is after the handshake."""

    def __init__(self) -> None:
        self.port = 0
        self.guests = 0

    @asynccontextmanager
    async def running(self, pem: bytes, directory: Path) -> AsyncIterator[None]:
        async with self.with_context(server_with(pem, directory)):
            yield

    @asynccontextmanager
    async def with_context(self, context: SSLContext) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._answer, "localhost", 0, ssl=context)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if await reader.read(LIMIT):
                self.guests += 1
                writer.write(ANSWER)
                await writer.drain()
            writer.close()


async def _upstream(port: int, tls: Tls) -> None:
    deadlines = Deadlines(FakeClock())
    dialler = Dialler(Origin("https", "localhost", port, tls))
    connection = await dialler.connect(lambda: TlsUpstreamConnection(deadlines, lambda _: None))
    answer = connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET", 0, lambda _: None)
    await answer


async def _token_endpoint(port: int, tls: Tls) -> None:
    await HttpAuthorizationServer().post(f"https://localhost:{port}/token", {}, "a=b", tls)


async def _redis(port: int, tls: Tls, **more: object) -> None:
    settings = RedisSettings(hosts=(("localhost", port),), tls=tls, **more)  # type: ignore[arg-type]  # as named
    client = connect(settings, timeout=PATIENCE)
    try:
        await client.initialize()
        await client.get("x")
    finally:
        await disconnect(client)


async def _cluster(port: int, tls: Tls) -> None:
    await _redis(port, tls, cluster=True)


async def _sentinel(port: int, tls: Tls) -> None:
    await _redis(port, tls, sentinel=SentinelSettings("main"))


async def _aws(port: int, _tls: Tls) -> None:
    manager = SecretsManager(FakeClock(), RecordingJournal(), total_limit=PATIENCE)
    endpoint = f"https://localhost:{port}"
    spec = AwsSecretCredentials("s", service="ledger", region=REGION, endpoint=endpoint)
    try:
        await manager.source(spec).read("", newer_than=0)
    finally:
        manager.close()


async def _otlp(port: int, tls: Tls) -> None:
    with Session() as session:
        session.verify = tls.ca_file
        try:
            await asyncio.to_thread(session.post, f"https://localhost:{port}", b"x")
        except requests.RequestException:
            raise OSError(session.last) from None


async def _admin(port: int, _tls: Tls) -> None:
    await asyncio.to_thread(admin.ready, f"https://localhost:{port}")


CLIENTS: Mapping[str, Callable[[int, Tls], Awaitable[None]]] = {
    "upstream": _upstream,
    "token endpoint": _token_endpoint,
    "Redis": _redis,
    "Redis Cluster": _cluster,
    "Sentinel": _sentinel,
    "AWS": _aws,
    "OTLP": _otlp,
    "admin": _admin,
}


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Trusted by all of them; those without an option of their own have it from the environment."""
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    file.write_bytes(authority.cert_pem.bytes())
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(file))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return authority


async def attempt(kind: str, port: int, ca_file: Path) -> str:
    """What a client of this kind has to say of the server; "" for nothing."""
    try:
        await CLIENTS[kind](port, Tls(ca_file=str(ca_file)))
    except (SidecarError, OSError) as error:
        return str(error)
    except (RedisError, RedisClusterException) as error:
        return reason(error)
    return ""


@pytest.mark.parametrize("kind", CLIENTS)
async def test_t12_no_client_takes_a_name_from_the_common_name(
    kind: str, authority: trustme.CA, tmp_path: Path
) -> None:
    """Nothing of theirs is sent, though the authority is trusted; where the same server has a real name it is."""
    guests = []
    for names in ([], NAMES):
        server = Server()
        async with server.running(issue(authority, "localhost", names), tmp_path):
            await attempt(kind, server.port, tmp_path / "ca.pem")
        guests.append(server.guests > 0)
    assert guests == [False, True]


@pytest.mark.parametrize("kind", [kind for kind in CLIENTS if kind != "Sentinel"])
async def test_t13_every_client_names_the_cause(kind: str, authority: trustme.CA, tmp_path: Path) -> None:
    """In the same words."""
    expired = authority.issue_cert(
        "localhost", "127.0.0.1", not_before=LONG_AGO, not_after=LONG_AGO + timedelta(days=1)
    )
    server = Server()
    async with server.running(expired.private_key_and_cert_chain_pem.bytes(), tmp_path):
        said = await attempt(kind, server.port, tmp_path / "ca.pem")
    assert "certificate has expired: renew it" in said
    assert server.guests == 0


async def test_t13_a_client_certificate_that_is_missed_after_the_handshake_is_named(
    authority: trustme.CA, tmp_path: Path
) -> None:
    """TLS 1.3 says so only once the client takes the connection for open."""
    context = server_with(issue(authority, "x", NAMES), tmp_path)
    context.verify_mode = CERT_REQUIRED
    authority.configure_trust(context)
    for kind in ("upstream", "token endpoint", "Redis"):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            refusing = asyncio.create_task(asyncio.to_thread(refuse, listener, context))
            said = await attempt(kind, listener.getsockname()[1], tmp_path / "ca.pem")
            await refusing
        assert "the server requires a client certificate" in said, (kind, said)


def refuse(listener: socket.socket, context: SSLContext) -> None:
    """Take one client that has no certificate, and say so before the connection ends: the event loop would not."""
    client, _ = listener.accept()
    with client, context.wrap_socket(client, server_side=True, do_handshake_on_connect=False) as secure:
        with pytest.raises(SSLError, match="did not return a certificate"):
            secure.do_handshake()
        below = secure.detach()
    with socket.socket(fileno=below) as plain:
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(LIMIT):
            pass
