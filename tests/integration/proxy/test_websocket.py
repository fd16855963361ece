"""A real WebSocket client and server, and the sidecar between them: without TLS to the upstream and with it."""

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

import pytest
import trustme
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Origin, Subprotocol

from tests.support.authorization_server import AuthorizationServer
from tests.support.processes import File, run
from tests.support.sidecar import Running, Start
from tests.support.upstream import INVALID_TOKEN
from tests.support.waiting import PATIENCE, at_rest, until
from tests.support.wire_client import ask

Route = Mapping[str, object]
CHAT = Subprotocol("chat")
Handler = Callable[[ServerConnection], Awaitable[None]]


async def echo(socket: ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)


class Sockets:
    """A WebSocket server: it keeps what its handshakes carried, and refuses the tokens in its list."""

    def __init__(self) -> None:
        self.handler: Handler = echo
        self.offers: list[Request] = []
        self.refused: set[str] = set()
        self.status = HTTPStatus.UNAUTHORIZED
        self.url = ""

    @property
    def tokens(self) -> list[str]:
        """The token of each handshake, in the order of arrival."""
        return [offer.headers.get("Authorization", "").removeprefix("Bearer ") for offer in self.offers]

    async def handle(self, socket: ServerConnection) -> None:
        await self.handler(socket)

    def judge(self, socket: ServerConnection, offer: Request) -> Response | None:
        self.offers.append(offer)
        if self.tokens[-1] not in self.refused:
            return None
        response = socket.respond(self.status, "refused")
        response.headers["WWW-Authenticate"] = INVALID_TOKEN.decode()
        return response


