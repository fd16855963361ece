"""Injecting: which token goes upstream, and what happens while there is none."""

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.clock import settle
from tests.support.sidecar import SECRET, Running, Start
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE

FIRST, SECOND = "canary-token-1", "canary-token-2"


def jwt(**claims: object) -> str:
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + ".canary"


async def get_all(running: Running, count: int) -> set[int]:
    async with asyncio.timeout(PATIENCE):
        answers = await asyncio.gather(*(running.get() for _ in range(count)))
    return {answer.status for answer in answers}


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (b"Authorization: Bearer canary-theirs",),
        (b"AUTHORIZATION: Basic canary", b"authorization: Bearer canary", b"X-A: 1"),
        (b"Connection: authorization", b"Authorization: Bearer canary"),
        (b"Authorization:",),
        (b"Proxy-Authorization: Basic canary",),
    ],
)
async def test_b01_our_token_replaces_whatever_the_client_sent(
    sidecar: Start, upstream: Upstream, fields: tuple[bytes, ...]
) -> None:
    """Exactly one Authorization reaches the upstream, and it is ours."""
    async with sidecar() as running:
        assert (await running.get(b"/", *fields)).status == 200
    received = upstream.requests[0]
    assert received.values("Authorization") == [f"Bearer {FIRST}".encode()]
    assert not any(
        b"canary" in value for name, value in received.head.fields if name.lower() != b"authorization"
    )


async def test_b01_a_route_without_a_token_relays_the_clients_own(
    sidecar: Start, upstream: Upstream, plain: Mapping[str, object]
) -> None:
    """Nothing is injected, and a refusal of the client's own credentials is the client's business."""
    upstream.accepts = set()
    async with sidecar(plain) as running:
        assert (await running.get(b"/", b"Authorization: Basic theirs")).status == 401
    assert [received.values("Authorization") for received in upstream.requests] == [[b"Basic theirs"]]


