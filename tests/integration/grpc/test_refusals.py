"""Which answers to a gRPC call refuse its token, frame by frame: before a message, after it, and for other reasons."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from tests.integration.grpc.calls import FIELDS, HEAD, MESSAGE, OK, REPLY, call, connect, status
from tests.support.authorization_server import AuthorizationServer
from tests.support.http2_upstream import Exchange2, Http2Upstream, Script2, answering, refusing
from tests.support.sidecar import Start
from tests.support.waiting import until

UNAUTHENTICATED = [(b"grpc-status", b"16"), (b"grpc-message", b"revoked")]
INVALID = (b"www-authenticate", b'Bearer error="invalid_token"')
SCOPE = (b"www-authenticate", b'Bearer error="insufficient_scope", scope="write"')
BASIC = (b"www-authenticate", b"Basic realm=x")
SECONDS = 63
RENEWALS = 6
"""In that time: cool-downs last 1, 2, 4, 8, 16 and 32 s."""


@pytest.fixture
async def far() -> AsyncIterator[Http2Upstream]:
    """The upstream; whatever reached it was well-formed."""
    async with Http2Upstream() as server:
        server.welcome = answering(200, HEAD, REPLY, OK)
        yield server
        assert server.malformed == []


def route(far: Http2Upstream, **changes: object) -> Mapping[str, object]:
    """A route for everything, with a token."""
    return {"name": "far", "upstream": far.url, "protocol": "http2", "token": "api", **changes}


def at_once(*fields: tuple[bytes, bytes]) -> Script2:
    """End the call with its head."""
    return answering(200, [*HEAD, *fields], b"")


def head_first(*fields: tuple[bytes, bytes], head: tuple[tuple[bytes, bytes], ...] = ()) -> Script2:
    """Send a head, then trailers without a message."""

    async def script(exchange: Exchange2) -> None:
        await exchange.read()
        exchange.head(200, [*HEAD, *head])
        exchange.trailers(fields)

    return script


def empty(*fields: tuple[bytes, bytes]) -> Script2:
    """Send the status in a head, then an empty frame that ends the call."""

    async def script(exchange: Exchange2) -> None:
        await exchange.read()
        exchange.head(200, [*HEAD, *fields])
        await exchange.send(b"", end=True)

    return script


def after_a_message(*fields: tuple[bytes, bytes]) -> Script2:
    return answering(200, HEAD, REPLY, fields)


async def before_the_request_ends(exchange: Exchange2) -> None:
    """Refuse while the client still sends."""
    await exchange.read(1)
    exchange.head(200, [*HEAD, *UNAUTHENTICATED], end=True)
    exchange.reset(0)


HEALED: Mapping[str, Script2] = {
    "trailers only": at_once(*UNAUTHENTICATED),
    "trailers only, the token is invalid": at_once(*UNAUTHENTICATED, INVALID),
    "trailers only, Bearer without an error": at_once(*UNAUTHENTICATED, (b"www-authenticate", b"Bearer")),
    "trailers only, zeros": at_once((b"grpc-status", b"016")),
    "a head, then trailers": head_first(*UNAUTHENTICATED),
    "a head, then trailers with the challenge": head_first(*UNAUTHENTICATED, INVALID),
    "a head with the challenge, then trailers": head_first(*UNAUTHENTICATED, head=(INVALID,)),
    "a head with the status, then an empty end": empty(*UNAUTHENTICATED),
    "HTTP status 401": refusing(),
    "HTTP status 401 without a challenge": refusing(b""),
}


@pytest.mark.parametrize("warm", [False, True], ids=["first call", "later call"])
@pytest.mark.parametrize("name", HEALED)
async def test_b94_a_refused_call_is_healed(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer, name: str, *, warm: bool
) -> None:
    """By one second stream with another token and the same bytes; the client sees one good call.

    A later call finds token and connection, so that its story is no task: what arrives is judged at once.
    """
    async with sidecar(route(far)) as running, await connect(running) as client:
        if warm:
            await call(client)
        far.script(HEALED[name])
        answer = await call(client)
    assert (answer.status, bytes(answer.body), answer.trailers) == (200, REPLY, tuple(OK))
    assert authorization_server.issued == ["canary-token-1", "canary-token-2"]
    assert far.tokens[-2:] == authorization_server.issued
    assert [bytes(received.body) for received in far.requests] == [MESSAGE] * (2 + warm)
    line = running.events("request")[-1]
    assert (line["attempts"], line["status"], line["grpc_status"]) == (2, 200, 0)
    assert [event["outcome"] for event in running.events("resent")] == ["healed"]


RELAYED: Mapping[str, tuple[Script2, int, Mapping[str, object]]] = {
    "permission denied": (at_once((b"grpc-status", b"7")), 7, {}),
    "permission denied, after a head": (head_first((b"grpc-status", b"7")), 7, {}),
    "unavailable": (at_once((b"grpc-status", b"14")), 14, {}),
    "a status that gRPC does not know": (at_once((b"grpc-status", b"160")), 160, {}),
    "insufficient scope": (at_once(*UNAUTHENTICATED, SCOPE), 16, {}),
    "insufficient scope, in trailers": (head_first(*UNAUTHENTICATED, SCOPE), 16, {}),
    "another scheme": (at_once(*UNAUTHENTICATED, BASIC), 16, {}),
    "ignored": (at_once(*UNAUTHENTICATED, INVALID), 16, {"on_401": "ignore"}),
    "permission denied, 403 is a refusal here": (
        at_once((b"grpc-status", b"7"), INVALID),
        7,
        {"refused_statuses": [401, 403]},
    ),
    "permission denied by an invalid token": (head_first((b"grpc-status", b"7"), INVALID), 7, {}),
    "strict, without an error": (at_once(*UNAUTHENTICATED), 16, {"on_401": "strict"}),
    "strict, after a head": (head_first(*UNAUTHENTICATED), 16, {"on_401": "strict"}),
    "401 is no refusal here": (at_once(*UNAUTHENTICATED), 16, {"refused_statuses": [403]}),
}


@pytest.mark.parametrize("name", RELAYED)
async def test_b94_other_answers_are_relayed(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer, name: str
) -> None:
    """As they came, by the table of HTTP/1.1's refusals."""
    script, expected, changes = RELAYED[name]
    far.script(script)
    async with sidecar(route(far, **changes)) as running, await connect(running) as client:
        assert status(await call(client)) == expected
    assert len(far.requests) == len(authorization_server.issued) == 1


