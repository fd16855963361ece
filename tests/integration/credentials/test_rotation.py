"""Client secrets in AWS that rotate, under real sidecars: the clients never notice."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support.authorization_server import Strict
from tests.support.aws import ENVIRONMENT, Aws
from tests.support.processes import File, Load, Process, get, serving, spawn
from tests.support.redis_server import RedisServer
from tests.support.sidecar import Start
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE
from tests.support.wire_client import ask

KEY = "A" * 43 + "="
V1 = {"client_id": "me", "client_secret": "canary-v1"}
V2 = {"client_id": "me", "client_secret": "canary-v2"}


@pytest.fixture
async def authorization_server(upstream: Upstream) -> AsyncIterator[Strict]:
    async with Strict(upstream) as server:
        yield server


def secret(aws: Aws, name: str = "{service}") -> dict[str, object]:
    return {"aws_secret": {"id": aws.name(name), "region": "eu-west-1", "endpoint": aws.url}}


async def test_b60_a_sidecar_reads_the_secret_once(
    sidecar: Start, aws: Aws, authorization_server: Strict
) -> None:
    """For all its token requests, with the counts of AWS and of the authorization server."""
    aws.create("app", V1)
    async with sidecar(credentials={"app": secret(aws)}) as running:
        assert (await running.get()).status == 200
        authorization_server.revoke("canary-token-1")
        assert (await running.get()).status == 200
    assert authorization_server.clients == [("me", "canary-v1")] * 2
    assert aws.reads == [("app", "AWSCURRENT")] * 2  # the renewal's demand is for a new one
    assert [event["stage"] for event in running.events("secret_read")] == ["AWSCURRENT"] * 2


async def test_b29_revoked_token_and_rotated_secret_heal_in_one_request(
    sidecar: Start, aws: Aws, authorization_server: Strict
) -> None:
    """The client sees 200; nothing is asked for in vain."""
    aws.create("app", V1)
    async with sidecar(credentials={"app": secret(aws)}) as running:
        assert (await running.get()).status == 200
        aws.put("app", V2)
        authorization_server.secrets = {"canary-v2"}
        authorization_server.revoke("canary-token-1")
        assert (await running.get()).status == 200
    assert [name for _, name in authorization_server.clients] == ["canary-v1", "canary-v2"]
    assert len(aws.reads) == 2


async def test_b30_rejected_credentials_are_read_again(
    sidecar: Start, aws: Aws, authorization_server: Strict
) -> None:
    """C = 2, T = 2 more, 200: the token had only expired, and the rotation was not yet known."""
    authorization_server.reply["expires_in"] = 20
    aws.create("app", V1)
    async with sidecar(credentials={"app": secret(aws)}) as running:
        assert (await running.get()).status == 200
        aws.put("app", V2)
        authorization_server.secrets = {"canary-v2"}
        await running.clock.advance(21)
        assert (await running.get()).status == 200
    assert [name for _, name in authorization_server.clients] == ["canary-v1", "canary-v1", "canary-v2"]
    assert len(aws.reads) == 2
    assert len(running.events("credentials_rejected")) == 1


async def test_b61_a_denied_secret_is_remembered_and_told(
    sidecar: Start, aws: Aws, authorization_server: Strict
) -> None:
    """Ten clients, one question; what to do is in the log."""
    aws.create("app", V1)
    aws.faults.extend([(400, "AccessDeniedException")] * 2)
    async with sidecar(credentials={"app": secret(aws)}) as running:
        answers = [await running.get() for _ in range(10)]
        metrics = (await ask(running.app.admin_address, get(b"/metrics"))).body
    assert b'sidecar_secret_reads_total{outcome="denied"} 1.0' in metrics
    assert b'sidecar_secret_reads_total{outcome="ok"} 0.0' in metrics
    assert {(answer.status, json.loads(answer.body)["error"]) for answer in answers} == {
        (502, "token_refused")
    }
    assert len(aws.reads) == 1
    (event,) = running.events("secret_unread")
    assert event["reason"] == "denied"
    assert authorization_server.requests == []


class Pods:
    """A fleet on one Redis, in which every pod needs the token."""

    def __init__(self, processes: list[Process], prefix: str, redis: RedisServer) -> None:
        self.processes = processes
        self._prefix = prefix
        self._redis = redis

    def stored(self) -> dict[bytes, bytes]:
        """Everything in Redis that credentials could be found by."""
        client = self._redis.client()
        names = [bytes(name) for name in client.scan_iter(f"{self._prefix}*:credentials")]
        found = {name.removeprefix(self._prefix.encode()): client.get(name) for name in names}
        client.close()
        return {name: value for name, value in found.items() if isinstance(value, bytes)}


@asynccontextmanager
async def fleet(
    tmp_path: Path,
    aws: Aws,
    redis: RedisServer,
    server: Strict,
    upstream: Upstream,
    **credentials: object,
) -> AsyncIterator[Pods]:
    document = {
        "routes": [{"name": "api", "upstream": upstream.url, "token": "api"}],
        "tokens": {"api": {"token_endpoint": server.token_endpoint, "credentials": "app"}},
        "credentials": {"app": {**secret(aws), **credentials}},
        "redis": {
            "url": redis.url,
            "key_prefix": f"{aws.prefix}:",
            "encryption_keys": [{"id": "k1", "key": {"env": "FLEET_KEY"}}],
        },
    }
    async with AsyncExitStack() as stack:
        processes = []
        for number in range(3):
            file = File(tmp_path / f"pod{number}.yaml")
            child = await spawn(file, document, environ={**ENVIRONMENT, "FLEET_KEY": KEY})
            processes.append(await stack.enter_async_context(serving(child)))
        yield Pods(processes, f"{aws.prefix}:", redis)


async def test_b60_a_fleet_reads_the_secret_once_and_seals_it(
    tmp_path: Path, aws: Aws, redis_server: RedisServer, upstream: Upstream, authorization_server: Strict
) -> None:
    """Three pods, one request; Redis holds it under its name, and it cannot be read there."""
    aws.create("app", V1)
    async with fleet(tmp_path, aws, redis_server, authorization_server, upstream) as pods:
        assert {(await pod.get())[0] for pod in pods.processes} == {200}
        stored = pods.stored()
        assert list(stored) == [b"m2m:app:credentials"]
        assert b"canary" not in stored[b"m2m:app:credentials"]
    assert len(aws.reads) == 1


async def test_b60_what_is_not_to_be_shared_stays_in_the_pod(
    tmp_path: Path, aws: Aws, redis_server: RedisServer, upstream: Upstream, authorization_server: Strict
) -> None:
    """`share: false`: tokens are in Redis, credentials are not."""
    aws.create("app", V1)
    async with fleet(tmp_path, aws, redis_server, authorization_server, upstream, share=False) as pods:
        assert {(await pod.get())[0] for pod in pods.processes} == {200}
        assert pods.stored() == {}


async def test_b29_b30_rotating_and_revoking_under_load_fails_no_request(
    tmp_path: Path, aws: Aws, redis_server: RedisServer, upstream: Upstream, authorization_server: Strict
) -> None:
    """Round after round, in every order in which the parties can learn of it."""
    authorization_server.revoke("")  # from here on only what was issued is accepted
    aws.create("app", {"client_id": "me", "client_secret": "canary-v1"})
    async with (
        fleet(tmp_path, aws, redis_server, authorization_server, upstream) as pods,
        AsyncExitStack() as stack,
    ):
        loads = [
            await stack.enter_async_context(Load(pod.address, rate=150, connections=5))
            for pod in pods.processes
        ]
        await asyncio.gather(*(load.reach(20) for load in loads))
        for number in range(2, 8):
            await rotate(
                aws, authorization_server, loads, f"canary-v{number}", at_the_server_first=number % 2 == 0
            )
    assert [set(load.answers) for load in loads] == [{"200"}] * 3
    assert authorization_server.clients[-1][1] == "canary-v7"
    for pod in pods.processes:
        assert b"canary" not in pod.stdout


async def rotate(
    aws: Aws, server: Strict, loads: Sequence[Load], new: str, *, at_the_server_first: bool
) -> None:
    """Change the secret in both places, and make everything that was issued before worthless at once.

    No request lives through two revocations: the second one's refusal would be its client's to see.
    """

    async def healed() -> None:
        await asyncio.gather(*(load.turn_over() for load in loads))

    version = {"client_id": "me", "client_secret": new}
    if at_the_server_first:
        aws.put("app", version, "AWSPENDING")
        server.secrets = {new}
        for token in server.issued:
            server.revoke(token)
        await healed()  # the moment in which only AWSPENDING works
        aws.put("app", version)
    else:
        aws.put("app", version)
        for token in server.issued:
            server.revoke(token)
        await healed()  # the moment in which only AWSPREVIOUS works
        server.secrets = {new}
        for token in server.issued:
            server.revoke(token)
    async with asyncio.timeout(PATIENCE):
        while server.clients[-1][1] != new:
            await asyncio.sleep(0.01)
    await healed()
