"""Opening connections: which address, whose certificate, and what is said when it fails. Over real sockets."""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
import uvloop
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sidecar.core.errors import MessageMalformed, UpstreamTimeout, UpstreamUnreachable
from sidecar.core.origin import Origin
from sidecar.core.tls import Tls
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.dial import Dialler
from sidecar.http1.tls import TlsUpstreamConnection
from sidecar.http1.upstream import UpstreamConnection
from tests.support.clock import FakeClock
from tests.support.upstream import Server
from tests.support.waiting import PATIENCE
from tests.support.wire_client import LIMIT

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Greeter(Server):
    """Accepts connections, and notes their names."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.guests: asyncio.Queue[str] = asyncio.Queue()
        """The name in each client's certificate, "" for none."""

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate = writer.get_extra_info("peercert") or {}
        names = [name for _, name in certificate.get("subjectAltName", ())]
        self.guests.put_nowait("".join(names))
        while await reader.read(LIMIT):
            pass

    async def guest(self, dialler: Dialler) -> str:
        """Return the name of the client when this one dials."""
        connection = await connect(dialler)
        async with asyncio.timeout(PATIENCE):
            name = await self.guests.get()
        connection.abort()
        return name


class Files:
    """An authority of our own, and files that are replaced as mounted secrets are."""

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        self._directory = directory
        self.ca_file = self.put("ca.pem", self.authority.cert_pem.bytes())

    def put(self, name: str, content: bytes) -> str:
        fresh = self._directory / f"{name}.new"
        fresh.write_bytes(content)
        return str(fresh.replace(self._directory / name))

    def put_client(self, name: str) -> str:
        """Certificate and key of a client in one file."""
        return self.put("client.pem", self.authority.issue_cert(name).private_key_and_cert_chain_pem.bytes())

    def remove(self, path: str) -> None:
        Path(path).unlink()

    def server(self, name: str, until: datetime | None = None) -> ssl.SSLContext:
        """What a server of this name shows; it asks for a client certificate of the same authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name, not_after=until, not_before=LONG_AGO).configure_cert(context)
        self.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def origin(port: int, tls: Tls | None = None, host: str = "127.0.0.1", patience: float = PATIENCE) -> Origin:
    return Origin("https" if tls else "http", host, port, tls=tls or Tls(), connect_timeout=patience)


async def connect(dialler: Dialler) -> UpstreamConnection:
    """As a pool does it, where it keeps no list."""
    deadlines = Deadlines(FakeClock())
    kind = TlsUpstreamConnection if dialler._origin.scheme == "https" else UpstreamConnection
    return await dialler.connect(lambda: kind(deadlines, lambda _: None))


async def complaint(wanted: Origin) -> str:
    """What is said about an origin that cannot be used."""
    with pytest.raises((UpstreamUnreachable, MessageMalformed)) as caught:
        await connect(Dialler(wanted))
    return str(caught.value)


@contextmanager
def deaf(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """A port that is listened on but accepts no connections: the queue is full."""
    with ExitStack() as sockets:
        listener, *fillers = (sockets.enter_context(socket.socket()) for _ in range(3))
        listener.bind((host, port))
        listener.listen(0)
        for filler in fillers:
            filler.setblocking(False)  # noqa: FBT003  the standard library's own flag
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_an_authority_of_our_own_is_trusted(files: Files) -> None:
    """With `ca_file` a private authority's server is trusted; no client certificate is shown unasked."""
    async with Greeter(files.server("127.0.0.1")) as server:
        assert await server.guest(Dialler(origin(server.port, Tls(ca_file=files.ca_file)))) == ""


async def test_a_rotated_client_certificate_is_shown_by_the_next_connection(files: Files) -> None:
    """The files are looked at before each connection."""
    tls = Tls(ca_file=files.ca_file, certificate_file=files.put_client("before@test"))
    async with Greeter(files.server("127.0.0.1")) as server:
        dialler = Dialler(origin(server.port, tls))
        assert await server.guest(dialler) == "before@test"
        files.put_client("after@test")
        assert await server.guest(dialler) == "after@test"


