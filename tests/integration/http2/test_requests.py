"""What is sent upstream and returned: fields, bodies that are kept, tenants, redirects, odd methods."""

import pytest

from sidecar.http1.request_body import REPLAY_LIMIT
from tests.integration.http2.conftest import connect, route
from tests.support.http2_upstream import Exchange2, Http2Upstream, Script2, answering, refusing
from tests.support.sidecar import Start
from tests.support.waiting import until


async def test_b93_fields_are_relayed_in_order(sidecar: Start, http2: Http2Upstream) -> None:
    """With duplicates, cookies as they came, `te: trailers`; but for those for proxies, and host."""
    fields = [
        (b"x-a", b"1"),
        (b"cookie", b"a=1"),
        (b"x-a", b"2"),
        (b"cookie", b"b=2"),
        (b"te", b"trailers"),
        (b"proxy-authorization", b"Basic x"),
        (b"host", b"localhost"),
        (b"x-large", b"v" * 20_000),
        (b"x-last", b"\xff"),
    ]
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        assert (await client.ask(b"GET", b"/a//b%2F?c=d", fields)).status == 200
    [received] = http2.requests
    kept = [pair for pair in fields if pair[0] not in (b"proxy-authorization", b"host")]
    assert [pair for pair in received.fields if pair[0][:1] != b":"][:-1] == kept
    assert received.values(":path") == [b"/a//b%2F?c=d"]


async def test_b93_answers_are_relayed_in_order(sidecar: Start, http2: Http2Upstream) -> None:
    """Large ones too, which take more than a frame."""
    fields = [(b"x-%d" % number, b"v" * 1_000) for number in range(50)]
    http2.script(answering(299, fields, b"", ()))
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        answer = await client.ask()
    assert answer.fields == ((b":status", b"299"), *fields)


async def test_without_a_token_the_clients_own_is_relayed(sidecar: Start, http2: Http2Upstream) -> None:
    """One; more than one is refused."""
    own = (b"authorization", b"Basic own")
    async with sidecar(route(http2, token=None)) as running, await connect(running) as client:
        assert (await client.ask(fields=[own])).status == 200
        assert (await client.ask(fields=[own, (b"authorization", b"Basic other")])).status == 400
    [received] = http2.requests
    assert received.values("authorization") == [b"Basic own"]
    assert b"authorization" in received.never_indexed


async def test_a_tenant_is_named_by_a_field(sidecar: Start, http2: Http2Upstream) -> None:
    """Its twins that servers could confuse with it do not go on."""
    tenant = {"header": "X-Tenant-Id"}
    async with sidecar(route(http2, token="api"), tenant=tenant) as running, await connect(running) as client:
        assert (
            await client.ask(fields=[(b"x-tenant-id", b"acme"), (b"x_tenant_id", b"globex")])
        ).status == 200
        assert (await client.ask()).status == 400
    [received] = http2.requests
    assert received.values("x-tenant-id") == [b"acme"]
    assert received.values("x_tenant_id") == []
    assert running.events("request")[0]["tenant"] == "acme"


async def test_an_origin_that_is_the_sidecars_becomes_the_upstreams(
    sidecar: Start, http2: Http2Upstream
) -> None:
    """A page of another site is refused."""
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        assert (await client.ask(fields=[(b"origin", b"http://localhost")])).status == 200
        assert (await client.ask(fields=[(b"origin", b"https://evil.example")])).status == 403
        assert (await client.ask(authority=b"evil.example")).status == 421
        assert (await client.ask(path=b"/a/../b")).status == 400
        assert (await client.ask(path=b"/%2e%2e/b")).status == 400
    [received] = http2.requests
    assert received.values("origin") == [http2.url.encode()]


async def test_routes_by_host_and_prefix(sidecar: Start, http2: Http2Upstream) -> None:
    """As in HTTP/1.1, with the base path of the upstream."""
    hosted = route(
        http2, token="api", name="hosted", match={"host": "ledger.internal"}, upstream=http2.url + "/base"
    )
    stripped = route(http2, token="api", name="stripped", match={"prefix": "/cut"}, strip_prefix=True)
    async with sidecar(hosted, stripped) as running, await connect(running) as client:
        assert (await client.ask(path=b"/x", authority=b"ledger.internal:80")).status == 200
        assert (await client.ask(path=b"/cut/y?z")).status == 200
        assert (await client.ask(path=b"/elsewhere")).status == 404
    assert [received.values(":path") for received in http2.requests] == [[b"/base/x"], [b"/y?z"]]


