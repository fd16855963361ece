"""A refused token is renewed once and the request sent once more: nothing else, and no client notices."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.sidecar import Start
from tests.support.upstream import INVALID_TOKEN, OK, Exchange, Script, Upstream, closing, hang_up, refusal
from tests.support.waiting import PATIENCE

FIRST, SECOND, THIRD = (f"canary-token-{number}" for number in (1, 2, 3))


async def test_b20_a_revoked_token_heals_unnoticed(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """The client sees 200, the upstream the old token and then the new one; the old one never again."""
    async with sidecar() as running:
        assert (await running.get()).status == 200
        authorization_server.revoke(FIRST)
        assert (await running.get()).status == 200
        assert (await running.get()).status == 200
    assert upstream.tokens == [FIRST, FIRST, SECOND, SECOND]
    assert len(authorization_server.requests) == 2
    assert len(running.events("bust_sent")) == 1
    (line,) = [line for line in running.events("request") if line["attempts"] == 2]
    assert (line["status"], line["error"]) == (200, "")


async def test_b20_the_first_request_of_all_may_be_refused(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A token can be revoked before its first use."""
    upstream.script(refusal())
    async with sidecar() as running:
        assert (await running.get()).status == 200
    assert upstream.tokens == [FIRST, SECOND]
    assert len(authorization_server.requests) == 2


async def test_b21_the_second_refusal_is_the_answer(sidecar: Start, upstream: Upstream) -> None:
    """Two sends, never three; the second answer is relayed whole."""
    second = refusal(b'Bearer error="invalid_token", error_description="second"', body=b"s" * 100_000)
    upstream.script(refusal(), second)
    async with sidecar() as running:
        answer = await running.get()
    assert (answer.status, answer.body) == (401, b"s" * 100_000)
    assert answer.values("WWW-Authenticate") == [b'Bearer error="invalid_token", error_description="second"']
    assert answer.values("X-Refused") == [b"Yes"]
    assert upstream.tokens == [FIRST, SECOND]


