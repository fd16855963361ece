"""The recipes for nginx and Envoy, with the programs themselves: a revoked token is healed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.egress_proxies import envoy, nginx
from tests.support.fleet_of_sidecars import SidecarFleet, SidecarPod
from tests.support.token_api import SETTINGS, Program
from tests.support.upstream import OK, Upstream, closing, refusal
from tests.support.waiting import until
from tests.support.wire_client import Answer, Client, ask

FIRST, SECOND = "canary-token-1", "canary-token-2"
CLIENTS = 8
REQUESTS = 1000
REVOCATIONS = 5


@pytest.fixture
async def pod(fleet: SidecarFleet) -> SidecarPod:
    """The pod whose sidecar the proxies use; another one is in the fleet."""
    one, _ = await fleet.start(2, token_api={**SETTINGS, "authorize": True})
    return one


@pytest.fixture
async def behind_nginx(pod: SidecarPod, upstream: Upstream, tmp_path: Path) -> AsyncIterator[str]:
    async with nginx(tmp_path, (await Program.of(pod)).address, upstream) as address:
        yield address


@pytest.fixture
async def behind_envoy(pod: SidecarPod, upstream: Upstream, tmp_path: Path) -> AsyncIterator[str]:
    async with envoy(tmp_path, (await Program.of(pod)).address, upstream) as address:
        yield address


def request(method: bytes = b"GET", body: bytes = b"", *fields: bytes) -> bytes:
    lines = (b"%s /orders?x=1 HTTP/1.1" % method, b"Host: shop.example", b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, *fields, b"", body))


async def sent(address: str, method: bytes = b"GET", body: bytes = b"", *fields: bytes) -> Answer:
    return await ask(address, request(method, body, *fields))


async def test_b92_nginx_heals_the_same_request(
    behind_nginx: str, upstream: Upstream, authorization_server: AuthorizationServer, fleet: SidecarFleet
) -> None:
    """With its body. The fleet receives the bust, and one token request is sent."""
    assert (await sent(behind_nginx)).status == 200
    authorization_server.revoke(FIRST)
    answer = await sent(behind_nginx, b"POST", b"canary-body", b"Authorization: Bearer canary-mine")
    assert answer.status == 200
    assert upstream.tokens == [FIRST, FIRST, SECOND]
    assert [bytes(received.body) for received in upstream.requests[1:]] == [b"canary-body"] * 2
    assert {received.head.target for received in upstream.requests} == {b"/orders?x=1"}
    assert len(authorization_server.requests) == 2
    await until(lambda: len(fleet.busts) == 1)


async def test_b92_no_client_of_nginx_sees_a_401(
    behind_nginx: str, upstream: Upstream, authorization_server: AuthorizationServer, fleet: SidecarFleet
) -> None:
    """Eight clients at once, and five revocations under way."""
    statuses: list[int] = []

    async def client() -> None:
        async with await Client.connect(behind_nginx) as connection:
            while len(statuses) < REQUESTS:
                statuses.append((await connection.ask(request())).status)
                if len(statuses) % (REQUESTS // (REVOCATIONS + 1)) == 0:
                    authorization_server.revoke(authorization_server.issued[-1])

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    assert set(statuses) == {200}
    revoked = len(authorization_server.requests) - 1
    assert revoked >= REVOCATIONS
    await until(lambda: len(fleet.busts) == revoked)


@pytest.mark.parametrize(
    "challenge", [b'Bearer error="insufficient_scope"', b'Basic realm="x"', b'Bearer error="invalid_request"']
)
async def test_b92_nginx_relays_what_no_token_heals(
    behind_nginx: str, upstream: Upstream, authorization_server: AuthorizationServer, challenge: bytes
) -> None:
    """The client gets the 401, and nothing is bust."""
    upstream.script(OK, closing(refusal_of(challenge)))
    assert (await sent(behind_nginx)).status == 200
    assert (await sent(behind_nginx)).status == 401
    assert len(authorization_server.requests) == 1
    assert len(upstream.requests) == 2


async def test_b92_a_client_of_nginx_cannot_choose_the_token(
    behind_nginx: str, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Its own fields decide nothing, and it cannot report a token that works."""
    theirs = (b"Sidecar-Request: true", b"Sidecar-Refused-Status: 401", b"X-Forwarded-For: 1.2.3.4")
    for path in (b"/_refused", b"/_authorize"):
        data = b"GET %s HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer canary-x\r\n\r\n" % path
        assert (await ask(behind_nginx, data)).status in {401, 404}
    assert (
        await sent(behind_nginx, b"GET", b"", b"Authorization: Bearer canary-mine", *theirs)
    ).status == 200
    assert upstream.tokens == [FIRST]
    assert len(authorization_server.requests) == 1


async def test_b92_envoy_heals_the_same_get_and_the_next_of_others(
    behind_envoy: str, upstream: Upstream, authorization_server: AuthorizationServer, fleet: SidecarFleet
) -> None:
    """The Lua filter reports the refusal. The fleet receives the bust, and one token request is sent."""
    assert (await sent(behind_envoy)).status == 200
    authorization_server.revoke(FIRST)
    answer = await sent(behind_envoy)
    assert (answer.status, answer.body, answer.values("WWW-Authenticate")) == (200, b"ok", [])
    assert upstream.tokens == [FIRST, FIRST, SECOND]
    await until(lambda: len(fleet.busts) == 1)
    for _ in range(30):
        assert (await sent(behind_envoy)).status == 200
    authorization_server.revoke(SECOND)
    assert (await sent(behind_envoy, b"POST", b"canary-body")).status == 401
    assert (await sent(behind_envoy, b"POST", b"canary-body")).status == 200
    assert len(authorization_server.requests) == 3


async def test_b92_envoy_refuses_without_a_token(
    behind_envoy: str, upstream: Upstream, authorization_server: AuthorizationServer, pod: SidecarPod
) -> None:
    """An outage is a 503, as on a route, and nothing reaches the upstream."""
    await pod.app.stop()
    assert (await sent(behind_envoy)).status == 503
    assert upstream.requests == []


def refusal_of(challenge: bytes) -> bytes:
    answer = refusal(challenge)
    assert isinstance(answer, bytes)
    return answer
