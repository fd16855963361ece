"""Connections: how they are opened, how long they may be silent, and how they end."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest
import trustme

from tests.support.clock import settle
from tests.support.sidecar import Running, Start
from tests.support.upstream import OK, Exchange, Upstream, when
from tests.support.waiting import PATIENCE
from tests.support.wire_client import TruncatedError, ask, open_stream

Route = Mapping[str, object]


async def test_a_slow_head_is_408(relay: Running, upstream: Upstream) -> None:
    """However the bytes drip, a head has ten seconds."""
    async with await relay.connect() as client:
        await client.send(b"GET / HTTP/1.1\r\n")
        await settle()
        for _ in range(6):
            await client.send(b"X-A: 1\r\n")
            await relay.clock.advance(2)
        assert (await client.answer()).status == 408
        assert await client.ending() == "closed"
    assert upstream.requests == []


@pytest.mark.parametrize("used", [False, True], ids=["never used", "between requests"])
async def test_a_silent_connection_is_closed(relay: Running, *, used: bool) -> None:
    """A client with nothing to say is let go without a word."""
    async with await relay.connect() as client:
        if used:
            await client.ask(relay.request(b"GET", b"/"))
        await settle()
        await relay.clock.advance(80)
        try:
            answer = await client.answer()
        except TruncatedError as ending:
            assert not ending.received  # noqa: PT017  either ending is one
        else:
            assert answer.status == 408


async def test_a_silent_upload_is_given_up(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """A client that stops in the middle of its body is not waited for longer than the route says."""
    async with sidecar({**plain, "timeouts": {"idle": "5s"}}) as running:
        async with await running.connect() as client:
            await client.send(running.request(b"POST", b"/", b"Content-Length: 10") + b"hello")
            await upstream.reached(1)
            await settle()
            await running.clock.advance(11)
            try:
                answer = await client.answer()
            except TruncatedError:
                pass
            else:
                assert answer.status in {408, 504}
        assert not upstream.requests[0].whole
        assert (await running.get()).status == 200


async def test_a_silent_upstream_is_504(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """An upstream that does not answer within the route's idle time-out is given up."""
    upstream.script(Exchange.peer_left)
    async with sidecar({**plain, "timeouts": {"idle": "5s"}}) as running, asyncio.timeout(PATIENCE):
        asking = asyncio.create_task(running.get())
        await upstream.reached(1)
        await settle()
        await running.clock.advance(6)
        answer = await asking
        assert answer.status == 504
        assert answer.values("Content-Type") == [b"application/problem+json"]
        assert (await running.get()).status == 200


