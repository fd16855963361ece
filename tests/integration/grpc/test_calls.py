"""gRPC's own client and server with the sidecar between them: interoperability cases, and tokens that are revoked."""

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from operator import ge
from typing import TypeVar

import grpc
import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.grpc_server import GrpcClient, GrpcServer
from tests.support.sidecar import Running, Start
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, until

Result = TypeVar("Result")
REVOCATIONS = 15
LARGE = 300_000
"""More than a frame, a stream's first window and what is kept for a second send."""


@pytest.fixture
def far(upstream: Upstream) -> Iterator[GrpcServer]:
    """The upstream, which accepts the tokens that were issued and not revoked."""
    with GrpcServer(lambda: upstream.accepts) as server:
        yield server


@pytest.fixture
async def running(sidecar: Start, far: GrpcServer) -> AsyncIterator[Running]:
    async with sidecar(route(far)) as running:
        yield running


@pytest.fixture
async def client(running: Running) -> AsyncIterator[GrpcClient]:
    with GrpcClient(running.address) as client:
        yield client


def route(far: GrpcServer, **changes: object) -> Mapping[str, object]:
    return {"name": "far", "upstream": far.url, "protocol": "http2", "token": "api", **changes}


async def aside(work: Callable[[], Result]) -> Result:
    """Do what blocks in a thread: gRPC's client does not use this event loop."""
    return await asyncio.to_thread(work)


def echo(client: GrpcClient, message: bytes = b"hello") -> bytes:
    reply: bytes = client.unary("Echo")(message, timeout=PATIENCE)
    return reply


def total(client: GrpcClient, sizes: list[int]) -> int:
    reply: bytes = client.upload("Sum")((bytes(size) for size in sizes), timeout=PATIENCE)
    return int(reply)


def count(client: GrpcClient, sizes: list[int]) -> list[int]:
    replies = client.download("Count")(b" ".join(b"%d" % size for size in sizes), timeout=PATIENCE)
    return [len(reply) for reply in replies]


def chat(client: GrpcClient, sizes: list[int]) -> list[int]:
    replies = client.both("Chat")((bytes(size) for size in sizes), timeout=PATIENCE)
    return [len(reply) for reply in replies]


SIZES = [31_415, 9, 2_653, 58_979]
KINDS: Mapping[str, Callable[[GrpcClient], object]] = {
    "unary": echo,
    "client streaming": lambda client: total(client, [27_182, 8, 1_828]),
    "server streaming": lambda client: count(client, SIZES),
    "bidirectional": lambda client: chat(client, [100, 8, 2_000]),
}
REPLIES: Mapping[str, object] = {
    "unary": b"hello",
    "client streaming": 29_018,
    "server streaming": SIZES,
    "bidirectional": [100, 8, 2_000],
}


# The interoperability cases of the gRPC project


async def test_empty_and_large_unary(client: GrpcClient) -> None:
    """`empty_unary` and `large_unary`."""
    assert await aside(lambda: echo(client, b"")) == b""
    assert await aside(lambda: echo(client, bytes(LARGE))) == bytes(LARGE)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_of_call(client: GrpcClient, kind: str) -> None:
    """`client_streaming`, `server_streaming`, `ping_pong`."""
    assert await aside(lambda: KINDS[kind](client)) == REPLIES[kind]


async def test_ping_pong(client: GrpcClient) -> None:
    """Each message is sent when the reply to the one before has arrived."""

    def play() -> list[int]:
        following: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        replies = client.both("Chat")(iter(following.get, None), timeout=PATIENCE)
        sizes = []
        for size in SIZES:
            following.put(bytes(size))
            sizes.append(len(next(replies)))
        following.put(None)
        assert list(replies) == []
        return sizes

    assert await aside(play) == SIZES


async def test_empty_stream(client: GrpcClient) -> None:
    """`empty_stream`: no message either way."""
    assert await aside(lambda: chat(client, [])) == []


async def test_large_streams(client: GrpcClient) -> None:
    """Beyond all windows, both ways."""
    assert await aside(lambda: chat(client, [LARGE, 1, LARGE])) == [LARGE, 1, LARGE]
    assert await aside(lambda: total(client, [LARGE] * 4)) == LARGE * 4


async def test_cancel_after_begin(client: GrpcClient) -> None:
    """`cancel_after_begin`: before any message."""

    def cancel() -> grpc.StatusCode:
        call = client.upload("Sum").future(iter(queue.SimpleQueue[bytes]().get, None))
        call.cancel()
        return call.code()

    assert await aside(cancel) is grpc.StatusCode.CANCELLED


async def test_cancel_after_first_response(client: GrpcClient, far: GrpcServer) -> None:
    """`cancel_after_first_response`: the server learns of it."""

    def cancel() -> grpc.StatusCode:
        call = client.download("Forever")(b"first", timeout=PATIENCE)
        assert next(call) == b"first"
        call.cancel()
        return call.code()

    assert await aside(cancel) is grpc.StatusCode.CANCELLED
    await until(far.cancelled.is_set)


async def test_timeout_on_sleeping_server(client: GrpcClient, far: GrpcServer) -> None:
    """`timeout_on_sleeping_server`: the client's deadline ends the call on both sides."""

    def sleep() -> grpc.StatusCode:
        call = client.download("Forever")(b"", timeout=0.3)
        with pytest.raises(grpc.RpcError):
            next(call)
        return call.code()

    assert await aside(lambda: echo(client)) == b"hello"
    assert await aside(sleep) is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(far.cancelled.is_set)


