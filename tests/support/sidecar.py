"""A sidecar between real servers, and a check after each test that it gave nothing away."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import pytest
import yaml

from sidecar.app.sidecar import Sidecar
from sidecar.config.load import load
from sidecar.core.ports import Clock
from tests.support.authorization_server import AuthorizationServer
from tests.support.clock import FakeClock
from tests.support.fleet_of_sidecars import SidecarFleet
from tests.support.processes import File
from tests.support.randomness import FixedRandomness
from tests.support.redis_server import RedisServer
from tests.support.upstream import Upstream
from tests.support.wire_client import Answer, Client, ask

CANARY = b"canary"
"""Part of every token, secret, query and body of the tests; no log line may hold it."""
SECRET = "canary-secret/+: ü"


class Running:
    """A started sidecar."""

    def __init__(self, app: Sidecar, clock: FakeClock, log: Path) -> None:
        self.app = app
        self.clock = clock
        self._log = log

    @property
    def address(self) -> str:
        return self.app.address

    @property
    def host(self) -> bytes:
        """What a client puts in Host."""
        return b"localhost" if self.address.startswith("unix:") else self.address.encode()

    async def connect(self, *, receive_buffer: int = 0) -> Client:
        return await Client.connect(self.address, receive_buffer=receive_buffer)

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        """Send these bytes on a new connection and read one answer."""
        return await ask(self.address, data, method)

    async def get(self, target: bytes = b"/", *fields: bytes) -> Answer:
        return await self.ask(self.request(b"GET", target, *fields))

    async def status(self, query: bytes = b"") -> dict[str, object]:
        """What `/status` shows."""
        answer = await ask(
            self.app.admin_address, b"GET /status%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % query
        )
        shown: dict[str, object] = json.loads(answer.body)
        return shown

    async def rows(self, of: str, query: bytes = b"") -> list[dict[str, object]]:
        """A list that `/status` shows: its routes, tokens, health or events."""
        rows = (await self.status(query))[of]
        assert isinstance(rows, list)
        return rows

    async def tokens(self) -> list[dict[str, object]]:
        """Return what `/status` shows about the tokens in memory."""
        return [token for token in await self.rows("tokens") if token["state"] != "missing"]

    def request(self, method: bytes, target: bytes, *fields: bytes, body: bytes = b"") -> bytes:
        """A well-formed request; `fields` are whole lines without their CRLF."""
        return b"\r\n".join((b"%s %s HTTP/1.1" % (method, target), b"Host: " + self.host, *fields, b"", body))

    def log(self) -> list[dict[str, object]]:
        """The log so far; lines are written in batches, so look after the sidecar stopped."""
        return [json.loads(line) for line in self._log.read_bytes().splitlines()]

    def events(self, name: str) -> list[dict[str, object]]:
        return [line for line in self.log() if line["event"] == name]


class Start(Protocol):
    """What the `sidecar` fixture gives."""

    def __call__(
        self, *routes: Mapping[str, object], token: Mapping[str, object] | None = None, **changes: object
    ) -> AbstractAsyncContextManager[Running]:
        """Start with these routes (by default everything to the upstream, with a token).

        `token` adds to the token request, `changes` to the whole document.
        """


class FleetOn(Protocol):
    """What the `fleet_on` fixture gives."""

    def __call__(self, server: RedisServer, **redis: object) -> SidecarFleet:
        """Make a fleet to enter; `redis` are changes to that part of the document."""


class TickingClock(FakeClock):
    """Moved by hand, but no two readings are equal: what happens later is later."""

    def __init__(self) -> None:
        super().__init__()
        self._ticks = 0.0

    def now(self) -> float:
        self._ticks += 1e-6
        return super().now() + self._ticks


@pytest.fixture
def clock() -> FakeClock:
    return TickingClock()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """The upstream; whatever reached it was well-formed."""
    async with Upstream() as server:
        yield server
        assert server.malformed == []


@pytest.fixture
async def other() -> AsyncIterator[Upstream]:
    """Another upstream, for the configuration to come."""
    async with Upstream() as server:
        yield server
        assert server.malformed == []


@pytest.fixture
async def authorization_server(upstream: Upstream) -> AsyncIterator[AuthorizationServer]:
    async with AuthorizationServer(upstream) as server:
        yield server
        assert server.malformed == []


@pytest.fixture
def plain(upstream: Upstream) -> Mapping[str, object]:
    """A route for everything, without a token."""
    return {"name": "plain", "match": {"prefix": "/"}, "upstream": upstream.url}


@pytest.fixture
def file(tmp_path: Path) -> File:
    """The configuration file."""
    return File(tmp_path / "config.yaml")


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    """The client secret is read from here."""
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return path


@pytest.fixture
def sidecar(
    tmp_path: Path,
    secret_file: Path,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    clock: FakeClock,
) -> Start:
    @asynccontextmanager
    async def start(
        *routes: Mapping[str, object], token: Mapping[str, object] | None = None, **changes: object
    ) -> AsyncIterator[Running]:
        default = {"name": "api", "match": {"prefix": "/"}, "upstream": upstream.url, "token": "api"}
        request = {
            "token_endpoint": authorization_server.token_endpoint,
            "credentials": "app",
            "scope": ["read"],
        }
        document = {
            "listen": "127.0.0.1:0",
            "admin": {"listen": "127.0.0.1:0"},
            "drain_timeout": "1ms",
            "credentials": {"app": {"client_id": "app", "client_secret": {"file": str(secret_file)}}},
            "tokens": {"api": {**request, **(token or {})}},
            "routes": list(routes) or [default],
            **changes,
        }
        config = tmp_path / "config.yaml"
        config.write_text(yaml.safe_dump(document))
        log = tmp_path / "log"
        with log.open("wb", buffering=0) as output:
            app = _assemble(config, output, clock)
            await app.start()
            try:
                yield Running(app, clock, log)
                await _check_admin(app.admin_address)
            finally:
                await app.stop()
        _check_log(log)

    return start


@pytest.fixture
async def relay(sidecar: Start, plain: Mapping[str, object]) -> AsyncIterator[Running]:
    """A sidecar that relays everything untouched."""
    async with sidecar(plain) as running:
        yield running


@pytest.fixture
def fleet_on(
    tmp_path: Path, upstream: Upstream, authorization_server: AuthorizationServer, secret_file: Path
) -> FleetOn:
    def make(server: RedisServer, **redis: object) -> SidecarFleet:
        return SidecarFleet(
            server,
            tmp_path,
            upstream=upstream,
            authorization_server=authorization_server,
            secret_file=secret_file,
            **redis,
        )

    return make


@pytest.fixture
async def fleet(fleet_on: FleetOn, redis_server: RedisServer) -> AsyncIterator[SidecarFleet]:
    """Pods on the worker's server, under a prefix of their own."""
    async with fleet_on(redis_server) as fleet:
        yield fleet


@pytest.fixture
async def frail(fleet_on: FleetOn, own_redis: RedisServer) -> AsyncIterator[SidecarFleet]:
    """Pods on a server that the test may stop, and whose publications reach no other pods."""
    async with fleet_on(own_redis) as fleet:
        yield fleet


def _assemble(config: Path, output: BinaryIO, clock: Clock) -> Sidecar:
    settings = load(str(config), {})
    return Sidecar(settings, output=output, clock=clock, randomness=FixedRandomness(), quiet=0.05)


async def _check_admin(address: str) -> None:
    """No canary in what the admin server returns; a sidecar that the test has stopped returns nothing."""
    for path in (b"/status", b"/metrics"):
        with suppress(ConnectionRefusedError):
            answer = await ask(address, b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path)
            assert CANARY not in answer.head.raw + answer.body


def _check_log(log: Path) -> None:
    """No canary in any line, every line is an event, and no unexpected failure."""
    content = log.read_bytes()
    assert CANARY not in content
    lines = [json.loads(line) for line in content.splitlines()]
    assert [line for line in lines if line["event"] == "failed"] == []