DENIED = [(b"grpc-status", b"7"), (b"grpc-message", b"write is required")]
REPORTED: Mapping[str, tuple[Script2, str]] = {
    "unauthenticated, at once": (at_once(*UNAUTHENTICATED, SCOPE), "insufficient_scope"),
    "unauthenticated, after a head": (head_first(*UNAUTHENTICATED, SCOPE), "insufficient_scope"),
    "unauthenticated, after a message": (after_a_message(*UNAUTHENTICATED, SCOPE), "insufficient_scope"),
    "denied, at once": (at_once(*DENIED, SCOPE), "insufficient_scope"),
    "denied, after a head": (head_first(*DENIED, SCOPE), "insufficient_scope"),
    "denied, the challenge in the head": (head_first(*DENIED, head=(SCOPE,)), "insufficient_scope"),
    "denied, an empty end": (empty(*DENIED, SCOPE), "insufficient_scope"),
    "another scheme": (at_once(*UNAUTHENTICATED, BASIC), "other_scheme"),
    "denied, another scheme": (at_once(*DENIED, BASIC), ""),
    "denied without a challenge": (at_once(*DENIED), ""),
    "unavailable with a challenge": (at_once((b"grpc-status", b"14"), SCOPE), ""),
}


@pytest.mark.parametrize("name", REPORTED)
async def test_refusals_that_are_relayed_are_reported(sidecar: Start, far: Http2Upstream, name: str) -> None:
    """As those of a 401 or a 403 are, so that the alert on them fires; other answers are not."""
    script, error = REPORTED[name]
    far.script(script)
    async with sidecar(route(far)) as running, await connect(running) as client:
        await call(client)
    reported = [(event["error"], event["decision"]) for event in running.events("refused")]
    assert reported == ([(error, "relay")] if error else [])
    assert len(far.requests) == 1


