"""A token request is refused, and its credentials come from AWS or a file: what is read, sent, dropped and logged."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from sidecar.core.backoff import REFUSAL_LIFE
from tests.support.authorization_server import Strict, json_answer
from tests.support.aws import ENVIRONMENT, Aws
from tests.support.processes import File, serving, spawn
from tests.support.redis_server import RedisServer
from tests.support.sidecar import Start
from tests.support.upstream import Exchange, Upstream

KEY = "A" * 43 + "="
V1 = {"client_id": "me", "client_secret": "canary-v1"}
V2 = {"client_id": "me", "client_secret": "canary-v2"}
LATER = REFUSAL_LIFE + 0.1


@pytest.fixture
async def authorization_server(upstream: Upstream) -> AsyncIterator[Strict]:
    async with Strict(upstream) as server:
        server.reply["expires_in"] = 20
        yield server


def secret(aws: Aws) -> Mapping[str, object]:
    return {"app": {"aws_secret": {"id": aws.name("{service}"), "region": "eu-west-1", "endpoint": aws.url}}}


REFUSALS = {
    "401": json_answer(401, {"error": "invalid_client"}),
    "401, empty": b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
    "unauthorized_client": json_answer(400, {"error": "unauthorized_client"}),
    "access_denied": json_answer(403, {"error": "access_denied"}),
    "errorCode": json_answer(400, {"errorCode": "invalid_client"}),
    "invalid_grant": json_answer(400, {"error": "invalid_grant"}),
    "HTML": b"HTTP/1.1 403 No\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_t10_a_rotated_secret_is_recognised_by_the_source(
    sidecar: Start, aws: Aws, authorization_server: Strict, name: str
) -> None:
    """Whatever the server's word: one reading, one more request, and the client sees 200."""
    aws.create("app", V1)
    async with sidecar(credentials=secret(aws)) as running:
        assert (await running.get()).status == 200
        aws.put("app", V2)
        authorization_server.secrets, authorization_server.refusal = {"canary-v2"}, REFUSALS[name]
        await running.clock.advance(21)
        assert (await running.get()).status == 200
    assert [name for _, name in authorization_server.clients] == ["canary-v1", "canary-v1", "canary-v2"]
    assert len(aws.reads) == 2
    assert len(running.events("credentials_rejected")) == 1


@pytest.mark.parametrize("name", REFUSALS)
async def test_t10_a_storm_of_refusals_reads_the_source_once_a_window(
    sidecar: Start, aws: Aws, authorization_server: Strict, name: str
) -> None:
    """Nothing is dropped; the secret sent is the same, once a window."""
    aws.create("app", V1)
    aws.put("app", V1)  # so that there is a version before this one
    authorization_server.secrets, authorization_server.refusal = set(), REFUSALS[name]
    async with sidecar(credentials=secret(aws)) as running:
        for window in range(1, 5):
            answers = await asyncio.gather(*(running.get() for _ in range(20)))
            assert {answer.status for answer in answers} == {502}
            assert aws.reads == [("app", "AWSCURRENT")] * (1 + window)
            assert len(authorization_server.clients) == window
            await running.clock.advance(LATER)
    assert running.events("credentials_rejected") == []


async def test_t10_fifty_tokens_with_the_same_credentials_are_one_reading(
    sidecar: Start, aws: Aws, upstream: Upstream, authorization_server: Strict
) -> None:
    """All are refused at the same moment, and all are healed by what one reading found."""
    names = [f"t{number}" for number in range(50)]
    routes = [
        {"name": name, "match": {"prefix": f"/{name}"}, "upstream": upstream.url, "token": name}
        for name in names
    ]
    request = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    tokens = {name: {**request, "scope": [name]} for name in names}
    aws.create("app", V1)
    async with sidecar(*routes, tokens=tokens, credentials=secret(aws)) as running:

        async def statuses() -> set[int]:
            answers = await asyncio.gather(*(running.get(f"/{name}".encode()) for name in names))
            return {answer.status for answer in answers}

        assert await statuses() == {200}
        authorization_server.secrets = set()
        await running.clock.advance(21)
        assert await statuses() == {502}
        assert (len(aws.reads), len(authorization_server.clients)) == (2, 100)
        aws.put("app", V2)
        authorization_server.secrets = {"canary-v2"}
        await running.clock.advance(LATER)
        assert await statuses() == {200}
        assert len(aws.reads) == 3
        assert [name for _, name in authorization_server.clients].count("canary-v2") == 50
    assert len(running.events("credentials_rejected")) == 1


@pytest.mark.parametrize(
    "faults",
    [[(400, "AccessDeniedException")], [(400, "ThrottlingException")] * 3, [(500, "InternalError")] * 3],
)
async def test_t10_aws_that_cannot_be_read_again_costs_nothing_that_is_held(
    sidecar: Start, aws: Aws, authorization_server: Strict, faults: list[tuple[int, str]]
) -> None:
    """Denied or away: the client gets the server's refusal, and what is held serves the next request."""
    aws.create("app", V1)
    async with sidecar(credentials=secret(aws)) as running:
        assert (await running.get()).status == 200
        authorization_server.secrets = set()
        aws.faults.extend(faults)
        await running.clock.advance(21)
        answer = await running.get()
        assert answer.status == 502
        assert "token endpoint" in json.loads(answer.body)["detail"]
        reads = len(aws.reads)
        authorization_server.secrets = {"canary-v1"}
        await running.clock.advance(LATER)
        assert (await running.get()).status == 200
        assert len(aws.reads) == reads
    assert running.events("credentials_rejected") == []
    assert len(running.events("secret_unread")) == 1


