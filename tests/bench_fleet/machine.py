"""Where and with what it was measured."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from tests.redis_server import RedisServer


def facts(redis: RedisServer) -> dict[str, str]:
    """Versions and the processor."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    with redis.client() as client:
        server = str(client.info("server")["redis_version"])
    return {
        "redis": server,
        "redis-py": version("redis"),
        "python": platform.python_version(),
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": processor[1] if processor else platform.machine(),
    }