def failure(client: GrpcClient, message: bytes) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.RpcError) as caught:
        client.unary("Fail")(message, timeout=PATIENCE)
    return caught.value.code(), caught.value.details()


@pytest.mark.parametrize("code", [status for status in grpc.StatusCode if status.value[0] not in (0, 16)])
async def test_status_codes(client: GrpcClient, far: GrpcServer, code: grpc.StatusCode) -> None:
    """`status_code_and_message`: each is relayed, and none is sent again."""
    assert await aside(lambda: failure(client, b"%d why" % code.value[0])) == (code, "why")
    assert len(far.tokens) == 1


async def test_special_status_message(client: GrpcClient) -> None:
    """`special_status_message`: tabs, line ends, and characters outside ASCII."""
    text = "\t\ntest with whitespace\r\nand Unicode BMP \N{WHITE SMILING FACE} and non-BMP \U0001f608\t\n%41"
    assert await aside(lambda: failure(client, b"2 " + text.encode())) == (grpc.StatusCode.UNKNOWN, text)


async def test_unimplemented(client: GrpcClient) -> None:
    """`unimplemented_method`."""

    def ask() -> grpc.StatusCode:
        with pytest.raises(grpc.RpcError) as caught:
            client.unary("Nothing")(b"", timeout=PATIENCE)
        code: grpc.StatusCode = caught.value.code()
        return code

    assert await aside(ask) is grpc.StatusCode.UNIMPLEMENTED


async def test_custom_metadata(client: GrpcClient) -> None:
    """`custom_metadata`: at the beginning and in trailers, binary too, and with a token of the sidecar's only."""
    sent = (
        ("x-echo-initial", "value"),
        ("x-echo-trailing-bin", b"\xab\xab\xab"),
        ("authorization", "Bearer own"),
    )

    def ask() -> tuple[Mapping[str, object], Mapping[str, object]]:
        _, call = client.unary("Echo").with_call(b"", metadata=sent, timeout=PATIENCE)
        return dict(call.initial_metadata()), dict(call.trailing_metadata())

    initial, trailing = await aside(ask)
    assert initial["x-echo-initial"] == "value"
    assert trailing["x-echo-trailing-bin"] == b"\xab\xab\xab"


# Tokens


@pytest.mark.parametrize("kind", KINDS)
async def test_b94_a_revoked_token_is_healed(
    client: GrpcClient, far: GrpcServer, authorization_server: AuthorizationServer, kind: str
) -> None:
    """In each kind of call, with all of the request's messages."""
    assert await aside(lambda: echo(client)) == b"hello"
    authorization_server.revoke(authorization_server.issued[-1])
    assert await aside(lambda: KINDS[kind](client)) == REPLIES[kind]
    assert far.tokens == ["canary-token-1", "canary-token-1", "canary-token-2"]


async def test_b95_a_stream_that_is_refused_after_messages(
    client: GrpcClient, far: GrpcServer, authorization_server: AuthorizationServer
) -> None:
    """It ends with its messages and UNAUTHENTICATED; the next call carries another token."""
    far.refuses_late = lambda token: token == "canary-token-1"

    def ask() -> tuple[list[int], grpc.StatusCode]:
        call = client.download("Count")(b"1 2 3", timeout=PATIENCE)
        sizes = [len(next(call)) for _ in range(3)]
        with pytest.raises(grpc.RpcError):
            next(call)
        return sizes, call.code()

    assert await aside(ask) == ([1, 2, 3], grpc.StatusCode.UNAUTHENTICATED)
    await until(lambda: len(authorization_server.issued) == 2)
    assert await aside(lambda: count(client, [1, 2, 3])) == [1, 2, 3]
    assert far.tokens == ["canary-token-1", "canary-token-2"]


async def test_b94_tokens_are_revoked_under_load(
    running: Running, far: GrpcServer, authorization_server: AuthorizationServer
) -> None:
    """No call ends with UNAUTHENTICATED, and there is one token call for each revocation."""
    over = asyncio.Event()
    callers = [*KINDS, "unary"]
    done = [0] * len(callers)

    def calls(caller: int) -> None:
        kind = callers[caller]
        with GrpcClient(running.address) as client:
            while not over.is_set():
                assert KINDS[kind](client) == REPLIES[kind]
                done[caller] += 1

    load = [asyncio.ensure_future(aside(partial(calls, caller))) for caller in range(len(callers))]

    async def each_made(more: int) -> None:
        """Wait until each caller has made that many calls more."""
        aim = [before + more for before in done]
        await until(lambda: all(map(ge, done, aim)) or any(each.done() for each in load))

    try:
        for _ in range(REVOCATIONS):
            await each_made(2)
            authorization_server.revoke(authorization_server.issued[-1])
        await each_made(2)
    finally:
        over.set()
        await asyncio.gather(*load)
    assert len(authorization_server.issued) <= 1.05 * REVOCATIONS + 1


async def test_b94_a_server_that_refuses_every_token(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """UNAUTHENTICATED for its own reasons: relayed, few second streams, renewals at the cool-down's rate."""
    with GrpcServer(set) as far:
        async with sidecar(route(far)) as running:
            with GrpcClient(running.address) as client:

                def ask() -> grpc.StatusCode:
                    with pytest.raises(grpc.RpcError) as caught:
                        echo(client)
                    code: grpc.StatusCode = caught.value.code()
                    return code

                codes = await aside(lambda: [ask() for _ in range(100)])
    assert set(codes) == {grpc.StatusCode.UNAUTHENTICATED}
    assert len(far.tokens) <= 105
    assert len(authorization_server.issued) == 2