async def test_b94_a_second_send_that_is_denied(sidecar: Start, far: Http2Upstream) -> None:
    """The token was healed, and the refusal of the call is reported."""
    far.script(at_once(*UNAUTHENTICATED), at_once(*DENIED, SCOPE))
    async with sidecar(route(far)) as running, await connect(running) as client:
        assert status(await call(client)) == 7
    assert [event["decision"] for event in running.events("refused")] == ["renew", "relay"]
    assert [event["outcome"] for event in running.events("resent")] == ["healed"]


async def test_b94_strict_renews_for_an_invalid_token(sidecar: Start, far: Http2Upstream) -> None:
    """The metadata is the challenge."""
    far.script(at_once(*UNAUTHENTICATED, INVALID))
    async with sidecar(route(far, on_401="strict")) as running, await connect(running) as client:
        assert status(await call(client)) == 0
    assert len(far.requests) == 2


async def test_b94_a_second_refusal_is_relayed_and_the_key_cools_down(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer
) -> None:
    """After that, refusals pass without a second stream."""
    far.welcome = at_once(*UNAUTHENTICATED)
    async with sidecar(route(far)) as running, await connect(running) as client:
        assert [status(await call(client)) for _ in range(5)] == [16] * 5
    assert len(far.requests) == 6
    assert len(authorization_server.issued) == 2
    assert [event["decision"] for event in running.events("refused")] == ["renew"] + ["cooling"] * 4


@pytest.mark.parametrize("refuse", [at_once, head_first])
async def test_b94_an_upstream_that_refuses_for_its_own_reasons(
    sidecar: Start,
    far: Http2Upstream,
    authorization_server: AuthorizationServer,
    refuse: Callable[..., Script2],
) -> None:
    """A minute of five calls a second: all are relayed, few are sent twice, and cool-downs decide the renewals."""
    far.welcome = refuse(*UNAUTHENTICATED)
    async with sidecar(route(far)) as running, await connect(running) as client:
        for _ in range(SECONDS):
            answers = await asyncio.gather(*(call(client) for _ in range(5)))
            assert {status(answer) for answer in answers} == {16}
            await running.clock.advance(1)
    assert len(authorization_server.issued) == 1 + RENEWALS
    assert len(far.requests) <= 1.05 * 5 * SECONDS


async def test_b94_a_refusal_while_the_client_sends(sidecar: Start, far: Http2Upstream) -> None:
    """The second stream gets what was sent, and the rest as it comes."""
    far.script(before_the_request_ends)
    async with sidecar(route(far)) as running, await connect(running) as client:
        stream = client.begin_request(b"POST", b"/test.Calls/Sum", FIELDS, end=False)
        await client.send(stream, MESSAGE)
        await far.reached(2)
        await client.send(stream, MESSAGE, end=True)
        answer = await client.answer(stream)
        assert status(answer) == 0
    assert bytes(far.requests[1].body) == MESSAGE * 2


async def test_b94_what_is_too_long_to_keep_is_not_sent_again(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer
) -> None:
    """The token is renewed for the next call."""
    far.script(at_once(*UNAUTHENTICATED))
    async with sidecar(route(far)) as running, await connect(running) as client:
        answer = await client.ask(b"POST", b"/test.Calls/Echo", FIELDS, bytes(100_000))
        assert status(answer) == 16
        await until(lambda: len(authorization_server.issued) == 2)
        assert status(await call(client)) == 0
    assert far.tokens == ["canary-token-1", "canary-token-2"]


async def test_b95_a_refusal_after_a_message_renews_for_the_next_call(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer
) -> None:
    """It is relayed with its message, and nothing is sent again."""
    far.script(after_a_message(*UNAUTHENTICATED))
    async with sidecar(route(far)) as running, await connect(running) as client:
        answer = await call(client)
        assert (bytes(answer.body), status(answer)) == (REPLY, 16)
        await until(lambda: len(authorization_server.issued) == 2)
        assert status(await call(client)) == 0
    assert far.tokens == ["canary-token-1", "canary-token-2"]
    assert [event["decision"] for event in running.events("refused")] == ["renew"]