@pytest.fixture(params=["plain", "TLS"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> ssl.SSLContext | None:
    """What the upstream speaks."""
    if request.param == "plain":
        return None
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
async def sockets(tls: ssl.SSLContext | None) -> AsyncIterator[Sockets]:
    """The upstream."""
    sockets = Sockets()
    async with serve(
        sockets.handle,
        "127.0.0.1",
        0,
        ssl=tls,
        process_request=sockets.judge,
        subprotocols=[CHAT],
        max_size=None,
        ping_interval=None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sockets.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield sockets


@pytest.fixture
def open_route(sockets: Sockets, tls: ssl.SSLContext | None, tmp_path: Path) -> Route:
    """A route for everything, without a token; a busy machine may take its time for two hundred handshakes."""
    secure = {"tls": {"ca_file": str(tmp_path / "ca.pem")}} if tls else {}
    patient = {"connect": f"{PATIENCE:.0f}s"}
    return {"name": "sockets", "upstream": sockets.url, "timeouts": patient, **secure}


@pytest.fixture
def route(open_route: Route) -> Route:
    """A route for everything, with a token."""
    return {**open_route, "token": "api"}


def client_of(address: str, *, origin: Origin | None = None, compression: str | None = None) -> connect:
    """A client of the sidecar there."""
    return connect(
        f"ws://{address}/chat",
        origin=origin,
        compression=compression,
        subprotocols=[CHAT],
        additional_headers={"Authorization": "Bearer the-client-s-own"},
        proxy=None,
        max_size=None,
        ping_interval=None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
    )


@asynccontextmanager
async def ends(
    running: Running, sockets: Sockets
) -> AsyncIterator[tuple[ClientConnection, ServerConnection]]:
    """Both ends of one WebSocket; the test does what the server does."""
    taken: asyncio.Queue[ServerConnection] = asyncio.Queue()

    async def wait(socket: ServerConnection) -> None:
        taken.put_nowait(socket)
        await socket.wait_closed()

    sockets.handler = wait
    async with client_of(running.address) as client, asyncio.timeout(PATIENCE):
        yield client, await taken.get()


# The token


async def test_b72_the_handshake_carries_the_token(
    sidecar: Start, route: Route, sockets: Sockets, authorization_server: AuthorizationServer
) -> None:
    """In place of whatever the client sent; then messages go both ways."""
    async with sidecar(route) as running, client_of(running.address) as client:
        await client.send("hello")
        assert await client.recv() == "hello"
    assert sockets.tokens == authorization_server.issued
    assert sockets.offers[0].path == "/chat"


async def test_b72_a_401_on_the_handshake_heals(
    sidecar: Start, route: Route, sockets: Sockets, authorization_server: AuthorizationServer
) -> None:
    """The refused token is dropped, another fetched, the handshake sent once more: the client only sees 101."""
    async with sidecar(route) as running:
        async with client_of(running.address):
            pass
        [first] = authorization_server.issued
        sockets.refused.add(first)
        for _ in range(2):
            async with client_of(running.address) as client:
                await client.send("hello")
                assert await client.recv() == "hello"
        _, second = authorization_server.issued
    assert sockets.tokens == [first, first, second, second]
    assert [line["attempts"] for line in running.events("request")] == [1, 2, 1]
    assert [line["status"] for line in running.events("request")] == [101] * 3
    assert [line["outcome"] for line in running.events("resent")] == ["healed"]


async def test_b72_a_token_refused_twice_is_the_upstreams_answer(
    sidecar: Start, route: Route, sockets: Sockets, authorization_server: AuthorizationServer
) -> None:
    """Two handshakes at most; the client gets the refusal as it is."""
    sockets.refused.update(("canary-token-1", "canary-token-2"))
    async with sidecar(route) as running:
        with pytest.raises(InvalidStatus) as refused:
            async with client_of(running.address):
                pass
        assert refused.value.response.status_code == 401
        assert refused.value.response.body == b"refused"
        assert refused.value.response.headers["WWW-Authenticate"] == INVALID_TOKEN.decode()
    assert sockets.tokens == authorization_server.issued == ["canary-token-1", "canary-token-2"]


async def test_b72_handshakes_refused_together_share_a_fetch(
    sidecar: Start, route: Route, sockets: Sockets, authorization_server: AuthorizationServer
) -> None:
    """Many handshakes with a refused token do not fetch one each; one sent during a fetch needs the next."""
    async with sidecar(route) as running:
        async with client_of(running.address):
            pass
        sockets.refused.update(authorization_server.issued)
        async with asyncio.TaskGroup() as group:
            crowd = [group.create_task(_open_and_close(running)) for _ in range(20)]
        assert [task.result() for task in crowd] == ["hello"] * 20
    assert 2 <= len(authorization_server.issued) <= 10


async def _open_and_close(running: Running) -> str | bytes:
    async with client_of(running.address) as client:
        await client.send("hello")
        return await client.recv()


async def test_an_open_socket_outlives_its_token(
    sidecar: Start, route: Route, sockets: Sockets, authorization_server: AuthorizationServer
) -> None:
    """The token was for the handshake: what happens to it afterwards is nothing to the tunnel."""
    async with sidecar(route) as running, client_of(running.address) as client:
        sockets.refused.update(authorization_server.issued)
        async with client_of(running.address) as second:
            await second.send("b")
            assert await second.recv() == "b"
        await client.send("a")
        assert await client.recv() == "a"


@pytest.mark.parametrize("status", [200, 400, 403, 503])
async def test_an_upstream_that_declines_is_relayed(
    sidecar: Start, route: Route, sockets: Sockets, status: int
) -> None:
    """Any answer but 101 is an ordinary one."""
    sockets.refused.add("canary-token-1")
    sockets.status = HTTPStatus(status)
    async with sidecar(route) as running:
        with pytest.raises(InvalidStatus) as declined:
            async with client_of(running.address):
                pass
        assert (declined.value.response.status_code, declined.value.response.body) == (status, b"refused")


async def test_a_browser_page_of_another_site_is_refused(
    sidecar: Start, route: Route, sockets: Sockets, authorization_server: AuthorizationServer
) -> None:
    """A page may open a WebSocket to anywhere; it does not get our token for it."""
    async with sidecar(route) as running:
        with pytest.raises(InvalidStatus) as refused:
            async with client_of(running.address, origin=Origin("https://evil.example")):
                pass
        assert refused.value.response.status_code == 403
        async with client_of(running.address, origin=Origin("http://localhost:3000")):
            pass
    assert len(sockets.offers) == 1


async def test_h5_a_server_that_compares_origin_with_host_is_content(
    sidecar: Start, route: Route, sockets: Sockets, authorization_server: AuthorizationServer
) -> None:
    """A client's Origin is the sidecar's, the upstream's Host is its own: so is the Origin it gets."""
    async with (
        sidecar(route) as running,
        client_of(running.address, origin=Origin(f"http://{running.address}")),
    ):
        pass
    [offer] = sockets.offers
    assert offer.headers["Origin"] == sockets.url
    assert offer.headers["Origin"].partition("://")[2] == offer.headers["Host"]


# What flows


async def test_b72_large_messages_both_ways_at_once(
    sidecar: Start, open_route: Route, sockets: Sockets
) -> None:
    """8 MiB each, neither waiting for the other."""
    up, down = os.urandom(8 << 20), os.urandom(8 << 20)
    async with sidecar(open_route) as running, ends(running, sockets) as (client, server):
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            group.create_task(client.send(up))
            group.create_task(server.send(down))
            received = group.create_task(server.recv()), group.create_task(client.recv())
        assert [task.result() for task in received] == [up, down]


async def test_b72_many_small_messages_keep_their_order(
    sidecar: Start, open_route: Route, sockets: Sockets
) -> None:
    """Sent without waiting for the echo."""
    async with sidecar(open_route) as running, client_of(running.address) as client:

        async def send() -> None:
            for number in range(2000):
                await client.send(str(number))

        sending = asyncio.create_task(send())
        async with asyncio.timeout(PATIENCE):
            assert [await client.recv() for _ in range(2000)] == [str(number) for number in range(2000)]
        await sending


async def test_fragments_stay_fragments(sidecar: Start, open_route: Route, sockets: Sockets) -> None:
    """Each is there before the next is sent; pings go in between."""
    go = asyncio.Event()

    async def fragments() -> AsyncIterator[str]:
        yield "a"
        await go.wait()
        yield "b"

    async with sidecar(open_route) as running, ends(running, sockets) as (client, server):
        sending = asyncio.create_task(client.send(fragments()))
        received = []
        async for fragment in server.recv_streaming():
            received.append(fragment)
            await (await server.ping(b"between"))
            go.set()
        await sending
    assert "".join(map(str, received)) == "ab"
    assert len(received) >= 2


async def test_b72_pings_are_answered_by_the_peer(
    sidecar: Start, open_route: Route, sockets: Sockets
) -> None:
    """Both ways, with their payload; the sidecar adds none."""
    async with sidecar(open_route) as running, ends(running, sockets) as (client, server):
        for end in (client, server):
            async with asyncio.timeout(PATIENCE):
                assert await (await end.ping(b"payload")) < PATIENCE


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_b72_subprotocol_and_extensions_are_the_peers_own(
    sidecar: Start, open_route: Route, sockets: Sockets, compression: str | None
) -> None:
    """What they agree on reaches both; compressed frames pass as they are."""
    message = "compress me " * 1000
    async with sidecar(open_route) as running, client_of(running.address, compression=compression) as client:
        assert client.subprotocol == "chat"
        names = [extension.name for extension in client.protocol.extensions]
        assert names == (["permessage-deflate"] if compression else [])
        await client.send(message)
        assert await client.recv() == message
    [line] = running.events("request")
    assert isinstance(line["bytes_in"], int)
    assert (line["bytes_in"] < 1000) == (compression is not None)


async def test_b72_a_reader_that_does_not_read_holds_up_the_sender(
    sidecar: Start, open_route: Route, sockets: Sockets
) -> None:
    """It does not fill our memory; when it reads, everything is there."""
    sent, total, message = 0, 640, b"a" * (64 << 10)

    async def flood(server: ServerConnection) -> None:
        nonlocal sent
        for _ in range(total):
            await server.send(message)
            sent += 1

    async with sidecar(open_route) as running, ends(running, sockets) as (client, server):
        flooding = asyncio.create_task(flood(server))
        await at_rest(lambda: sent)
        assert 0 < sent < total // 2
        await client.send("the other way")
        assert await server.recv() == "the other way"
        for _ in range(total):
            assert await client.recv() == message
        await flooding


# Ends


@pytest.mark.parametrize("first", ["client", "server"])
async def test_b72_the_closing_handshake_is_the_peers_own(
    sidecar: Start, open_route: Route, sockets: Sockets, first: str
) -> None:
    """Code and reason arrive, both connections end cleanly, and the log has no error."""
    async with sidecar(open_route) as running:
        async with ends(running, sockets) as (client, server):
            closing, closed = (client, server) if first == "client" else (server, client)
            await closing.close(4001, "good bye")
            await closed.wait_closed()
            assert [(end.close_code, end.close_reason) for end in (client, server)] == [
                (4001, "good bye")
            ] * 2
        await until(lambda: not running.app._listener.connections)
    [line] = running.events("request")
    assert (line["status"], line["error"]) == (101, "")


@pytest.mark.parametrize("first", ["client", "server"])
async def test_b72_an_abrupt_end_is_one_for_the_other(
    sidecar: Start, open_route: Route, sockets: Sockets, first: str
) -> None:
    """The other side sees no closing frame (1006), at once."""
    async with sidecar(open_route) as running, ends(running, sockets) as (client, server):
        gone, left = (client, server) if first == "client" else (server, client)
        gone.transport.abort()
        with pytest.raises(ConnectionClosedError):
            await left.recv()
        assert left.close_code == 1006


async def test_b72_a_silent_socket_is_cut_off(sidecar: Start, open_route: Route, sockets: Sockets) -> None:
    """A ping within the idle limit keeps it open; without one both ends see it go."""
    route = {**open_route, "timeouts": {"idle": "10s"}}
    async with sidecar(route) as running, ends(running, sockets) as (client, server):
        for _ in range(3):
            await running.clock.advance(7)
            await (await client.ping())
        await running.clock.advance(11)
        for end in (client, server):
            with pytest.raises(ConnectionClosed):
                await end.recv()
            assert end.close_code == 1006


async def test_b72_a_tunnel_through_a_unix_socket(
    sidecar: Start, route: Route, sockets: Sockets, tmp_path: Path
) -> None:
    """The same as over TCP."""
    path = str(tmp_path / "s")
    async with (
        sidecar(route, listen=f"unix:{path}"),
        unix_connect(
            path, "ws://localhost/chat", subprotocols=[CHAT], proxy=None, open_timeout=PATIENCE
        ) as client,
    ):
        await client.send("hello")
        assert await client.recv() == "hello"
    assert sockets.tokens == ["canary-token-1"]


MANY = 200


async def _gauges(running: Running) -> tuple[float, float]:
    """Connections and tasks."""
    answer = await ask(running.app.admin_address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    found = dict(line.split() for line in answer.body.decode().splitlines() if line.count(" ") == 1)
    return float(found["sidecar_connections_open"]), float(found["sidecar_tasks"])


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("hard", [False, True], ids=["closed", "aborted"])
async def test_b72_many_tunnels_leave_nothing_behind(
    sidecar: Start, open_route: Route, sockets: Sockets, *, hard: bool
) -> None:
    """No connection, no task, no descriptor, whichever way they end; the idle clock stands still all the time."""
    async with sidecar(open_route) as running:
        assert await _open_and_close(running) == "hello"
        await until(lambda: not running.app._listener.connections)
        before, descriptors = await _gauges(running), _descriptors()
        async with asyncio.timeout(PATIENCE):
            clients = await asyncio.gather(*(client_of(running.address) for _ in range(MANY)))
            assert (await _gauges(running))[0] == MANY
            await asyncio.gather(*(client.send(str(n)) for n, client in enumerate(clients)))
            echoed = await asyncio.gather(*(client.recv() for client in clients))
            assert echoed == [str(n) for n in range(MANY)]
            if hard:
                for client in clients:
                    client.transport.abort()
            await asyncio.gather(*(client.close() for client in clients))
            while await _gauges(running) != before:
                await asyncio.sleep(0.01)
            while _descriptors() > descriptors:
                await asyncio.sleep(0.01)


# The process


async def test_b72_sigterm_waits_for_an_open_socket(file: File, sockets: Sockets, open_route: Route) -> None:
    """It flows on during the drain, and the process ends with it, or with the drain's limit."""
    for limit, own_end in (("1m", True), ("300ms", False)):
        async with run(file, open_route, drain_timeout=limit) as process:
            async with client_of(process.address) as client:
                process.signal(signal.SIGTERM)
                await process.logs("draining")
                await client.send("still here")
                assert await client.recv() == "still here"
                if own_end:
                    await client.close()
                else:
                    with pytest.raises(ConnectionClosedError):
                        await client.recv()
            assert await process.ends() == (0, "stopped")


async def test_b72_a_reload_leaves_open_sockets_alone(
    file: File, sockets: Sockets, open_route: Route
) -> None:
    """They keep the route they were opened on."""
    async with run(file, open_route) as process, client_of(process.address) as client:
        file.change(routes=[{"name": "other", "upstream": "http://127.0.0.1:1"}])
        process.signal(signal.SIGHUP)
        await process.logs("reloaded")
        with pytest.raises(InvalidStatus):
            async with client_of(process.address):
                pass
        await client.send("still here")
        assert await client.recv() == "still here"