async def test_b21_a_key_that_cannot_be_healed_cools_down(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Five hundred refusals in ten seconds: hardly any is sent twice, and few tokens are asked for."""
    upstream.scripts.extend([refusal()] * 1100)
    async with sidecar() as running, await running.connect() as client:
        for _ in range(500):
            assert (await client.ask(running.request(b"GET", b"/"))).status == 401
            await running.clock.advance(0.02)
        assert len(upstream.requests) <= 525
        assert len(authorization_server.requests) <= 6
        upstream.scripts.clear()
        await running.clock.advance(60)
        assert (await client.ask(running.request(b"GET", b"/"))).status == 200


async def test_b21_a_healed_key_is_warm_again(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """After the window one request probes; once it is accepted the next refusal is healed at once."""
    upstream.script(refusal(), refusal())
    async with sidecar() as running:
        assert (await running.get()).status == 401
        upstream.script(refusal())
        assert (await running.get()).status == 401
        assert len(upstream.requests) == 3
        await running.clock.advance(2)
        for _ in range(2):
            upstream.script(refusal())
            assert (await running.get()).status == 200
    assert len(authorization_server.requests) == 4


Row = tuple[int, bytes, Mapping[str, object], bool]
TABLE: Mapping[str, Row] = {
    "invalid_token": (401, INVALID_TOKEN, {}, True),
    "invalid_token, strict": (401, INVALID_TOKEN, {"on_401": "strict"}, True),
    "invalid_token, ignore": (401, INVALID_TOKEN, {"on_401": "ignore"}, False),
    "odd spelling": (401, b"bEARER Error=invalid_token", {}, True),
    "second of two challenges": (401, b'Basic realm="a, b", Bearer error="invalid_token"', {}, True),
    "no error": (401, b'Bearer realm="api"', {}, True),
    "no error, strict": (401, b'Bearer realm="api"', {"on_401": "strict"}, False),
    "no parameters": (401, b"Bearer", {}, True),
    "no challenge": (401, b"", {}, True),
    "no challenge, strict": (401, b"", {"on_401": "strict"}, False),
    "rubbish for a challenge": (401, b'="', {}, True),
    "invalid_request": (401, b'Bearer error="invalid_request"', {}, False),
    "insufficient_scope": (401, b'Bearer error="insufficient_scope", scope="x"', {}, False),
    "only Basic": (401, b'Basic realm="x"', {}, False),
    "only Negotiate": (401, b"Negotiate", {}, False),
    "only Digest": (401, b'Digest realm="x", nonce="error=\\"invalid_token\\""', {}, False),
    "Basic that says Bearer": (401, b'Basic realm="Bearer error=invalid_token"', {}, False),
    "403": (403, b"", {}, False),
    "403 with invalid_token": (403, INVALID_TOKEN, {}, False),
    "403, configured": (403, b"", {"refused_statuses": [401, 403]}, True),
    "440, configured": (440, b"", {"refused_statuses": [401, 440]}, True),
    "403, configured, insufficient_scope": (
        403, b'Bearer error="insufficient_scope"', {"refused_statuses": [403]}, False,
    ),
    "401 where only 403 counts": (401, b"", {"refused_statuses": [403]}, False),
    "407": (407, INVALID_TOKEN, {}, False),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
async def test_b22_what_counts_as_refused(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, name: str
) -> None:
    """Each row: either renew and send again, or relay the answer and touch nothing."""
    status, challenge, route, renews = TABLE[name]
    upstream.script(refusal(challenge, status))
    api = {"name": "api", "match": {"prefix": "/"}, "upstream": upstream.url, "token": "api", **route}
    async with sidecar(api) as running:
        answer = await running.get()
        assert answer.status == (200 if renews else status)
        assert answer.body == (b"ok" if renews else b"refused")
    assert upstream.tokens == ([FIRST, SECOND] if renews else [FIRST])
    assert len(authorization_server.requests) == 1 + renews


SCOPE = b'Bearer error="insufficient_scope", scope="orders:read orders:write"'
O2: Mapping[str, tuple[int, bytes, Mapping[str, object], tuple[str, str] | None]] = {
    "403 insufficient_scope": (403, SCOPE, {}, ("insufficient_scope", "orders:read orders:write")),
    "401 insufficient_scope": (401, SCOPE, {}, ("insufficient_scope", "orders:read orders:write")),
    "401 with another scheme": (401, b'Basic realm="x"', {}, ("other_scheme", "")),
    "401 with several other schemes": (401, b"Negotiate, NTLM", {}, ("other_scheme", "")),
    "401 that names nothing, strict": (401, b"Bearer", {"on_401": "strict"}, ("", "")),
    "403 invalid_token": (403, INVALID_TOKEN, {}, ("invalid_token", "")),
    "403 in broken words": (403, b"Bearer error=insufficient_scope scope=a", {}, ("insufficient_scope", "a")),
    "a scope with line breaks": (403, b'Bearer error="insufficient_scope", scope="a\tb"', {},
                                 ("insufficient_scope", "")),
    "an error that nobody knows": (401, b'Bearer error="X-Y canary"', {}, ("other", "")),
    "403 of the application": (403, b"", {}, None),
    "403 of the application, with a challenge": (403, b'Bearer realm="x"', {}, None),
    "403 with another scheme": (403, b'Basic realm="x"', {}, None),
    "ignored": (401, SCOPE, {"on_401": "ignore"}, None),
    "404": (404, SCOPE, {}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", O2)
async def test_o2_a_refusal_that_is_relayed_is_logged_and_counted(
    sidecar: Start, upstream: Upstream, name: str
) -> None:
    """With route, tenant, error and scope; an answer that refuses no token is not."""
    status, challenge, route, expected = O2[name]
    upstream.script(refusal(challenge, status))
    api = {"name": "api", "match": {"prefix": "/"}, "upstream": upstream.url, "token": "api", **route}
    async with sidecar(api, tenant={"header": "X-Tenant-Id"}) as running:
        assert (await running.get(b"/", b"X-Tenant-Id: acme")).status == status
        metrics = (await running.app.metrics()).decode()
    events = running.events("refused")
    if expected is None:
        assert events == []
        assert "sidecar_refusals_relayed_total{" not in metrics
        return
    error, scope = expected
    (event,) = events
    told = {key: event[key] for key in ("decision", "error", "scope", "route", "tenant", "status")}
    assert told == {
        "decision": "relay",
        "error": error,
        "scope": scope,
        "route": "api",
        "tenant": "acme",
        "status": status,
    }
    labels = f'{{error="{error or "none"}",http_route="api",tenant="acme"}}'
    assert f"sidecar_refusals_relayed_total{labels} 1.0" in metrics
    assert 'sidecar_refusals_total{decision="relay",http_route="api"} 1.0' in metrics


@pytest.mark.parametrize(
    ("second", "route"),
    [
        (refusal(SCOPE, 403), {}),
        (refusal(SCOPE, 401), {}),
        (refusal(b'Basic realm="x"', 401), {}),
        (refusal(SCOPE, 403), {"refused_statuses": [401, 403]}),
        (refusal(b'Bearer error="invalid_request"', 401), {}),
        (refusal(b"Bearer", 401), {"on_401": "strict"}),
    ],
)
async def test_o2_a_second_answer_that_refuses_the_request_alone_is_reported_and_cools_nothing(
    sidecar: Start, upstream: Upstream, second: Script, route: Mapping[str, object]
) -> None:
    """The new token is good: the next refusal is healed at once."""
    upstream.script(refusal(), second, refusal())
    api = {"name": "api", "match": {"prefix": "/"}, "upstream": upstream.url, "token": "api", **route}
    async with sidecar(api) as running:
        assert (await running.get()).status in (401, 403)
        assert (await running.get()).status == 200
    assert [line["decision"] for line in running.events("refused")] == ["renew", "relay", "renew"]
    assert running.events("cooling_down") == []


async def test_b25_parallel_refusals_are_one_renewal(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A hundred requests refused with one token: one new token, and every one of them is healed."""
    waiting, everyone = 0, asyncio.Event()

    async def all_together(exchange: Exchange) -> None:
        nonlocal waiting
        waiting += 1
        if waiting == 100:
            everyone.set()
        await everyone.wait()
        await exchange.send(refusal())

    async with sidecar() as running:
        assert (await running.get()).status == 200
        upstream.scripts.extend([all_together] * 100)
        async with asyncio.timeout(PATIENCE):
            answers = await asyncio.gather(*(running.get() for _ in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert len(authorization_server.requests) == 2
    assert upstream.tokens == [FIRST] * 101 + [SECOND] * 100


async def test_b25_a_late_refusal_of_the_old_token_leaves_the_new_one_alone(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """It is sent again with what memory already holds."""
    late = asyncio.Event()

    async def refuse_late(exchange: Exchange) -> None:
        await late.wait()
        await exchange.send(refusal())

    upstream.script(refuse_late, refusal())
    async with sidecar() as running:
        slow = asyncio.create_task(running.get())
        await upstream.reached(1)
        assert (await running.get()).status == 200
        late.set()
        assert (await slow).status == 200
        assert (await running.get()).status == 200
    assert upstream.tokens == [FIRST, FIRST, SECOND, SECOND, SECOND]
    assert len(authorization_server.requests) == 2
    assert len(running.events("bust_sent")) == 1


@pytest.mark.parametrize(
    "failure",
    [json_answer(503, {}), json_answer(400, {"error": "invalid_client"}), closing(b"")],
    ids=["out", "refused", "hangs up"],
)
async def test_b26_a_failed_renewal_shows_the_original_refusal(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, failure: Script
) -> None:
    """Status, fields and body of the upstream, no problem of ours; the refused token is not used again."""
    original = refusal(b'Bearer realm="x", error="invalid_token"', body=b"a" * 200_000)
    async with sidecar() as running:
        assert (await running.get()).status == 200
        authorization_server.scripts.extend([failure] * 20)
        upstream.script(original)
        answer = await running.get()
        assert (answer.status, answer.body) == (401, b"a" * 200_000)
        assert answer.values("WWW-Authenticate") == [b'Bearer realm="x", error="invalid_token"']
        assert answer.values("X-Refused") == [b"Yes"]
        assert (await running.get()).status in {502, 503}
        assert upstream.tokens == [FIRST, FIRST]
        authorization_server.scripts.clear()
        await running.clock.advance(10)
        assert (await running.get()).status == 200
    assert upstream.tokens == [FIRST, FIRST, SECOND]


async def test_b26_a_large_refusal_does_not_stand_in_the_way(sidecar: Start, upstream: Upstream) -> None:
    """The refused answer's body is read or its connection given up; it never becomes the second answer."""
    upstream.script(refusal(body=OK * 100_000))
    async with sidecar() as running, await running.connect() as client:
        for _ in range(3):
            assert (await client.ask(running.request(b"GET", b"/"))).body == b"ok"


async def test_b27_without_a_store_each_refusal_is_healed_in_this_pod(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Memory and the authorization server are enough, time after time."""
    async with sidecar() as running:
        for number in range(1, 6):
            assert (await running.get()).status == 200
            authorization_server.revoke(f"canary-token-{number}")
            await running.clock.advance(0.1)
        assert (await running.get()).status == 200
    assert len(authorization_server.requests) == 6
    assert {received.token for received in upstream.requests} == set(authorization_server.issued)


async def test_b28_a_token_fetched_before_the_refused_request_is_no_successor(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Two tokens die together: a renewal already under way does not count, and one refusal is enough."""
    authorization_server.reply["expires_in"] = 60
    authorization_server.upstream = None
    async with sidecar() as running:
        assert (await running.get()).status == 200
        authorization_server.hold = asyncio.Event()
        await running.clock.advance(31)
        assert (await running.get()).status == 200  # aging: the renewal begins behind it
        await authorization_server.reached(2)
        upstream.accepts = {THIRD}
        asking = asyncio.create_task(running.get())
        await authorization_server.reached(3)
        authorization_server.hold.set()
        assert (await asking).status == 200
    assert upstream.tokens == [FIRST, FIRST, FIRST, THIRD]


async def test_nothing_is_sent_again_once_the_answer_began(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """An answer that breaks off is broken off, whatever the token."""
    upstream.script(closing(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"))
    async with sidecar() as running, await running.connect() as client:
        await client.send(running.request(b"GET", b"/"))
        assert (await client.head()).status == 200
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(PATIENCE):
                await client.reader.readexactly(10)
    assert upstream.tokens == [FIRST]
    assert len(authorization_server.requests) == 1


async def test_a_second_send_that_gets_no_answer_is_told(sidecar: Start, upstream: Upstream) -> None:
    """The client gets our 502, and the log and metrics say that the request was not healed."""
    async with sidecar() as running:
        await running.get()
        upstream.script(refusal(), hang_up)
        assert (await running.ask(running.request(b"POST", b"/"))).status == 502
    assert [event["outcome"] for event in running.events("resent")] == ["failed"]