@pytest.mark.parametrize("challenge", [SCOPE, BASIC])
async def test_b95_a_refusal_for_another_reason_after_a_message(
    sidecar: Start,
    far: Http2Upstream,
    authorization_server: AuthorizationServer,
    challenge: tuple[bytes, bytes],
) -> None:
    """It renews nothing."""
    far.script(after_a_message(*UNAUTHENTICATED, challenge))
    async with sidecar(route(far)) as running, await connect(running) as client:
        assert status(await call(client)) == 16
        assert status(await call(client)) == 0
    assert len(authorization_server.issued) == 1


async def test_b95_an_upstream_that_always_refuses_after_a_message(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer
) -> None:
    """Renewals have windows as cool-downs have, and no call is sent twice."""
    far.welcome = after_a_message(*UNAUTHENTICATED)
    async with sidecar(route(far)) as running, await connect(running) as client:
        for _ in range(20):
            assert status(await call(client)) == 16
        await until(lambda: len(authorization_server.issued) == 2)
        await running.clock.advance(1.1)
        for _ in range(20):
            assert status(await call(client)) == 16
        await until(lambda: len(authorization_server.issued) == 3)
        await running.clock.advance(1.1)
        assert status(await call(client)) == 16
    assert len(authorization_server.issued) == 3
    assert len(far.requests) == 41
    assert [event["seconds"] for event in running.events("cooling_down")] == [2.0]


async def test_b95_refusals_after_messages_of_one_token(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer
) -> None:
    """The next token is accepted: no cool-down is reported, so that no alert fires."""
    far.script(after_a_message(*UNAUTHENTICATED), after_a_message(*UNAUTHENTICATED))
    async with sidecar(route(far)) as running:
        async with await connect(running) as client:
            assert [status(await call(client)) for _ in range(2)] == [16, 16]
        await until(lambda: len(authorization_server.issued) == 2)
        await running.clock.advance(300)
        async with await connect(running) as client:
            assert status(await call(client)) == 0
            far.script(after_a_message(*UNAUTHENTICATED))
            assert status(await call(client)) == 16
        await until(lambda: len(authorization_server.issued) == 3)
    assert running.events("cooling_down") == []


async def test_a_head_is_relayed_though_nothing_follows(sidecar: Start, far: Http2Upstream) -> None:
    """Such as that of a stream whose server waits for the client; a refusal after it is relayed."""
    go_on = asyncio.Event()

    async def script(exchange: Exchange2) -> None:
        await exchange.read(1)
        exchange.head(200, HEAD)
        await go_on.wait()
        exchange.trailers(UNAUTHENTICATED)

    far.script(script)
    async with sidecar(route(far)) as running, await connect(running) as client:
        stream = client.begin_request(b"POST", b"/test.Calls/Chat", FIELDS, end=False)
        await client.send(stream, MESSAGE)
        assert (await client.head(stream)).status == 200
        go_on.set()
        assert status(await client.answer(stream)) == 16
    assert len(far.requests) == 1


async def test_the_clients_authorization_is_not_renewed(
    sidecar: Start, far: Http2Upstream, authorization_server: AuthorizationServer
) -> None:
    """A route without a token relays what the client sent and what the upstream says."""
    far.script(at_once(*UNAUTHENTICATED, INVALID), head_first(*UNAUTHENTICATED))
    async with sidecar(route(far, token=None)) as running, await connect(running) as client:
        assert [status(await call(client, (b"authorization", b"Bearer own"))) for _ in range(2)] == [16, 16]
    assert authorization_server.issued == []


async def test_plain_http2_is_not_judged_by_a_grpc_status(sidecar: Start, far: Http2Upstream) -> None:
    """Only calls are."""
    far.script(answering(200, [], b"", [(b"grpc-status", b"16")]))
    async with sidecar(route(far)) as running, await connect(running) as client:
        assert (await client.ask()).status == 200
    assert len(far.requests) == 1
    assert "grpc_status" not in running.events("request")[0]
