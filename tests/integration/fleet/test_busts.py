"""Real sidecars and what comes to them over Redis: busts, lies, rubbish, silence, and other programs."""

import asyncio
import base64
import json
import os
from itertools import count
from time import time

import pytest

from sidecar.cache.refused_tokens import Bust
from sidecar.core.labels import parse_selector
from sidecar.fleet.messages import Revocation, encode
from sidecar.fleet.seal import AesSeal
from sidecar.system.clock import SystemRandomness
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.fleet_of_members import Cable
from tests.support.fleet_of_sidecars import ENVIRON, KEY, SidecarFleet, SidecarPod
from tests.support.redis_server import RedisServer
from tests.support.upstream import Exchange, Upstream
from tests.support.waiting import PATIENCE, until

A, B = "canary-token-1", "canary-token-2"
SEAL = AesSeal([("k1", base64.b64decode(KEY))], SystemRandomness())


def signed(fleet: SidecarFleet, what: Bust | Revocation, at: float = 0.0) -> bytes:
    """The message of a pod that is not there, now or at another time."""
    channel = f"{fleet.prefix}m2m:bust"
    moment = round((at or time()) * 1000)
    return encode(what, channel=channel, sender="another-pod", at=moment, sign=SEAL.sign)


async def rejected(pod: SidecarPod, reason: str = "") -> int:
    labels = {"reason": reason} if reason else {}
    return round(await pod.metric("sidecar_busts_rejected_total", **labels))


async def applied(pod: SidecarPod) -> int:
    return round(await pod.metric("sidecar_busts_applied_total"))


async def reach(pods: list[SidecarPod], count: int) -> None:
    """Wait until every pod has refused so many messages."""
    async with asyncio.timeout(PATIENCE):
        for pod in pods:
            while await rejected(pod) < count:
                await asyncio.sleep(0.005)


async def held(pod: SidecarPod) -> list[str]:
    """The fingerprints in memory."""
    tokens = (await pod.status())["tokens"]
    assert isinstance(tokens, list)
    return [token["fp"] for token in tokens]


async def bust_of(fleet: SidecarFleet, pod: SidecarPod) -> Bust:
    """What would bust the one token of the fleet."""
    (fingerprint,) = await held(pod)
    return Bust((await fleet.key()).removeprefix(fleet.prefix), fingerprint, round(time() * 1000))