async def test_t10_a_file_that_changed_after_it_was_read(
    sidecar: Start, authorization_server: Strict, tmp_path: Path
) -> None:
    """The refusal crosses the rotation: one more request."""
    path = tmp_path / "client.json"
    path.write_text(json.dumps(V1))

    async def rotate(exchange: Exchange) -> None:
        path.write_text(json.dumps(V2))
        await authorization_server.default(exchange)

    authorization_server.secrets = {"canary-v2"}
    authorization_server.refusal = REFUSALS["unauthorized_client"]
    authorization_server.scripts.append(rotate)
    async with sidecar(credentials={"app": {"file": str(path)}}) as running:
        assert (await running.get()).status == 200
    assert [name for _, name in authorization_server.clients] == ["canary-v1", "canary-v2"]


async def test_t10_a_version_before_the_current_one_is_tried_only_where_a_token_was_had(
    sidecar: Start, aws: Aws, authorization_server: Strict
) -> None:
    """The server has not learnt of the new secret yet. What it accepts is kept; what it refuses displaces nothing."""
    aws.create("app", V1)
    async with sidecar(credentials=secret(aws)) as running:
        assert (await running.get()).status == 200
        aws.put("app", V2)
        authorization_server.revoke("canary-token-1")
        assert (await running.get()).status == 200
    assert [name for _, name in authorization_server.clients] == ["canary-v1", "canary-v2", "canary-v1"]
    stages = [stage for _, stage in aws.reads]
    assert stages == ["AWSCURRENT"] * 3 + ["AWSPENDING", "AWSPREVIOUS"]
    assert len(running.events("credentials_rejected")) == 1


async def test_i3_an_unknown_audience_drops_nothing(
    sidecar: Start, aws: Aws, upstream: Upstream, authorization_server: Strict
) -> None:
    """Keycloak's 400 `invalid_client`: the source is read once a window, and other tokens never notice."""
    authorization_server.reply["expires_in"] = 3600
    aws.create("app", {**V1, "client_secret": "canary-v0"})
    aws.put("app", V1)
    request = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    routes = [
        {"name": name, "match": {"prefix": f"/{name}"}, "upstream": upstream.url, "token": name}
        for name in ("good", "odd")
    ]
    tokens = {"good": request, "odd": {**request, "audience": "unknown"}}
    async with sidecar(*routes, tokens=tokens, credentials=secret(aws)) as running:
        assert (await running.get(b"/good")).status == 200
        assert aws.reads == [("app", "AWSCURRENT")]
        for window in range(1, 4):
            answers = [await running.get(b"/odd") for _ in range(10)]
            assert {answer.status for answer in answers} == {502}
            assert "400 invalid_client" in json.loads(answers[0].body)["detail"]
            assert aws.reads == [("app", "AWSCURRENT")] * (1 + window)
            assert (await running.get(b"/good")).status == 200
            await running.clock.advance(LATER)
        authorization_server.revoke("canary-token-1")
        assert (await running.get(b"/good")).status == 200
    assert running.events("credentials_rejected") == []
    assert {name for _, name in authorization_server.clients} == {"canary-v1"}


async def test_i3_a_fleet_drops_nothing_and_reads_once_a_round(
    tmp_path: Path, aws: Aws, redis_server: RedisServer, upstream: Upstream, authorization_server: Strict
) -> None:
    """Three pods: no message, the entry in Redis stays, and no more readings than refusals."""
    aws.create("app", {**V1, "client_secret": "canary-v0"})
    aws.put("app", V1)
    prefix = f"{aws.prefix}:"
    request = {
        "token_endpoint": authorization_server.token_endpoint,
        "credentials": "app",
        "audience": "unknown",
    }
    document = {
        "routes": [{"name": "odd", "upstream": upstream.url, "token": "odd"}],
        "tokens": {"odd": request},
        "credentials": secret(aws),
        "redis": {
            "url": redis_server.url,
            "key_prefix": prefix,
            "encryption_keys": [{"id": "k1", "key": {"env": "FLEET_KEY"}}],
        },
    }
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Redis(host="127.0.0.1", port=redis_server.port))
        bus = await stack.enter_async_context(client.pubsub())
        await bus.subscribe(f"{prefix}m2m:bust")
        pods = []
        for number in range(3):
            child = await spawn(
                File(tmp_path / f"pod{number}.yaml"), document, environ={**ENVIRONMENT, "FLEET_KEY": KEY}
            )
            pods.append(await stack.enter_async_context(serving(child)))
        for _ in range(5):
            answers = await asyncio.gather(*(pod.get() for pod in pods for _ in range(10)))
            assert {status for status, _ in answers} == {502}
        assert await client.exists(f"{prefix}m2m:app:credentials") == 1
        messages = [await bus.get_message(timeout=0.1) for _ in range(3)]
    assert set(aws.reads) == {("app", "AWSCURRENT")}
    assert 2 <= len(aws.reads) <= 1 + len(authorization_server.clients)
    assert [message["type"] for message in messages if message is not None] == ["subscribe"]
