"""Incidents with tokens: what revokes or refuses them, and which requests lack one."""

import asyncio

import pytest

from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.aws import ENVIRONMENT, REGION, Aws
from tests.support.incidents import INCIDENTS
from tests.support.processes import get
from tests.support.upstream import Exchange, Upstream, refusal
from tests.support.wire_client import ask
from tests.system.incidents.conftest import Start, Watched

pytestmark = pytest.mark.unmeasured


async def begun(pod: Watched) -> None:
    """Send a request that succeeds, and begin to watch."""
    assert await pod.requests(1) == [200]
    await pod.view.begin()


async def test_a_token_is_revoked(
    watched: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """The client notices nothing, and no alert fires."""
    async with watched() as pod:
        await begun(pod)
        authorization_server.revoke(authorization_server.issued[-1])
        assert await pod.requests(5) == [200] * 5
        await pod.view.shows(INCIDENTS["revoked"], pod.requests)


async def test_tokens_expire_early(watched: Start, authorization_server: AuthorizationServer) -> None:
    """The upstream accepts a token for ten requests."""
    async with watched() as pod:
        await begun(pod)

        async def requests() -> None:
            authorization_server.revoke(authorization_server.issued[-1])
            assert await pod.requests() == [200] * 10

        await pod.view.shows(INCIDENTS["early"], requests)


def always(authorization_server: AuthorizationServer, status: int, error: str, description: str) -> None:
    """Let the server refuse each token request from now on."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(json_answer(status, {"error": error, "error_description": description}))

    authorization_server.script(*[refuse] * 1000)


@pytest.mark.parametrize(
    ("incident", "refused"),
    [
        ("rotated", (401, "invalid_client", "client secret has expired")),
        ("scope_at_server", (400, "invalid_scope", "scope write is not allowed")),
    ],
)
async def test_the_server_refuses_a_token(
    watched: Start,
    authorization_server: AuthorizationServer,
    incident: str,
    refused: tuple[int, str, str],
) -> None:
    """After the token in memory was revoked, as with a rotated secret."""
    async with watched() as pod:
        await begun(pod)
        always(authorization_server, *refused)
        authorization_server.revoke(authorization_server.issued[-1])
        assert await pod.requests(2) == [401, 502]
        await pod.view.shows(INCIDENTS[incident], pod.requests)


async def test_the_token_lacks_a_scope(watched: Start, upstream: Upstream) -> None:
    """For one of five requests."""
    async with watched() as pod:
        await begun(pod)

        async def requests() -> None:
            upstream.script(refusal(b'Bearer error="insufficient_scope", scope="write"', status=403))
            assert await pod.requests(5) == [403, 200, 200, 200, 200]

        await pod.view.shows(INCIDENTS["scope_at_upstream"], requests)


async def test_a_request_names_an_unknown_tenant(watched: Start) -> None:
    """A mistake of the client, which no alert reports."""
    async with watched(tenant={"header": "X-Tenant", "allow": ["acme"], "default": "acme"}) as pod:
        await begun(pod)

        async def requests() -> None:
            answer = await ask(pod.process.address, get(b"/", b"X-Tenant: initech"))
            assert answer.status == 400

        await pod.view.shows(INCIDENTS["unknown_tenant"], requests)


async def test_the_token_endpoint_is_down(watched: Start, authorization_server: AuthorizationServer) -> None:
    """When the token in memory was revoked."""
    async with watched() as pod:
        await begun(pod)
        await authorization_server.stop()
        authorization_server.revoke(authorization_server.issued[-1])
        assert await pod.requests(2) == [401, 503]
        await pod.view.shows(INCIDENTS["server_down"], pod.requests)


async def test_aws_denies_the_secret(watched: Start, aws: Aws) -> None:
    """The role lost its permission while the credentials were needed."""
    secret = {"id": aws.name("app"), "endpoint": aws.url, "region": REGION}
    aws.create("app", {"client_id": "me", "client_secret": "canary-1"})
    aws.faults.extend([(400, "AccessDeniedException")] * 100)
    async with watched(environ=ENVIRONMENT, credentials={"app": {"aws_secret": secret}}) as pod:
        await pod.view.begin()
        await pod.view.shows(INCIDENTS["aws"], pod.requests)


@pytest.mark.parametrize(
    ("incident", "challenge"), [("upstream_401", b""), ("upstream_basic", b'Basic realm="api"')]
)
async def test_the_upstream_refuses_every_token(
    watched: Start,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    incident: str,
    challenge: bytes,
) -> None:
    """With a 401 of its own, which reaches the client."""
    async with watched() as pod:
        await begun(pod)
        authorization_server.upstream = None  # which does not accept its tokens any more
        upstream.accepts, upstream.challenge = set(), challenge

        async def requests() -> None:
            assert set(await pod.requests()) == {401}

        await pod.view.shows(INCIDENTS[incident], requests)


async def test_the_token_endpoint_is_slow(watched: Start, authorization_server: AuthorizationServer) -> None:
    """It accepts connections, and sends nothing within ten seconds, which the sidecar waits."""
    authorization_server.hold = asyncio.Event()
    async with watched() as pod:
        await pod.view.begin()
        await pod.view.shows(INCIDENTS["server_slow"], lambda: pod.requests(1))
