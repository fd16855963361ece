"""Redis becomes unavailable to a pod that uses it."""

import pytest

from tests.support.incidents import INCIDENTS
from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from tests.system.incidents.conftest import Start

pytestmark = pytest.mark.unmeasured

KEY = "A" * 43 + "="


async def test_redis_is_unavailable(watched: Start, own_redis: RedisServer) -> None:
    """No request fails, and of the two alerts about Redis only one fires."""
    redis = {"url": own_redis.url, "encryption_keys": [{"id": "k1", "key": {"env": "FLEET_KEY"}}]}
    async with watched(environ={"FLEET_KEY": KEY}, redis=redis) as pod:
        assert await pod.requests() == [200] * 10
        await until(lambda: pod.shows_metric("sidecar_bus_up == 1"))
        await pod.view.begin()
        own_redis.kill()

        async def requests() -> None:
            assert await pod.requests() == [200] * 10

        await pod.view.shows(INCIDENTS["redis"], requests)
        assert await pod.shows_metric("sidecar_bus_up == 0")