async def test_a_half_rotated_pair_heals_when_its_other_half_comes(files: Files) -> None:
    """A new certificate beside the old key fails that connection only."""

    def certify(name: str) -> tuple[bytes, bytes]:
        issued = files.authority.issue_cert(name)
        return issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()

    old, new = certify("before@test"), certify("after@test")
    tls = Tls(files.ca_file, files.put("tls.crt", old[0]), files.put("tls.key", old[1]))
    async with Greeter(files.server("127.0.0.1")) as server:
        dialler = Dialler(origin(server.port, tls))
        assert await server.guest(dialler) == "before@test"
        files.put("tls.crt", new[0])
        with pytest.raises(UpstreamUnreachable):
            await connect(dialler)
        files.put("tls.key", new[1])
        assert await server.guest(dialler) == "after@test"


async def test_a_rotated_authority_is_trusted_by_the_next_connection(files: Files) -> None:
    """And the one before it no more."""
    tls = Tls(ca_file=files.ca_file)
    async with Greeter(files.server("127.0.0.1")) as server:
        dialler = Dialler(origin(server.port, tls))
        assert await server.guest(dialler) == ""
        files.put("ca.pem", trustme.CA().cert_pem.bytes())
        with pytest.raises(UpstreamUnreachable):
            await connect(dialler)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("another name", "mismatch|not valid for"),
        ("expired", "expired"),
        ("unknown authority", "unable to get local issuer|self.signed|unknown"),
    ],
)
async def test_who_cannot_prove_itself_is_unreachable(files: Files, fault: str, said: str) -> None:
    """Name, validity and chain are verified, and the message says where and which of them it was."""
    context = files.server(
        "other.example" if fault == "another name" else "127.0.0.1",
        until=LONG_AGO + timedelta(days=1) if fault == "expired" else None,
    )
    if fault == "unknown authority":
        files.put("ca.pem", trustme.CA().cert_pem.bytes())
    async with Greeter(context) as server:
        text = await complaint(origin(server.port, Tls(ca_file=files.ca_file)))
    assert text.startswith(f"TLS with 127.0.0.1:{server.port} failed: ")
    assert re.search(said, text), text


async def test_the_systems_authorities_do_not_vouch_for_a_private_one(files: Files) -> None:
    """Without `ca_file` a private authority counts for nothing."""
    async with Greeter(files.server("127.0.0.1")) as server:
        assert "TLS" in await complaint(Origin("https", "127.0.0.1", server.port))


@pytest.mark.parametrize("which", ["ca_file", "certificate_file", "key_file"])
@pytest.mark.parametrize("state", ["missing", "rubbish"])
async def test_a_file_that_cannot_be_used_is_named(files: Files, which: str, state: str) -> None:
    """The error names the file, not only that there is none."""
    issued = files.authority.issue_cert("sidecar@test")
    paths = {
        "ca_file": files.ca_file,
        "certificate_file": files.put("tls.crt", issued.cert_chain_pems[0].bytes()),
        "key_file": files.put("tls.key", issued.private_key_pem.bytes()),
    }
    files.put(Path(paths[which]).name, b"rubbish")
    if state == "missing":
        files.remove(paths[which])
    async with Greeter(files.server("127.0.0.1")) as server:
        text = await complaint(origin(server.port, Tls(**paths)))
    assert paths[which] in text


async def test_nobody_is_asked_for_the_passphrase_of_a_key(files: Files) -> None:
    """Not on a terminal, where the whole proxy would wait for it: such a key cannot be used."""
    issued = files.authority.issue_cert("sidecar@test")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary"))
    tls = Tls(
        files.ca_file, files.put("tls.crt", issued.cert_chain_pems[0].bytes()), files.put("tls.key", locked)
    )
    async with Greeter(files.server("127.0.0.1")) as server:
        text = await complaint(origin(server.port, tls))
    assert "tls.key" in text
    assert "passphrase" in text


