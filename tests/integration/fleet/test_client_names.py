"""Connections to Redis say whose they are, where that is allowed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from sidecar.fleet.redis.connect import Client, connect, disconnect
from sidecar.fleet.redis.permissions import rules
from sidecar.fleet.redis.subscription import Subscription
from sidecar.fleet.settings import RedisSettings, SentinelSettings
from tests.support.fleet_of_members import MemberFleet, request
from tests.support.redis_server import PASSWORD, Cluster, RedisServer, Sentinels
from tests.support.waiting import AT_LEISURE

NAME = "sidecar-0123456789abcdef"


def names(server: RedisServer) -> list[str]:
    """Of all its connections, this one excepted."""
    with server.client() as client:
        return [each["name"] for each in client.client_list() if int(each["id"]) != client.client_id()]


@asynccontextmanager
async def connected(settings: RedisSettings) -> AsyncIterator[Client]:
    """A client with a connection, and a subscription."""
    client, hearing = (connect(settings, timeout=AT_LEISURE, name=NAME) for _ in "ab")
    try:
        await client.initialize()
        await client.ping()
        async with Subscription(hearing, [f"{settings.key_prefix}m2m:bust"], 0):
            yield client
    finally:
        await disconnect(client)
        await disconnect(hearing)


async def test_i8_every_connection_of_a_pod_has_its_name(each_redis: RedisServer) -> None:
    """Of the store and of the bus; it is the one that other pods log as a message's origin."""
    async with MemberFleet(each_redis) as fleet:
        await fleet.pod()
        pod = await fleet.pod()
        await pod.token(request())
        mine = {name for name in names(each_redis) if name.startswith("sidecar-")}
        assert len(mine) == 2
        for name in mine:
            assert names(each_redis).count(name) >= 2


@pytest.mark.parametrize("how", ["tcp", "socket", "database"])
async def test_i8_a_connection_has_its_name_however_it_is_made(each_redis: RedisServer, how: str) -> None:
    """Over TCP, over a Unix socket and in another database."""
    settings = each_redis.settings(f"{uuid4().hex[:8]}:")
    if how == "socket":
        settings = replace(settings, hosts=(), unix_path=each_redis.unix_path)
    if how == "database":
        settings = replace(settings, database=1)
    async with connected(settings):
        assert names(each_redis).count(NAME) == 2


async def test_i8_a_name_that_is_denied_breaks_nothing(each_own_redis: RedisServer) -> None:
    """The connection works without one."""
    prefix = f"{uuid4().hex[:8]}:"
    with each_own_redis.client() as client:
        allowed = [each for each in rules(prefix) if each != "+client|setname"]
        client.execute_command("ACL", "SETUSER", "nameless", "reset", "on", f">{PASSWORD}", *allowed)
    async with connected(replace(each_own_redis.settings(prefix), username="nameless")) as client:
        assert await client.get(f"{prefix}m2m:x") is None
        assert NAME not in names(each_own_redis)


async def test_i8_a_server_without_the_command_breaks_nothing(tmp_path: Path) -> None:
    """Some services have renamed or removed CLIENT."""
    with RedisServer(tmp_path, {"rename-command": "CLIENT hidden"}) as server:
        async with connected(RedisSettings(hosts=(("127.0.0.1", server.port),))) as client:
            assert await client.get("m2m:x") is None


async def test_i8_connections_behind_sentinels_have_the_name(sentinels: Sentinels) -> None:
    """Those to the server and those to the Sentinels."""
    settings = RedisSettings(hosts=sentinels.hosts, sentinel=SentinelSettings(Sentinels.MASTER))
    async with connected(settings):
        assert names(sentinels.first).count(NAME) == 2
        assert sum(names(server).count(NAME) for server in sentinels.servers) > 2


async def test_i8_connections_to_a_cluster_have_the_name(cluster: Cluster) -> None:
    """To every node that is used."""
    settings = replace(cluster.nodes[0].settings("????????:"), hosts=cluster.hosts, cluster=True)
    async with connected(settings):
        assert sum(names(node).count(NAME) for node in cluster.nodes) >= 2
