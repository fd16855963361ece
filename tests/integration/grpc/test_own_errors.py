"""Errors of the sidecar's own reach gRPC clients as statuses."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from urllib.parse import unquote

import pytest

from tests.integration.grpc.calls import FIELDS, MESSAGE, call, connect, status
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.http2_peer import Message
from tests.support.http2_upstream import Exchange2, Http2Upstream
from tests.support.sidecar import Start
from tests.support.upstream import says
from tests.support.waiting import until

NO_ERROR = 0


@pytest.fixture
async def far() -> AsyncIterator[Http2Upstream]:
    """The upstream; whatever reached it was well-formed."""
    async with Http2Upstream() as server:
        yield server
        assert server.malformed == []


def route(url: str, **changes: object) -> Mapping[str, object]:
    return {"name": "far", "upstream": url, "protocol": "http2", "token": "api", **changes}


def text(answer: Message) -> str:
    """The message beside the status, decoded as a client does."""
    [value] = answer.values("grpc-message")
    return unquote(value.decode("ascii"))


def of_our_own(answer: Message) -> tuple[int, str]:
    """Status and message of an answer that must be one head, which ends the stream."""
    assert (answer.status, bytes(answer.body), answer.trailers) == (200, b"", ())
    assert answer.reset in {None, NO_ERROR}
    assert answer.values("content-type") == [b"application/grpc"]
    return status(answer), text(answer)


async def test_b96_no_connection_to_the_upstream(sidecar: Start) -> None:
    """UNAVAILABLE, which clients may send again."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    async with sidecar(route(f"http://127.0.0.1:{port}")) as running, await connect(running) as client:
        code, message = of_our_own(await call(client))
    assert code == 14
    assert "connect" in message
    [line] = running.events("request")
    assert (line["status"], line["grpc_status"], line["error"]) == (200, 14, "upstream_unreachable")


async def test_b96_no_token(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer
) -> None:
    """UNAVAILABLE, whether the authorization server refuses or is unavailable."""
    authorization_server.script(says(json_answer(400, {"error": "invalid_scope"})))
    async with sidecar(route(far.url)) as running, await connect(running) as client:
        assert of_our_own(await call(client))[0] == 14
    assert far.requests == []
    assert running.events("request")[0]["error"] == "token_refused"


async def test_b96_no_route_and_a_wrong_version(sidecar: Start, far: Http2Upstream) -> None:
    """UNIMPLEMENTED, as for a method that the server does not have."""
    here = route(far.url, match={"prefix": "/test.Calls"})
    old = {"name": "old", "match": {"prefix": "/old.Calls"}, "upstream": far.url}
    async with sidecar(here, old) as running, await connect(running) as client:
        nowhere = await client.ask(b"POST", b"/other.Calls/Echo", FIELDS, MESSAGE)
        older = await client.ask(b"POST", b"/old.Calls/Echo", FIELDS, MESSAGE)
    assert of_our_own(nowhere) == (12, "no route matches /other.Calls/Echo")
    assert of_our_own(older)[0] == 12
    assert far.requests == []


async def test_b96_a_request_that_gets_no_story(sidecar: Start, far: Http2Upstream) -> None:
    """Such as one with too many fields: RESOURCE_EXHAUSTED."""
    many = [(b"x-%d" % number, b"") for number in range(201)]
    async with sidecar(route(far.url)) as running, await connect(running) as client:
        answer = await client.ask(b"POST", b"/test.Calls/Echo", [*FIELDS, *many], MESSAGE)
    assert of_our_own(answer) == (8, "more than 200 header fields")


LARGE = [(b"x-large", b"v" * 70_000)]
NAMED = [(b"te", b"trailers"), (b"content-type", b"application/grpc+proto")]
TOO_LARGE: Mapping[str, list[tuple[bytes, bytes]]] = {
    "its content type first": [*FIELDS, *LARGE],
    "its content type last": [*LARGE, *NAMED],
    "its content type between": [*LARGE, *NAMED, (b"x-more", b"v" * 40_000)],
    "many fields": [*FIELDS, *[(b"x-%d" % number, b"v" * 1000) for number in range(70)]],
    "many fields before its content type": [
        *[(b"x-%d" % number, b"v" * 1000) for number in range(70)],
        *NAMED,
    ],
    "many small fields": [*[(b"x-%d" % number, b"v") for number in range(2000)], *NAMED],
}


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_b96_fields_that_are_too_large(sidecar: Start, far: Http2Upstream, name: str) -> None:
    """RESOURCE_EXHAUSTED, also where the content type stands beyond the limit; the connection goes on."""
    async with sidecar(route(far.url)) as running, await connect(running) as client:
        code, message = of_our_own(await client.ask(b"POST", b"/test.Calls/Echo", TOO_LARGE[name], MESSAGE))
        assert (await call(client)).status == 200
    assert code == 8
    assert message.endswith("bytes, more than 65536")


async def test_b96_fields_that_are_too_large_of_other_requests(sidecar: Start, far: Http2Upstream) -> None:
    """They get a problem."""
    fields = [*LARGE, (b"content-type", b"application/json"), (b"x-like", b"application/grpc")]
    async with sidecar(route(far.url)) as running, await connect(running) as client:
        answer = await client.ask(b"POST", b"/", fields, b"{}")
    assert (answer.status, answer.values("content-type")) == (431, [b"application/problem+json"])


async def test_b96_an_upstream_that_resets_the_call(sidecar: Start, far: Http2Upstream) -> None:
    """Before its head: UNAVAILABLE."""

    async def reset(exchange: Exchange2) -> None:
        await exchange.read()
        exchange.reset(2)

    far.script(reset)
    async with sidecar(route(far.url)) as running, await connect(running) as client:
        assert of_our_own(await call(client))[0] == 14


@pytest.mark.parametrize("subtype", [b"", b"+proto", b"+json", b";charset=utf-8"])
async def test_b96_all_of_grpcs_content_types(sidecar: Start, far: Http2Upstream, subtype: bytes) -> None:
    """Get statuses; others get problems."""
    fields = [(b"content-type", b"application/grpc" + subtype)]
    async with sidecar(route(far.url, match={"prefix": "/x"})) as running, await connect(running) as client:
        assert of_our_own(await client.ask(b"POST", b"/y", fields, MESSAGE))[0] == 12
        other = await client.ask(b"POST", b"/y", [(b"content-type", b"application/json")], b"{}")
    assert (other.status, other.values("content-type")) == (404, [b"application/problem+json"])


async def test_the_wait_for_a_token_ends_with_the_calls_deadline(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer
) -> None:
    """DEADLINE_EXCEEDED; the fetch goes on for others, and the deadline is relayed as it came."""
    authorization_server.hold = asyncio.Event()
    timeout = (b"grpc-timeout", b"50m")
    async with sidecar(route(far.url)) as running, await connect(running) as client:
        code, _ = of_our_own(await call(client, timeout))
        assert code == 4
        authorization_server.hold.set()
        await until(lambda: len(authorization_server.issued) == 1)
        assert (await call(client, (b"grpc-timeout", b"99999999H"))).status == 200
    assert len(authorization_server.issued) == 1
    assert [received.values("grpc-timeout") for received in far.requests] == [[b"99999999H"]]
    assert running.events("request")[0]["error"] == "deadline_passed"