class TwoAddresses(uvloop.Loop):
    """An event loop that finds two addresses for one name."""

    async def getaddrinfo(  # type: ignore[override]
        self, host: str, port: int, **hints: int
    ) -> list[tuple[object, ...]]:
        if host != "two.example":
            return await super().getaddrinfo(host, port, **hints)  # type: ignore[return-value]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in ("127.0.0.2", "127.0.0.1")
        ]


@pytest.mark.parametrize("first", ["refuses", "does not answer"])
def test_all_addresses_of_a_name_are_tried(first: str) -> None:
    """Where the first address refuses, or is silent for a moment, the next one is taken."""

    async def dial() -> str:
        async with Greeter() as server:
            with ExitStack() as first_address:
                if first == "does not answer":
                    first_address.enter_context(deaf("127.0.0.2", server.port))
                connection = await connect(Dialler(origin(server.port, host="two.example")))
            peer = connection.transport.get_extra_info("peername")
            connection.abort()
            return str(peer[0])

    with asyncio.Runner(loop_factory=TwoAddresses) as runner:
        assert runner.run(dial()) == "127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "nobody.invalid"])
async def test_who_is_not_there_is_unreachable(host: str) -> None:
    """A refused connection and a name without an address are reported with host and port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = await complaint(origin(port, host=host))
    assert text.startswith(f"cannot connect to {host}:{port}: ")
    assert not text.endswith(": ")


async def test_a_connection_that_is_not_taken_in_time_is_given_up() -> None:
    """After `connect_timeout` it is a time-out of the upstream's."""
    with deaf() as port, pytest.raises(UpstreamTimeout, match=rf"127\.0\.0\.1:{port} .* 0\.05 s"):
        await connect(Dialler(origin(port, patience=0.05)))


async def test_a_handshake_that_does_not_end_is_given_up(files: Files) -> None:
    """TLS counts as connecting, and what was opened for it is closed."""
    async with Greeter() as server:
        with pytest.raises(UpstreamTimeout):
            await connect(Dialler(origin(server.port, Tls(ca_file=files.ca_file), patience=0.1)))
        async with asyncio.timeout(PATIENCE):
            while server.open_connections:
                await asyncio.sleep(0.001)


async def test_h1_an_upstream_that_sends_bytes_before_tls_is_not_spoken_to(files: Files) -> None:
    """A mail server's greeting, say; the message says what happened."""

    class Banner(Greeter):
        async def serve(
            self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(b"220 mail.test ESMTP\r\n")
            await super().serve(number, reader, writer)

    async with Banner() as server:
        text = await complaint(origin(server.port, Tls(ca_file=files.ca_file)))
    assert f"127.0.0.1:{server.port}" in text
    assert not text.endswith(": ")


@pytest.mark.parametrize("closes", [False, True])
async def test_h1_an_upstream_that_does_not_wait_for_a_request_is_not_sent_one(
    files: Files, *, closes: bool
) -> None:
    """What it says right after the TLS handshake answers nothing, whether it arrives with that or later."""

    class Hasty(Greeter):
        async def serve(
            self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            if not closes:
                await super().serve(number, reader, writer)

    async with Hasty(files.server("127.0.0.1")) as server:
        try:
            connection = await connect(Dialler(origin(server.port, Tls(ca_file=files.ca_file))))
        except UpstreamUnreachable:
            return
        async with asyncio.timeout(PATIENCE):
            while not connection.closed:
                await asyncio.sleep(0.001)


async def test_a_handshake_that_is_broken_off_is_told(files: Files) -> None:
    """The message does not end where the reason should be."""

    class Shy(Greeter):
        async def serve(
            self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            await reader.read(LIMIT)

    async with Shy() as server:
        text = await complaint(origin(server.port, Tls(ca_file=files.ca_file)))
    assert not text.endswith(": ")
