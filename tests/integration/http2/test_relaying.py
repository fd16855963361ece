"""Requests over HTTP/2 through a sidecar, between a client and an upstream that know nothing of it."""

from tests.integration.http2.conftest import connect, route
from tests.support.authorization_server import AuthorizationServer
from tests.support.http2_upstream import Http2Upstream, answering, echo, refusing
from tests.support.sidecar import Start


async def test_b93_a_request_gets_a_token_and_its_answer(sidecar: Start, http2: Http2Upstream) -> None:
    """The pseudo-fields are the upstream's, the token is never indexed, the rest is as it was sent."""
    http2.script(answering(200, [(b"content-type", b"text/plain"), (b"x-a", b"1"), (b"x-a", b"2")], b"hello"))
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        answer = await client.ask(b"GET", b"/a?b", [(b"x-b", b"3"), (b"authorization", b"Basic x")])
    assert (answer.status, bytes(answer.body), answer.reset) == (200, b"hello", None)
    assert answer.fields[1:] == ((b"content-type", b"text/plain"), (b"x-a", b"1"), (b"x-a", b"2"))
    [received] = http2.requests
    assert dict(received.fields) == {
        b":method": b"GET",
        b":scheme": b"http",
        b":authority": f"127.0.0.1:{http2.port}".encode(),
        b":path": b"/a?b",
        b"x-b": b"3",
        b"authorization": b"Bearer " + received.token.encode(),
    }
    assert b"authorization" in received.never_indexed


async def test_b93_a_post_with_trailers(sidecar: Start, http2: Http2Upstream) -> None:
    """Content and trailers arrive, both ways."""
    http2.script(answering(200, [], b"answer", [(b"grpc-status", b"0")]))
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        answer = await client.ask(b"POST", b"/", [], b"question", [(b"x-checksum", b"7")])
    assert (answer.status, bytes(answer.body), answer.trailers) == (200, b"answer", ((b"grpc-status", b"0"),))
    [received] = http2.requests
    assert (bytes(received.body), received.trailers) == (b"question", ((b"x-checksum", b"7"),))


async def test_b93_many_streams_share_one_connection(sidecar: Start, http2: Http2Upstream) -> None:
    """Those of one client, and those of another."""
    async with (
        sidecar(route(http2, token="api")) as running,
        await connect(running) as client,
        await connect(running) as other,
    ):
        streams = [await client.request(b"POST", b"/%d" % number, [], b"x" * number) for number in range(50)]
        for stream in streams:
            assert (await client.answer(stream)).status == 200
        assert (await other.ask()).status == 200
    assert len(http2.requests) == 51
    assert {received.connection for received in http2.requests} == {1}


async def test_b93_a_refused_token_is_healed_by_a_second_stream(
    sidecar: Start, http2: Http2Upstream, authorization_server: AuthorizationServer
) -> None:
    """With another token and the same bytes."""
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        assert (await client.ask()).status == 200
        http2.script(refusing())
        answer = await client.ask(b"POST", b"/", [], b"body", [(b"x-t", b"1")])
    assert (answer.status, bytes(answer.body)) == (200, b"ok")
    first, second = http2.requests[1:]
    assert (first.token, second.token) == tuple(authorization_server.issued)
    assert (
        (bytes(first.body), first.trailers)
        == (bytes(second.body), second.trailers)
        == (b"body", ((b"x-t", b"1"),))
    )
    [line] = [line for line in running.events("request") if line["attempts"] == 2]
    assert (line["protocol"], line["status"], line["bytes_in"]) == ("http2", 200, 4)
    assert [event["outcome"] for event in running.events("resent")] == ["healed"]


async def test_b93_content_of_a_megabyte_both_ways(sidecar: Start, http2: Http2Upstream) -> None:
    """As fast as the windows allow."""
    http2.script(echo)
    content = bytes(range(256)) * 4096
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        answer = await client.ask(b"POST", b"/", [], content, [(b"x-t", b"1")])
    assert (bytes(answer.body), answer.trailers) == (content, ((b"x-t", b"1"),))