async def test_b40_b41_one_bust_reaches_all_and_nobody_answers_it(
    fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Five sidecars: the four others drop the token before their next call, one message is published in all."""
    pods = await fleet.start(5)
    authorization_server.revoke(A)
    assert await pods[0].get() == 200
    async with asyncio.timeout(PATIENCE):
        while [await applied(pod) for pod in pods] != [0, 1, 1, 1, 1]:
            await asyncio.sleep(0.005)
    assert [await pod.get() for pod in pods] == [200] * 5
    assert upstream.tokens == [A, B, B, B, B, B, B]
    assert len(authorization_server.issued) == 2
    assert [json.loads(bust)["kind"] for bust in fleet.busts] == ["token"]


async def test_b41_a_repeated_message_changes_nothing(
    fleet: SidecarFleet, authorization_server: AuthorizationServer
) -> None:
    """Published again, also by chance twice: the successor stays, in the pod that spoke too."""
    pods = await fleet.start(2)
    authorization_server.revoke(A)
    assert await pods[0].get() == 200
    await until(lambda: len(fleet.busts) == 1)
    assert await pods[1].get() == 200
    for _ in range(2):
        await fleet.redis.publish(f"{fleet.prefix}m2m:bust", fleet.busts[0])
    await reach(pods[1:], 2)
    assert [len(await held(pod)) for pod in pods] == [1, 1]
    assert await rejected(pods[1], "replayed") == 2
    assert await rejected(pods[0]) == 0
    assert len(authorization_server.issued) == 2


async def test_b42_b43_b44_what_may_not_bust_does_not_and_is_counted(fleet: SidecarFleet) -> None:
    """Each sort of lie once, on the right channel and on the wrong one; then the truth still counts."""
    (pod,) = await fleet.start(
        1, busts={"listen": [{"channel": f"{fleet.prefix}gw", "dialect": "mcp-gateway"}]}
    )
    bust = await bust_of(fleet, pod)
    true = signed(fleet, bust)
    members = json.loads(true)
    everything = Revocation(parse_selector({}), round((time() - 301) * 1000), "x")
    lies = [
        ("m2m:fill", true, "channel"),
        ("gw", true, "unknown"),
        ("gw", b"user:", "malformed"),
        ("m2m:bust", b"", "malformed"),
        ("m2m:bust", b"x" * 2**20, "too_large"),
        ("m2m:bust", json.dumps({**members, "mac": ""}).encode(), "unsigned"),
        ("m2m:bust", json.dumps({**members, "gen": members["gen"] + 1}).encode(), "forged"),
        ("m2m:bust", json.dumps({**members, "from": "me"}).encode(), "forged"),
        ("m2m:bust", signed(fleet, everything, time() - 301), "old"),
    ]
    for channel, payload, _ in lies:
        await fleet.redis.publish(f"{fleet.prefix}{channel}", payload)
    await reach([pod], len(lies))
    reasons = [reason for _, _, reason in lies]
    assert {reason: await rejected(pod, reason) for reason in reasons} == {
        reason: reasons.count(reason) for reason in reasons
    }
    assert await held(pod) == [bust.fingerprint]
    await fleet.redis.publish(f"{fleet.prefix}m2m:bust", true)
    async with asyncio.timeout(PATIENCE):
        while await held(pod):
            await asyncio.sleep(0.005)


async def test_b44_rubbish_is_harmless(fleet: SidecarFleet) -> None:
    """A few hundred random payloads: all refused, requests go on, nothing failed."""
    (pod,) = await fleet.start()
    for length in range(300):
        await fleet.redis.publish(f"{fleet.prefix}m2m:bust", os.urandom(length))
    await reach([pod], 300)
    assert await pod.get() == 200
    assert len(await held(pod)) == 1


async def test_b46_a_missed_message_cannot_keep_a_dead_token(
    fleet: SidecarFleet,
    redis_server: RedisServer,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
) -> None:
    """The second is cut off during the bust: back again its first call is fresh, its other token untouched."""
    endpoint = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    routes = [
        {"name": name, "match": {"prefix": f"/{name}"}, "upstream": upstream.url, "token": name}
        for name in ("one", "two")
    ]
    tokens = {name: {**endpoint, "audience": name} for name in ("one", "two")}
    async with Cable(redis_server.port) as cable:
        redis = {
            "url": f"redis://127.0.0.1:{cable.port}",
            "key_prefix": fleet.prefix,
            "encryption_keys": [{"id": "k1", "key": {"env": "FLEET_KEY"}}],
        }
        (first,) = await fleet.start(tokens=tokens, routes=routes)
        assert [await first.get(path) for path in (b"/one", b"/two")] == [200, 200]
        dead = upstream.tokens[0]
        (second,) = await fleet.start(redis=redis)
        cable.cut()
        await lost(second)
        authorization_server.revoke(dead)
        assert await first.get(b"/one") == 200
        seen = len(upstream.tokens)
        cable.mend()
        await second.joined()
        assert [await second.get(path) for path in (b"/one", b"/two")] == [200, 200]
        assert upstream.tokens[seen:] == [authorization_server.issued[2], upstream.tokens[1]]
        assert len(authorization_server.issued) == 3
        await fleet.stop()


async def lost(pod: SidecarPod) -> None:
    """Wait until the pod has detected that its link is lost."""
    async with asyncio.timeout(PATIENCE):
        while await pod.metric("sidecar_bus_up"):
            await asyncio.sleep(0.005)


async def test_b51_nothing_that_is_told_or_kept_is_readable(
    fleet: SidecarFleet, authorization_server: AuthorizationServer
) -> None:
    """Neither a token nor a secret, in no value and no message, whatever happened before."""
    heard: list[bytes] = []
    async with fleet.redis.pubsub() as pubsub:
        await pubsub.psubscribe(f"{fleet.prefix}*")
        pods = await fleet.start(2)
        authorization_server.revoke(A)
        assert await pods[0].get() == 200
        authorization_server.scripts.append(json_answer(400, {"error": "invalid_grant"}))
        authorization_server.revoke(B)
        assert await pods[1].get() == 401
        async with asyncio.timeout(PATIENCE):
            while (message := await pubsub.get_message(timeout=0.2)) is not None or len(heard) <= 3:
                heard += [str(message).encode()] if message is not None else []
    kept = [await fleet.redis.dump(key) or b"" async for key in fleet.redis.scan_iter(f"*{fleet.prefix}*")]
    assert len(heard) > 3
    assert len(kept) > 2
    for content in (*heard, *kept):
        assert b"canary" not in content
        assert base64.b64encode(b"canary-token")[:12] not in content


async def test_b51_a_fleet_changes_its_key_without_a_fetch(
    fleet: SidecarFleet,
    redis_server: RedisServer,
    authorization_server: AuthorizationServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pods with the new key first and the old one second use what the old ones stored, and receive their busts."""
    monkeypatch.setitem(ENVIRON, "NEW_KEY", base64.b64encode(b"n" * 32).decode())
    old, new = ({"id": name, "key": {"env": env}} for name, env in (("k1", "FLEET_KEY"), ("k2", "NEW_KEY")))
    redis = {"url": redis_server.url, "key_prefix": fleet.prefix}
    (first,) = await fleet.start(redis={**redis, "encryption_keys": [old, new]})
    (second,) = await fleet.start(redis={**redis, "encryption_keys": [new, old]})
    assert len(authorization_server.issued) == 1
    for one, other in ((first, second), (second, first)):
        authorization_server.revoke(authorization_server.issued[-1])
        assert await one.get() == 200
        async with asyncio.timeout(PATIENCE):
            while await held(other):
                await asyncio.sleep(0.005)
        assert await other.get() == 200
    assert len(authorization_server.issued) == 3


def jwt(number: int) -> str:
    """A token that says which it is."""
    claims = json.dumps({"jti": f"id:{number}", "sub": "canary"}).encode()
    return f"canary.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.signature"


async def test_b53_the_gateway_revokes_a_token_by_its_id(
    fleet: SidecarFleet, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """`revoke:<jti>` on its channel drops the one JWT with that id, in every pod, and leaves the other."""
    numbers = count(1)

    async def issue(exchange: Exchange) -> None:
        await exchange.read()
        await exchange.send(json_answer(200, {"access_token": jwt(next(numbers)), "token_type": "Bearer"}))

    authorization_server.scripts.extend([issue] * 10)
    endpoint = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    pods = await fleet.start(
        2,
        tokens={name: {**endpoint, "audience": name} for name in ("one", "two")},
        routes=[
            {"name": name, "match": {"prefix": f"/{name}"}, "upstream": upstream.url, "token": name}
            for name in ("one", "two")
        ],
        busts={"listen": [{"channel": "mcpgw:auth:invalidate", "dialect": "mcp-gateway"}]},
    )
    first = [await pods[0].get(path) for path in (b"/one", b"/two")]
    assert first == [200, 200]
    dead, living = upstream.tokens
    assert {dead, living} == {jwt(1), jwt(2)}
    number = 1 if dead == jwt(1) else 2
    await fleet.redis.publish("mcpgw:auth:invalidate", f"revoke:id:{number}")
    async with asyncio.timeout(PATIENCE):
        while [len(await held(pod)) for pod in pods] != [1, 1]:
            await asyncio.sleep(0.005)
    seen = len(upstream.tokens)
    for pod in pods:
        assert [await pod.get(path) for path in (b"/one", b"/two")] == [200, 200]
    assert upstream.tokens[seen:] == [jwt(3), living] * 2
