"""The modules that a command loads."""

import subprocess
import sys

HEAVY = {"aiohttp", "asyncio", "httptools", "msgspec", "ssl", "uvloop", "yaml"}


def loaded(*arguments: str) -> set[str]:
    """The top-level modules that a command has loaded when it ends."""
    program = f"""
import sys
from sidecar.cli.main import main
try:
    main({list(arguments)!r})
except SystemExit:
    pass
print(*{{name.partition(".")[0] for name in sys.modules}}, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stderr.split())