async def test_redirects_lead_back_here(sidecar: Start, http2: Http2Upstream) -> None:
    """If the route says so."""
    http2.script(answering(302, [(b"location", f"{http2.url}/x".encode()), (b"x-a", b"b")], b"", ()))
    redirected = route(http2, token="api", match={"prefix": "/cut"}, strip_prefix=True, rewrite_location=True)
    async with sidecar(redirected) as running, await connect(running) as client:
        answer = await client.ask(path=b"/cut/y")
    assert answer.fields == ((b":status", b"302"), (b"location", b"/cut/x"), (b"x-a", b"b"))


@pytest.mark.parametrize(
    ("method", "script", "status"),
    [
        (b"HEAD", answering(200, [(b"content-length", b"7")], b"", ()), 200),
        (b"GET", answering(204, [], b"", ()), 204),
        (b"GET", answering(304, [(b"content-length", b"7")], b"", ()), 304),
        (b"GET", answering(200, [(b"content-length", b"0")], b"", ()), 200),
        (b"PROPFIND", answering(207, [], b"x", ()), 207),
        (b"DELETE", answering(200, [], b"", [(b"x-t", b"v")]), 200),
    ],
)
async def test_answers_of_all_kinds(
    sidecar: Start, http2: Http2Upstream, method: bytes, script: Script2, status: int
) -> None:
    """Without content, without a body that a length announces, with trailers only."""
    http2.script(script)
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        answer = await client.ask(method)
        assert (answer.status, answer.reset) == (status, None)
        assert (await client.ask()).status == 200


async def test_a_body_too_large_to_keep_is_not_sent_again(sidecar: Start, http2: Http2Upstream) -> None:
    """Its refusal is relayed, and the token is renewed for the next request."""
    http2.script(refusing())
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        answer = await client.ask(b"POST", b"/", [], bytes(REPLAY_LIMIT + 1))
        assert (answer.status, bytes(answer.body)) == (401, b"refused")
        await until(lambda: len(http2.requests) == 1)
        assert (await client.ask()).status == 200
    assert http2.requests[0].token != http2.requests[1].token


@pytest.mark.parametrize("after", [0, 1, 30_000], ids=["before", "begun", "half"])
async def test_a_refusal_in_the_middle_of_the_request(
    sidecar: Start, http2: Http2Upstream, after: int
) -> None:
    """The rest is kept meanwhile; the second stream carries the same bytes."""

    async def early(exchange: Exchange2) -> None:
        await exchange.read(after)
        await refusing_at_once(exchange)

    content = bytes(range(256)) * 240
    http2.script(early)
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        stream = client.begin_request(b"POST", end=False)
        await client.send(stream, content[:30_000])
        await http2.reached(1)
        await client.send(stream, content[30_000:])
        client.send_fields(stream, [(b"x-t", b"1")], end=True)
        assert (await client.answer(stream)).status == 200
        assert (await client.ask()).status == 200
    second = http2.requests[1]
    assert (bytes(second.body), second.trailers) == (content, ((b"x-t", b"1"),))
    assert second.token != http2.requests[0].token


async def refusing_at_once(exchange: Exchange2) -> None:
    """Refuse the token without reading the rest."""
    exchange.head(401, [(b"www-authenticate", b'Bearer error="invalid_token"')])
    await exchange.send(b"refused", end=True)


async def test_a_token_that_cannot_be_had_is_a_problem(sidecar: Start, http2: Http2Upstream) -> None:
    """The stream gets a status, with Retry-After; the connection goes on."""
    async with (
        sidecar(route(http2, token="api"), token={"token_endpoint": "http://127.0.0.1:1/token"}) as running,
        await connect(running) as client,
    ):
        answer = await client.ask(b"POST", b"/", [], b"content")
        assert answer.status == 503
        assert answer.values("retry-after") != []
    assert http2.requests == []


async def test_many_streams_wait_for_one_token(sidecar: Start, http2: Http2Upstream) -> None:
    """And for one connection; each is answered."""
    async with sidecar(route(http2, token="api")) as running, await connect(running) as client:
        streams = [await client.request(b"POST", b"/", [], b"x" * 1000) for _ in range(100)]
        for stream in streams:
            assert (await client.answer(stream)).status == 200
    assert {received.connection for received in http2.requests} == {1}
    assert len({received.token for received in http2.requests}) == 1
