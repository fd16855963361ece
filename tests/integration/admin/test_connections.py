"""How connections to the admin server begin, wait and end, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress

import pytest

from sidecar.admin import server as admin
from sidecar.admin.bust import MAX_BODY
from sidecar.admin.server import MAX_CONNECTIONS
from sidecar.app.listen import bind
from sidecar.core.secret import Secret
from tests.support.admin_server import TOKEN, Rig, State, running
from tests.support.journal import RecordingJournal
from tests.support.waiting import PATIENCE, until

BUST = (
    f"POST /bust HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: %d\r\n\r\n"
).encode()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """An admin server on a port of its own."""
    async with running(State()) as rig:
        yield rig


async def connected(rig: Rig) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = rig.server.address.rsplit(":", 1)
    return await asyncio.open_connection(host, int(port))


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /healthz HTTP/1.0\r\n\r\n",  # a load balancer's check
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET http://10.1.2.3:9181/healthz HTTP/1.1\r\nHost: 10.1.2.3:9181\r\n\r\n",
        b"GET /healthz?verbose HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: keep-alive\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_s18_probes_of_all_kinds_are_answered(rig: Rig, request_: bytes) -> None:
    """No probe fails because of a field that its answer does not depend on."""
    assert (await rig.send(request_)).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_s18_a_request_may_arrive_in_parts(rig: Rig) -> None:
    """Of its head and of its body."""
    reader, writer = await connected(rig)
    for part in (BUST[:20], BUST[20:-2] % 13, b"\r\n", b'{"all"', b": true}"):
        writer.write(part)
        await writer.drain()
        await rig.send(b"GET /healthz HTTP/1.0\r\n\r\n")  # by then the part has arrived
    async with asyncio.timeout(PATIENCE):
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    writer.close()
    assert rig.state.busted == [frozenset()]


async def test_s18_a_client_that_closed_its_half_gets_its_answer(rig: Rig) -> None:
    """As `nc -N` does; without a complete request there is no answer."""
    for data, answer in (
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK"),
        (BUST % 100 + b"{", b"HTTP/1.1 400 Bad Request"),
        (b"GET /healthz HT", b""),
    ):
        reader, writer = await connected(rig)
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).partition(b"\r\n")[0] == answer
        writer.close()
    assert (rig.state.busted, rig.journal.events) == ([], [])


@pytest.mark.parametrize(
    ("first", "token", "answers"),
    [
        (b"POST /bust HTTP/1.1\r\nExpect: 100-continue", TOKEN, [b"100", b"200"]),
        (b"POST /bust HTTP/1.1\r\nExpect: 100-Continue", TOKEN, [b"100", b"200"]),
        (b"POST /bust HTTP/1.1\r\nExpect: 100-continue", "another", [b"401"]),
        (b"POST /bust HTTP/1.0\r\nExpect: 100-continue", TOKEN, [b"200"]),
        (b"POST /bust HTTP/1.1\r\nAccept: 100-continue", TOKEN, [b"200"]),
    ],
)
async def test_s18_a_client_that_waits_for_a_100_gets_it(
    rig: Rig, first: bytes, token: str, answers: list[bytes]
) -> None:
    """Before its body is read (RFC 9110 section 10.1.1); in HTTP/1.0, and without the token, it does not."""
    reader, writer = await connected(rig)
    body = b'{"all": true}'
    writer.write(b"%b\r\nHost: localhost\r\nContent-Length: %d\r\n" % (first, len(body)))
    writer.write(b"Authorization: Bearer %b\r\n\r\n" % token.encode())
    got = []
    async with asyncio.timeout(PATIENCE):
        if b"100" in answers:
            got.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(body)
        got.append(await reader.read())
    writer.close()
    assert [answer.split()[1] for answer in got] == answers


@pytest.mark.parametrize("way", ["half closed", "reset", "cut off"])
async def test_s18_a_body_that_ended_before_it_is_read_is_too_short(way: str) -> None:
    """The client sends no more while admin.token is being read: a 400, and no task waits for the rest."""
    state, asked, go_on = State(), asyncio.Event(), asyncio.Event()

    async def token() -> Secret | None:
        asked.set()
        await go_on.wait()
        return state.token

    state.operators_token = token  # type: ignore[method-assign]
    async with running(state) as rig, asyncio.timeout(PATIENCE):
        reader, writer = await connected(rig)
        writer.write(BUST[:-2] % 100 + b"Expect: 100-continue\r\n\r\n{")
        await asked.wait()
        (connection,) = rig.server._connections
        answering = connection.answering
        if way == "reset":
            writer.transport.abort()
            await until(lambda: not rig.server._connections)
        elif way == "half closed":
            writer.write_eof()
            await until(lambda: connection._eof)
        go_on.set()
        if way == "cut off":  # the handler goes on before the connection is lost
            connection.cut()
        assert answering is not None
        await answering
        if way == "half closed":
            assert (await reader.read()).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        writer.close()
    assert (state.busted, rig.journal.events) == ([], [])


async def test_s18_no_reset_overtakes_the_answer_to_a_body_that_is_not_read(rig: Rig) -> None:
    """The client reads its 413 after it has sent everything; the server closes only then."""
    reader, writer = await connected(rig)
    length = 50 * MAX_BODY
    writer.write(BUST % length)
    async with asyncio.timeout(PATIENCE):
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(b" " * length)
        await writer.drain()
        await reader.read()
    assert head.startswith(b"HTTP/1.1 413 ")
    writer.close()


async def test_s18_a_client_that_sends_on_and_on_is_closed(rig: Rig) -> None:
    """What follows an answer is dropped within a bound."""
    _, writer = await connected(rig)
    writer.write(BUST % 100_000_000)
    async with asyncio.timeout(PATIENCE):
        while not writer.is_closing():
            writer.write(b" " * 65536)
            with suppress(ConnectionError):
                await writer.drain()
    writer.close()


async def test_s18_an_answer_under_way_is_given_a_second_at_the_end() -> None:
    """Then it is cancelled, so that nothing delays the end of the pod."""
    state, journal = State(), RecordingJournal()
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> bytes:
        asked.set()
        await go_on.wait()
        return b"up 1.0\n"

    state.text = slow
    for answered in (True, False):
        server = await admin.start(state, "127.0.0.1:0", journal, bind)
        rig = Rig(state, journal, server)
        answer = asyncio.create_task(rig.send(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"))
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
            closing = asyncio.create_task(server.close())
            if answered:
                go_on.set()
            await closing
            assert (await answer).endswith(b"up 1.0\n") is answered
        asked.clear()
        go_on.clear()
    assert journal.events == []


def test_s18_connections_that_come_at_once_are_bounded_too() -> None:
    """asyncio's own loop accepts many before it makes the first; the latest of them is served."""

    async def at_once() -> None:
        async with running(State()) as rig:
            host, port = rig.server.address.rsplit(":", 1)
            with ExitStack() as clients:
                for _ in range(3 * MAX_CONNECTIONS):
                    clients.enter_context(socket.create_connection((host, int(port))))
                answer = await rig.send(b"GET /healthz HTTP/1.0\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
                assert len(rig.server._connections) <= MAX_CONNECTIONS

    asyncio.run(at_once())
