"""Where and with what it was measured."""

import os
from importlib.metadata import version

from tests.support import machine
from tests.support.redis_server import RedisServer


def facts(redis: RedisServer) -> dict[str, str]:
    """Versions and the processor."""
    with redis.client() as client:
        server = str(client.info("server")["redis_version"])
    return {
        "redis": server,
        "redis-py": version("redis"),
        "python": machine.python(),
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": machine.processor(),
    }