async def test_an_upstream_that_stops_midway_is_broken_off(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """Silence inside an answer's body ends it, and not cleanly."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await exchange.peer_left()

    upstream.script(script)
    async with sidecar({**plain, "timeouts": {"idle": "5s"}}) as running, await running.connect() as client:
        await client.send(running.request(b"GET", b"/"))
        await client.head()
        await settle()
        await running.clock.advance(6)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(PATIENCE):
                await client.reader.readexactly(10)


async def test_an_exchange_may_have_a_total_limit(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """`timeouts.total` bounds the whole exchange."""
    upstream.script(Exchange.peer_left)
    async with sidecar({**plain, "timeouts": {"total": "100ms"}}) as running, asyncio.timeout(PATIENCE):
        assert (await running.get()).status == 504


async def test_nobody_listens_upstream(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """A refused connection is 502, in our name, and the next request tries again."""
    port = upstream.port
    await upstream.stop()
    async with sidecar(plain) as running:
        answer = await running.get()
        assert answer.status == 502
        assert b"sidecar" in b"".join(answer.values("Proxy-Status"))
        await upstream.start(port)
        assert (await running.get()).status == 200


async def test_an_upstream_that_does_not_take_connections(sidecar: Start, plain: Route) -> None:
    """A connection that is not made within `timeouts.connect` is 504."""
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (first, second):
            filler.setblocking(False)  # noqa: FBT003  the standard library's own flag
            filler.connect_ex(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        async with sidecar({**plain, "upstream": url, "timeouts": {"connect": "100ms"}}) as running:
            asking = asyncio.create_task(running.get())
            async with asyncio.timeout(PATIENCE):
                await running.clock.advance(1)
                assert (await asking).status == 504


async def test_all_addresses_of_a_name_are_tried(sidecar: Start, plain: Route, upstream: Upstream) -> None:
    """`localhost` may be two addresses of which one answers."""
    async with sidecar({**plain, "upstream": f"http://localhost:{upstream.port}"}) as running:
        assert (await running.get()).status == 200
    assert upstream.requests[0].values("Host") == [b"localhost:%d" % upstream.port]


async def test_a_unix_socket_may_be_listened_on(
    sidecar: Start, plain: Route, upstream: Upstream, tmp_path: Path
) -> None:
    """Over a Unix socket any valid Host will do: no browser gets there."""
    path = tmp_path / "s"
    async with sidecar(plain, listen=f"unix:{path}") as running:
        assert running.address == f"unix:{path}"
        assert (await running.ask(b"GET /u HTTP/1.1\r\nHost: api.example\r\n\r\n")).status == 200
        assert (await running.ask(b"GET /u HTTP/1.1\r\nHost: api example\r\n\r\n")).status == 400
    assert [received.head.target for received in upstream.requests] == [b"/u"]
    async with sidecar(plain, listen=f"unix:{path}") as running:  # whatever the first one left there
        assert (await running.get()).status == 200


async def test_connections_to_an_upstream_are_limited(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """Requests over the limit wait their turn, as many as there are connections."""
    async with sidecar({**plain, "max_connections": 2}) as running:
        answers = await asyncio.gather(*(running.get(b"/%d" % number) for number in range(4)))
    assert {answer.status for answer in answers} == {200}
    assert upstream.connections <= 2


async def test_many_clients_at_once(relay: Running, upstream: Upstream) -> None:
    """Two hundred connections, five requests each, no answer goes astray."""

    async def echo(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n" + exchange.received.head.target[1:]
        )

    upstream.scripts.extend([echo] * 1000)

    async def one(number: int) -> None:
        async with await relay.connect() as client:
            for turn in range(5):
                name = b"%05d.%02d" % (number, turn)
                assert (await client.ask(relay.request(b"GET", b"/" + name))).body == name

    await asyncio.gather(*(one(number) for number in range(200)))


@pytest.mark.parametrize("drain_timeout", ["10s", "0s"])
async def test_b80_stopping_answers_until_nothing_is_under_way(
    sidecar: Start, plain: Route, upstream: Upstream, drain_timeout: str
) -> None:
    """A request in flight gets its answer, late ones too; then connections end and the port is closed."""
    go = asyncio.Event()
    upstream.script(when(go, OK))
    async with sidecar(plain, drain_timeout=drain_timeout) as running, await running.connect() as client:
        async with await running.connect() as idle:
            await client.send(running.request(b"GET", b"/"))
            await upstream.reached(1)
            stopping = asyncio.create_task(running.app.stop())
            await settle()
            late = await running.get()
            assert (late.body, late.values("Connection")) == (b"ok", [b"close"])
            go.set()
            assert (await client.answer()).body == b"ok"
            assert await client.ending() == "closed"
            assert await idle.ending() == "closed"
        async with asyncio.timeout(PATIENCE):
            await stopping
        with pytest.raises(ConnectionRefusedError):
            await running.connect()


async def test_b80_stopping_waits_no_longer_than_the_drain_timeout(
    sidecar: Start, plain: Route, upstream: Upstream
) -> None:
    """A request that takes longer is broken off."""

    async def never(exchange: Exchange) -> None:
        await asyncio.Event().wait()

    upstream.script(never)
    async with sidecar(plain, drain_timeout="10ms") as running, await running.connect() as client:
        await client.send(running.request(b"GET", b"/"))
        await upstream.reached(1)
        async with asyncio.timeout(PATIENCE):
            await running.app.stop()
        assert await client.ending() == "reset"


class Certificates:
    """An authority, and files that hold what it issued."""

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca_file))
        self.client_file = directory / "client.pem"
        self.authority.issue_cert("sidecar@test").private_key_and_cert_chain_pem.write_to_path(
            str(self.client_file)
        )

    def server(self, name: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(context)
        return context


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def secure(upstream: Upstream, name: str = "127.0.0.1", **tls: object) -> Route:
    tls = {key: str(value) for key, value in tls.items()}
    return {"name": "secure", "upstream": f"https://{name}:{upstream.port}", "tls": tls}


async def test_an_upstream_may_speak_tls(sidecar: Start, certificates: Certificates) -> None:
    """Verified against the given authority; bodies go both ways."""
    async with Upstream(certificates.server("127.0.0.1")) as upstream:
        async with sidecar(secure(upstream, ca_file=certificates.ca_file)) as running:
            body = b"a" * 500_000
            upstream.script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            data = running.request(b"POST", b"/", b"Content-Length: %d" % len(body)) + body
            assert (await running.ask(data)).body == body
            assert (await running.get()).body == b"ok"
        assert bytes(upstream.requests[0].body) == body
        assert upstream.connections == 1


@pytest.mark.parametrize("fault", ["unknown authority", "another name", "no TLS at all"])
async def test_an_upstream_that_cannot_prove_itself_gets_nothing(
    sidecar: Start, certificates: Certificates, tmp_path: Path, fault: str
) -> None:
    """502, or 504 where nothing comes back, and not a byte of the request."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    name = "other.example" if fault == "another name" else "127.0.0.1"
    context = None if fault == "no TLS at all" else certificates.server(name)
    async with Upstream(context) as upstream:
        ca_file = other if fault == "unknown authority" else certificates.ca_file
        wait = "500ms" if fault == "no TLS at all" else "1m"
        route = {**secure(upstream, ca_file=ca_file), "timeouts": {"connect": wait}}
        async with sidecar(route) as running:
            assert (await running.get()).status == (504 if fault == "no TLS at all" else 502)
        assert upstream.requests == []


async def test_a_client_certificate_is_shown(sidecar: Start, certificates: Certificates) -> None:
    """An upstream that requires one gets it, and refuses clients without one."""
    context = certificates.server("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    certificates.authority.configure_trust(context)
    async with Upstream(context) as upstream:
        anonymous = secure(upstream, ca_file=certificates.ca_file)
        async with sidecar(anonymous) as running:
            assert (await running.get()).status == 502
        known = secure(upstream, ca_file=certificates.ca_file, certificate_file=certificates.client_file)
        async with sidecar(known) as running:
            assert (await running.get()).status == 200
        assert len(upstream.requests) == 1


@pytest.mark.parametrize("clean", [False, True], ids=["cut", "close_notify"])
async def test_tls_tells_a_cut_from_an_end(
    sidecar: Start, certificates: Certificates, *, clean: bool
) -> None:
    """A body delimited by the end is whole only if TLS said so (RFC 8446 section 6.1)."""

    async def script(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        if clean:
            exchange.close()
            return
        exchange.closed = True
        exchange.writer.transport.abort()

    async with Upstream(certificates.server("127.0.0.1")) as upstream:
        upstream.script(script)
        async with sidecar(secure(upstream, ca_file=certificates.ca_file)) as running:
            if clean:
                assert (await running.get()).body == b"hello"
            else:
                with pytest.raises(TruncatedError):
                    await running.ask(running.request(b"POST", b"/", b"Content-Length: 0"))


async def test_the_log_names_requests_without_their_query(sidecar: Start, plain: Route) -> None:
    """One access log line for each request, also for refused ones."""
    async with sidecar(plain) as running:
        await ask(running.address, running.request(b"GET", b"/a?q=canary", b"X-Request-Id: r-1"))
        await running.ask(b"GET /a HTTP/1.1\r\nHost: foreign.example\r\n\r\n")
        reader, writer = await open_stream(running.address)
        writer.close()
        await reader.read()
    lines = running.events("request")
    assert [(line["status"], line["path"]) for line in lines] == [(200, "/a"), (421, "/a")]
    assert lines[0]["request_id"] == "r-1"
