"""A fleet of real sidecars on a real Redis, in one process: each has its own everything."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self
from uuid import uuid4

import yaml
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from sidecar.app.sidecar import Sidecar
from sidecar.config.load import load
from sidecar.config.settings import Config
from sidecar.system.clock import SystemRandomness
from tests.support.authorization_server import AuthorizationServer
from tests.support.processes import get, redis_health
from tests.support.redis_server import RedisServer
from tests.support.upstream import Upstream
from tests.support.waiting import AT_LEISURE, PATIENCE
from tests.support.wire_client import Answer, ask

KEY = base64.b64encode(bytes(range(32))).decode()
ENVIRON = {"FLEET_KEY": KEY}


def at_leisure(config: Config) -> Config:
    """The same on a machine that may be busy."""
    if config.redis is None:
        return config
    return replace(config, redis=replace(config.redis, operation_timeout=AT_LEISURE))


class Prompt(SystemRandomness):
    """Jitter takes no time."""

    def uniform(self, low: float, high: float) -> float:
        return low


class SidecarPod:
    """One started sidecar."""

    def __init__(self, app: Sidecar, log: Path) -> None:
        self.app = app
        self._log = log

    async def ask(self, data: bytes, method: str = "GET") -> Answer:
        return await ask(self.app.address, data, method)

    async def get(self, target: bytes = b"/") -> int:
        """The status of a request on a new connection."""
        return (await self.ask(get(target))).status

    async def status(self) -> dict[str, object]:
        page: dict[str, object] = json.loads((await ask(self.app.admin_address, get(b"/status"))).body)
        return page

    async def metric(self, name: str, **labels: str) -> float:
        """A series of `/metrics`; 0 where there is none."""
        page = (await ask(self.app.admin_address, get(b"/metrics"))).body.decode()
        samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
        return sum(
            sample.value
            for sample in samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    async def joined(self) -> None:
        """Wait until it has warmed up and receives messages of the others."""
        async with asyncio.timeout(PATIENCE):
            while not self.app.started() or redis_health(await self.status()) != {"store": "up", "bus": "up"}:
                await asyncio.sleep(0.005)

    def events(self, name: str) -> list[dict[str, object]]:
        """The log's lines of that name; they are written in batches, so look after it stopped."""
        lines: list[dict[str, object]] = [json.loads(line) for line in self._log.read_bytes().splitlines()]
        return [line for line in lines if line["event"] == name]


class SidecarFleet:
    """Starts pods with one configuration and looks into their Redis."""

    def __init__(
        self,
        server: RedisServer,
        directory: Path,
        *,
        upstream: Upstream,
        authorization_server: AuthorizationServer,
        secret_file: Path,
        **redis: object,
    ) -> None:
        """`server` is where to look in; `redis` are changes to that part of the document."""
        self.prefix = f"{uuid4().hex[:8]}:"
        self.redis = Redis(port=server.port)
        self.pods: list[SidecarPod] = []
        self.busts: list[bytes] = []
        """Every bust message so far, as a subscriber of its own receives them."""
        self._directory = directory
        self._stack = AsyncExitStack()
        self._document: dict[str, object] = {
            "listen": "127.0.0.1:0",
            "admin": {"listen": "127.0.0.1:0"},
            "drain_timeout": "1ms",
            "redis": {
                "url": server.url,
                "key_prefix": self.prefix,
                "encryption_keys": [{"id": "k1", "key": {"env": "FLEET_KEY"}}],
                **redis,
            },
            "credentials": {"app": {"client_id": "app", "client_secret": {"file": str(secret_file)}}},
            "tokens": {
                "api": {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"},
            },
            "routes": [{"name": "api", "upstream": upstream.url, "token": "api"}],
        }

    @property
    def config(self) -> Path:
        """The configuration file of pods to come."""
        path = self._directory / "fleet.yaml"
        path.write_text(yaml.safe_dump(self._document))
        return path

    def changed(self, **changes: object) -> Path:
        """A file with these changes, for a reload."""
        path = self._directory / "changed.yaml"
        path.write_text(yaml.safe_dump({**self._document, **changes}))
        return path

    async def start(self, count: int = 1, *, joined: bool = True, **changes: object) -> list[SidecarPod]:
        """Start so many more; `changes` to the document stay for those after them."""
        self._document |= changes
        settings = at_leisure(load(str(self.config), ENVIRON))
        pods = [await self._stack.enter_async_context(self._pod(settings)) for _ in range(count)]
        if joined:
            await asyncio.gather(*(pod.joined() for pod in pods))
        return pods

    async def stop(self) -> None:
        """Stop every pod; their logs are whole then."""
        await self._stack.pop_all().aclose()

    async def key(self) -> str:
        """The one token key there is in Redis."""
        (found,) = [key async for key in self.redis.scan_iter(f"{self.prefix}*:token:*")]
        return str(found.decode())

    async def questions(self) -> int:
        """Return the number of scripts that the server has run, for all clients."""
        statistics: dict[str, dict[str, int]] = await self.redis.info("commandstats")
        return sum(statistics.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("evalsha", "eval"))

    @asynccontextmanager
    async def _pod(self, settings: Config) -> AsyncIterator[SidecarPod]:
        log = self._directory / f"log-{len(self.pods)}"
        with log.open("wb", buffering=0) as output:
            app = Sidecar(settings, output=output, randomness=Prompt(), quiet=0.01)
            await app.start()
            self.pods.append(pod := SidecarPod(app, log))
            try:
                yield pod
            finally:
                await app.stop()

    async def __aenter__(self) -> Self:
        pubsub = self.redis.pubsub()
        await pubsub.subscribe(f"{self.prefix}m2m:bust")
        self._hearing = asyncio.create_task(self._hear(pubsub))
        return self

    async def _hear(self, pubsub: PubSub) -> None:
        async for message in pubsub.listen():
            if message["type"] == "message":
                self.busts.append(message["data"])

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        self._hearing.cancel()
        await asyncio.gather(self._hearing, return_exceptions=True)
        await self.redis.aclose()
        for log in self._directory.glob("log-*"):
            content = log.read_bytes()
            assert b"canary" not in content
            assert b'"event":"failed"' not in content
