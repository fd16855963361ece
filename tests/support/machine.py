"""What figures were measured on."""

import platform
import re
import sys
import sysconfig
from pathlib import Path


def python() -> str:
    """The interpreter's version and build, which decides much."""
    return f"{platform.python_version()} ({_build()})"


def processor() -> str:
    """Return its model, as far as the system reports it."""
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _build() -> str:
    if sys.base_prefix == "/usr":
        return "the distribution's build"
    guided = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    return "profile-guided build" if guided else "plain build"
