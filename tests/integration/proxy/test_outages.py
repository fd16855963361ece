"""An authorization server that is out, says no or nothing: no token, no request upstream."""

import asyncio
import json
from collections.abc import Mapping

import pytest

from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.clock import settle
from tests.support.sidecar import SECRET, Start
from tests.support.upstream import Exchange, Script, Upstream, closing, hang_up
from tests.support.wire_client import Answer

OUTAGES: Mapping[str, Script] = {
    "500": json_answer(500, {"error": "server_error"}),
    "503 with Retry-After": json_answer(503, {}, b"Retry-After: 7"),
    "429": json_answer(429, {}),
    "hangs up": hang_up,
    "says nothing readable": json_answer(200, {})[:15] + b"\r\nContent-Length: 3\r\n\r\n???",
    "not HTTP": closing(b"???"),
}
REFUSALS: Mapping[str, Script] = {
    "invalid_scope": json_answer(
        400, {"error": "invalid_scope", "error_description": f"{SECRET} has no such scope"}
    ),
    "invalid_client": json_answer(401, {"error": "invalid_client"}),
    "403": json_answer(403, {}),
    "not a Bearer token": json_answer(200, {"access_token": "canary", "token_type": "mac", "expires_in": 60}),
    "a token that would split the head": json_answer(
        200, {"access_token": "canary\r\nX: 1", "token_type": "Bearer"}
    ),
    "no token": json_answer(200, {"token_type": "Bearer"}),
}


def problem(answer: Answer) -> Mapping[str, object]:
    assert answer.values("Content-Type") == [b"application/problem+json"]
    document = json.loads(answer.body)
    assert isinstance(document, dict)
    assert document["status"] == answer.status
    return document


@pytest.mark.parametrize("name", OUTAGES)
async def test_b02_no_token_no_request(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, name: str
) -> None:
    """While the authorization server is out, the upstream is never called; 503 says when to try again."""
    authorization_server.scripts.extend([OUTAGES[name]] * 20)
    async with sidecar() as running:
        answers = [await running.get() for _ in range(3)]
        assert {answer.status for answer in answers} == {503}
        assert problem(answers[0])
        waits = {int(b"".join(answer.values("Retry-After"))) for answer in answers}
        assert min(waits) >= (6 if "Retry-After" in name else 1)
        assert len(authorization_server.requests) <= 2
        assert upstream.requests == []
        authorization_server.scripts.clear()
        await running.clock.advance(10)
        assert (await running.get()).status == 200


async def test_b02_an_authorization_server_that_is_not_there(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A refused connection is an outage like any other."""
    await authorization_server.stop()
    async with sidecar() as running:
        assert (await running.get()).status == 503
    assert upstream.requests == []


@pytest.mark.parametrize("name", REFUSALS)
async def test_b02_a_refusal_is_not_retried_at_once(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, name: str
) -> None:
    """What the authorization server refuses is 502, remembered for a few seconds, asked again after."""
    authorization_server.scripts.extend([REFUSALS[name]] * 20)
    async with sidecar() as running:
        answers = [await running.get() for _ in range(3)]
        assert {answer.status for answer in answers} == {502}
        assert b"canary" not in answers[0].body
        assert problem(answers[0])
        assert len(authorization_server.requests) <= 2
        assert upstream.requests == []
        authorization_server.scripts.clear()
        await running.clock.advance(10)
        assert (await running.get()).status == 200


async def test_b14_a_hung_authorization_server_cannot_wedge_a_key(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Callers get 503 within the limit, and the next call after the healing works."""
    hung: Script = Exchange.peer_left
    authorization_server.scripts.extend([hung] * 3)
    async with sidecar() as running:
        asking = [asyncio.create_task(running.get()) for _ in range(10)]
        await authorization_server.reached(1)
        await settle(100)
        await running.clock.advance(16)
        assert {(await answer).status for answer in asking} == {503}
        assert upstream.requests == []
        authorization_server.scripts.clear()
        await running.clock.advance(10)
        assert (await running.get()).status == 200


@pytest.mark.parametrize(
    "fields", [(b"Content-Length: 38",), (b"Content-Length: 38", b"Expect: 100-continue")]
)
async def test_a_body_nobody_took_is_no_request(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, fields: tuple[bytes, ...]
) -> None:
    """Answered before its body was read, a request ends the connection; the body is never read as another."""
    authorization_server.scripts.extend([json_answer(503, {})] * 20)
    body = b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\n"
    async with sidecar() as running, await running.connect() as client:
        data = running.request(b"POST", b"/", *fields) + body + running.request(b"GET", b"/next")
        answer = await client.refused(data)
        assert (answer.status, answer.values("Connection")) == (503, [b"close"])
        authorization_server.scripts.clear()
    assert upstream.requests == []