async def test_the_token_is_asked_for_as_configured(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """Grant, scope, audience and the client's credentials, encoded as RFC 6749 section 2.3.1 says."""
    async with sidecar(token={"scope": ["a", "b"], "audience": "ledger"}) as running:
        assert (await running.get()).status == 200
    form = {"grant_type": ["client_credentials"], "scope": ["a b"], "audience": ["ledger"]}
    assert authorization_server.forms == [form]
    assert authorization_server.clients == [("app", SECRET)]


async def test_credentials_may_go_in_the_form(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """`client_secret_post` puts them there and nowhere else."""
    async with sidecar(token={"client_auth": "client_secret_post"}) as running:
        assert (await running.get()).status == 200
    form = authorization_server.forms[0]
    assert (form["client_id"], form["client_secret"]) == (["app"], [SECRET])
    assert authorization_server.requests[0].values("Authorization") == []


async def test_b03_a_token_in_memory_asks_nobody(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A hundred calls, one token request."""
    async with sidecar() as running, await running.connect() as client:
        for _ in range(100):
            assert (await client.ask(running.request(b"GET", b"/"))).status == 200
    assert len(authorization_server.requests) == 1
    assert set(upstream.tokens) == {FIRST}


async def test_b07_an_expired_token_is_never_sent(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A token of five seconds serves five seconds, also when there is no other."""
    authorization_server.reply["expires_in"] = 5
    async with sidecar() as running:
        assert (await running.get()).status == 200
        authorization_server.scripts.extend([json_answer(503, {})] * 20)
        await running.clock.advance(4.5)
        assert (await running.get()).status == 200
        await running.clock.advance(0.6)
        assert (await running.get()).status == 503
    assert upstream.tokens == [FIRST, FIRST]


@pytest.mark.parametrize("expires_in", [0, -1, "0", "-3600", -1e308])
async def test_b07_a_token_already_expired_is_not_used(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, expires_in: object
) -> None:
    """Its `exp` says so, and `expires_in` nothing: it is neither cached nor sent."""
    authorization_server.reply |= {"expires_in": expires_in, "access_token": jwt(exp=1_799_999_999)}
    async with sidecar() as running:
        assert (await running.get()).status in {502, 503}
    assert upstream.requests == []


LIVES: Mapping[str, tuple[Mapping[str, object], float]] = {
    "number": ({"expires_in": 40}, 40),
    "string": ({"expires_in": "40"}, 40),
    "float": ({"expires_in": 40.5}, 40.5),
    "camel case": ({"expiresIn": 40}, 40),
    "absent": ({}, 300),
    "null": ({"expires_in": None}, 300),
    "bool": ({"expires_in": True}, 300),
    "words": ({"expires_in": "soon"}, 300),
    "T3 zero": ({"expires_in": 0}, 300),
    "T3 negative": ({"expires_in": "-1"}, 300),
    "T3 zero, JWT": ({"expires_in": 0, "access_token": jwt(exp=1_800_000_040)}, 40),
    "list": ({"expires_in": [40]}, 300),
    "huge": ({"expires_in": 10**400}, 86_400),
    "JWT": ({"access_token": jwt(exp=1_800_000_040)}, 40),
    "JWT, but expires_in says so": ({"access_token": jwt(exp=1_800_000_999), "expires_in": 40}, 40),
    "JWT with a silly exp": ({"access_token": jwt(exp="soon")}, 300),
}


@pytest.mark.parametrize("name", LIVES)
async def test_b08_odd_lives_have_a_documented_result(
    sidecar: Start, authorization_server: AuthorizationServer, name: str
) -> None:
    """The token is used up to its life and not after; asked of the status page."""
    reply, life = LIVES[name]
    answer = json_answer(200, {"token_type": "Bearer", "access_token": "canary-odd", **reply})
    authorization_server.scripts.extend([answer] * 5)
    async with sidecar() as running:
        assert (await running.get()).status == 200
        (held,) = await running.tokens()
        assert held["expires_in"] == pytest.approx(life, abs=1)


async def test_b09_a_short_token_is_still_cached(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """Leeway is at most half the life: twenty seconds are one fetch in ten."""
    authorization_server.reply["expires_in"] = 20
    async with sidecar(cache={"leeway": "60s"}) as running:
        for _ in range(9):
            assert (await running.get()).status == 200
            await running.clock.advance(1)
        assert len(authorization_server.requests) == 1


async def test_b10_an_aging_token_is_served_while_one_renewal_runs(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """No request waits for the renewal; after it the new token is used."""
    authorization_server.reply["expires_in"] = 60
    async with sidecar() as running:
        assert (await running.get()).status == 200
        authorization_server.hold = asyncio.Event()
        await running.clock.advance(31)
        assert await get_all(running, 20) == {200}
        await authorization_server.reached(2)
        assert await get_all(running, 20) == {200}
        assert set(upstream.tokens) == {FIRST}
        authorization_server.hold.set()
        await eventually_uses(running, upstream, SECOND)
    assert len(authorization_server.requests) == 2


async def eventually_uses(running: Running, upstream: Upstream, token: str) -> None:
    """Ask until the token is seen; it is on its way."""
    async with asyncio.timeout(PATIENCE):
        while upstream.tokens[-1] != token:
            assert (await running.get()).status == 200


async def test_b11_a_cold_key_is_one_flight(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """Two hundred callers wait for one token request instead of being sent away."""
    authorization_server.hold = asyncio.Event()
    async with sidecar() as running:
        asking = asyncio.create_task(get_all(running, 200))
        await authorization_server.reached(1)
        await settle(200)
        authorization_server.hold.set()
        assert await asking == {200}
    assert len(authorization_server.requests) == 1


async def test_b12_fresh_hits_never_wait_for_a_renewal(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """While the renewals hang, every request is served with the present token."""
    authorization_server.reply["expires_in"] = 60
    routes = [
        {"name": name, "match": {"prefix": f"/{name}"}, "upstream": upstream.url, "token": name}
        for name in ("one", "two")
    ]
    request = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    tokens = {"one": {**request, "scope": ["one"]}, "two": {**request, "scope": ["two"]}}
    async with sidecar(*routes, tokens=tokens) as running:
        for target in (b"/one", b"/two"):
            assert (await running.get(target)).status == 200
        authorization_server.hold = asyncio.Event()
        await running.clock.advance(31)
        for target in (b"/one", b"/two") * 50:
            assert (await running.get(target)).status == 200
        assert len(authorization_server.requests) <= 4
        authorization_server.hold.set()


async def test_b13_a_flight_outlives_the_caller_that_began_it(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """The first caller leaves, the others get their token from the same request."""
    authorization_server.hold = asyncio.Event()
    async with sidecar() as running:
        async with await running.connect() as first:
            await first.send(running.request(b"GET", b"/"))
            await authorization_server.reached(1)
            others = asyncio.create_task(get_all(running, 10))
            await settle(100)
            first.reset()
        await settle()
        authorization_server.hold.set()
        assert await others == {200}
    assert len(authorization_server.requests) == 1


async def test_b16_tokens_are_warmed_up_before_the_first_call(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """A started sidecar asks for its tokens by itself, and does not wait for them."""
    authorization_server.hold = asyncio.Event()
    async with sidecar() as running:
        await settle()
        await running.clock.advance(2)
        await authorization_server.reached(1)
        authorization_server.hold.set()
        assert (await running.get()).status == 200
    assert len(authorization_server.requests) == 1


def rotate(file: Path) -> None:
    file.write_text("canary-rotated")


async def test_b29_a_rotated_secret_is_read_again(
    sidecar: Start, upstream: Upstream, authorization_server: AuthorizationServer, secret_file: Path
) -> None:
    """A revoked token and a rotated secret heal in one request."""
    async with sidecar() as running:
        assert (await running.get()).status == 200
        rotate(secret_file)
        authorization_server.revoke(FIRST)
        assert (await running.get()).status == 200
    assert upstream.tokens == [FIRST, FIRST, SECOND]
    assert authorization_server.clients == [("app", SECRET), ("app", "canary-rotated")]
