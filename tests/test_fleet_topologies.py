"""Redis behind Sentinels and as a Cluster, with real processes: sidecars share tokens and busts there too."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from redis.exceptions import RedisClusterException, RedisError

from sidecar.adapters.redis.connect import connect
from sidecar.adapters.redis.examine import Examination
from sidecar.core.settings import RedisSettings, SentinelSettings
from sidecar.core.tls import Tls
from tests.authorization import AuthorizationServer
from tests.conftest import FleetOn
from tests.redis_server import Cluster, RedisServer, Sentinels
from tests.servers import Upstream
from tests.waiting import until

A, B = "canary-token-1", "canary-token-2"
TOKENS = 6


async def test_sentinels_fail_over_and_no_client_notices(
    sentinels: Sentinels, fleet_on: FleetOn, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """The master is killed: requests go on, then tokens and busts are shared through the new one."""
    fleet = fleet_on(sentinels.first, url=url_of(sentinels.hosts), sentinel={"master": Sentinels.MASTER})
    async with fleet:
        pods = await fleet.start(3)
        assert len(authorization_server.requests) == 1
        sentinels.first.kill()
        authorization_server.revoke(A)
        assert {await pod.get() for pod in pods} == {200}
        known = len(authorization_server.requests)
        await until(lambda: sentinels.is_master(sentinels.second))
        await asyncio.gather(*(pod.joined() for pod in pods))
        assert {await pod.get() for pod in pods} == {200}
        (late,) = await fleet.start()
        assert await late.get() == 200
        assert len(authorization_server.requests) <= known + 1
        authorization_server.revoke(authorization_server.issued[-1])
        assert await late.get() == 200
        assert {await pod.get() for pod in pods} == {200}
        assert all(pod.app.started() for pod in pods)


async def test_a_cluster_shares_keys_of_every_slot(
    cluster: Cluster, fleet_on: FleetOn, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """One token call a key for all pods; a bust published at any node reaches all of them."""
    async with fleet_on(cluster.nodes[0], url=url_of(cluster.hosts[:1]), cluster=True) as fleet:
        pods = await fleet.start(3, **many(authorization_server, upstream))
        for number in range(TOKENS):
            assert {await pod.get(b"/%d" % number) for pod in pods} == {200}
        assert len(authorization_server.requests) == TOKENS
        assert len({node for node in cluster.nodes if keys_of(node, fleet.prefix)}) > 1
        for token in tuple(authorization_server.issued):
            authorization_server.revoke(token)
        for number in range(TOKENS):
            assert await pods[number % 3].get(b"/%d" % number) == 200
        await until(lambda: len(fleet.busts) == TOKENS)
        for number in range(TOKENS):
            assert {await pod.get(b"/%d" % number) for pod in pods} == {200}
        assert len(authorization_server.requests) == 2 * TOKENS
        assert len(fleet.busts) == TOKENS


async def test_a_node_of_a_cluster_may_die(
    cluster: Cluster, fleet_on: FleetOn, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Its keys have no home any more; every request is answered, those that need a new token too."""
    async with fleet_on(cluster.nodes[0], url=url_of(cluster.hosts), cluster=True) as fleet:
        pods = await fleet.start(2, **many(authorization_server, upstream))
        cluster.nodes[1].kill()
        for token in tuple(authorization_server.issued):
            authorization_server.revoke(token)
        for number in range(TOKENS):
            assert {await pod.get(b"/%d" % number) for pod in pods} == {200}


async def test_a_cluster_stands_the_examination(cluster: Cluster) -> None:
    """What `sidecar check` asks of a Redis, a Cluster answers too."""
    examination = Examination(connect(RedisSettings(hosts=cluster.hosts[:1], cluster=True), timeout=5.0))
    try:
        assert (await examination.log_in()).outcome == "ok"
        findings = [
            await examination.version(),
            await examination.keys("m2m:check", "m2m:check"),
            await examination.channels(["m2m:bust"]),
        ]
    finally:
        await examination.close()
    assert [finding.outcome for finding in findings] == ["ok"] * 3
    assert findings[0].detail.startswith(("redis ", "valkey "))


def url_of(hosts: tuple[tuple[str, int], ...]) -> str:
    return "redis://" + ",".join(f"{host}:{port}" for host, port in hosts)


def many(authorization_server: AuthorizationServer, upstream: Upstream) -> dict[str, Any]:
    """A token and a route a number: keys that fall into different slots."""
    request = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    return {
        "tokens": {f"t{number}": {**request, "scope": [f"s{number}"]} for number in range(TOKENS)},
        "routes": [
            {
                "name": f"r{number}",
                "match": {"prefix": f"/{number}"},
                "upstream": upstream.url,
                "token": f"t{number}",
            }
            for number in range(TOKENS)
        ],
    }


def keys_of(node: RedisServer, prefix: str) -> list[bytes]:
    with node.client() as client:
        return list(client.scan_iter(f"{prefix}*"))


@pytest.mark.parametrize("how", [{}, {"cluster": True}, {"sentinel": SentinelSettings("main")}])
async def test_nobody_is_asked_for_the_passphrase_of_a_key(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], how: dict[str, Any]
) -> None:
    """Not on a terminal, where the whole sidecar would wait for it: the key is tried without any."""
    issued = trustme.CA().issue_cert("sidecar@test")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    locked = tmp_path / "tls.pem"
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"canary"))
    )
    with locked.open("ab") as file:
        file.write(issued.cert_chain_pems[0].bytes())
    silent = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with silent:
        hosts = (silent.sockets[0].getsockname()[:2],)
        client = connect(
            RedisSettings(hosts=hosts, tls=Tls(certificate_file=str(locked)), **how), timeout=1.0
        )
        with pytest.raises((RedisError, RedisClusterException)):
            await client.execute_command("GET", "x")
    assert "phrase" not in capfd.readouterr().err
