"""50 sidecars, each a process, on one Redis; upstream and token endpoint are here, and one pod that looks on."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import yaml
from redis.asyncio import Redis

from sidecar.config.load import load
from sidecar.oauth.token import Token, TokenRequest
from tests.bench_fleet.children import Sidecar, in_turn
from tests.support.authorization_server import AuthorizationServer
from tests.support.fleet_of_members import MemberPod, TokenServer
from tests.support.fleet_of_sidecars import ENVIRON
from tests.support.processes import get, redis_health
from tests.support.redis_server import RedisServer
from tests.support.upstream import Upstream
from tests.support.waiting import until
from tests.support.wire_client import ask

PREFIX = "bench:"
PATIENCE = 20.0


class Stage:
    """All there is."""

    def __init__(self, redis: RedisServer, upstream: Upstream, authorization: AuthorizationServer) -> None:
        self.redis = redis
        self.client = Redis(port=redis.port)
        self.upstream = upstream
        self.authorization = authorization
        self.sidecars: list[Sidecar] = []
        self.request: TokenRequest
        self.onlooker: MemberPod
        """Receives everything, fetches nothing."""
        self.start_seconds = 0.0

    @property
    def calls(self) -> int:
        """Of the token endpoint so far."""
        return len(self.authorization.requests)

    @property
    def key(self) -> str:
        """Where the one token lies in Redis."""
        return f"{PREFIX}{self.request.key}"

    async def start(self, config: Path, count: int) -> None:
        """Start the sidecars; each fetches by itself what it will need."""
        settings = load(str(config), ENVIRON)
        (route,) = settings.routes
        assert route.token is not None
        assert settings.redis is not None
        self.request = route.token
        self.onlooker = MemberPod(TokenServer(), settings.redis, (), "onlooker")
        began = time.perf_counter()

        async def start() -> None:
            self.sidecars.append(await Sidecar.run(config, ENVIRON))

        await in_turn(count, start)
        await asyncio.gather(*(self._ready(each) for each in self.sidecars))
        self.start_seconds = time.perf_counter() - began
        await until(lambda: self.onlooker.up)

    async def _ready(self, sidecar: Sidecar) -> None:
        """Wait until it has warmed up and receives messages of the others."""
        async with asyncio.timeout(PATIENCE):
            while (await ask(sidecar.admin, get(b"/startupz"))).status != 200:
                await asyncio.sleep(0.1)
            while redis_health(await _status(sidecar)) != {"store": "up", "bus": "up"}:
                await asyncio.sleep(0.1)

    async def ask_all(self, times: int = 1) -> list[int]:
        """So many requests to each sidecar at the same moment; the statuses."""
        requests = (ask(each.address, get()) for each in self.sidecars for _ in range(times))
        return [answer.status for answer in await asyncio.gather(*requests)]

    async def stored(self) -> Token:
        """The token that the fleet shares now."""
        claim = await self.onlooker.member.fleet.claim(self.request, "onlooker", "")
        assert claim.token is not None
        return claim.token

    async def forget_all(self) -> None:
        """`sidecar bust --all`: no sidecar holds a token any longer, and those in Redis are revoked."""
        heard = await self.onlooker.bust()
        assert heard == len(self.sidecars) + 1, f"{heard} pods heard it"
        async with asyncio.timeout(PATIENCE):
            while any(status["tokens"] for status in await asyncio.gather(*map(_status, self.sidecars))):
                await asyncio.sleep(0.05)

    async def unanswered(self) -> int:
        """How many questions to Redis all of them have given up so far."""
        pages = await asyncio.gather(*(ask(each.admin, get(b"/metrics")) for each in self.sidecars))
        failed = re.compile(rb'^sidecar_store_operations_total\{.*outcome="failed".*\} (\d+)', re.MULTILINE)
        return sum(int(count) for page in pages for count in failed.findall(page.body))

    async def stop(self) -> None:
        for each in self.sidecars:
            each.kill()
        await self.onlooker.close()
        await self.client.aclose()


@asynccontextmanager
async def stage(redis: RedisServer, folder: Path, count: int) -> AsyncIterator[Stage]:
    """Everything started, until the block ends."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream())
        authorization = await stack.enter_async_context(AuthorizationServer(upstream))
        made = Stage(redis, upstream, authorization)
        stack.push_async_callback(made.stop)
        await made.start(_config(folder, made), count)
        yield made


async def _status(sidecar: Sidecar) -> Mapping[str, object]:
    status: Mapping[str, object] = json.loads((await ask(sidecar.admin, get(b"/status"))).body)
    return status


def _config(folder: Path, made: Stage) -> Path:
    secret, config = folder / "secret", folder / "sidecar.yaml"
    secret.write_text("bench-secret")
    document = {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "redis": {
            "url": made.redis.url,
            "key_prefix": PREFIX,
            "encryption_keys": [{"id": "k1", "key": {"env": "FLEET_KEY"}}],
        },
        "credentials": {"app": {"client_id": "app", "client_secret": {"file": str(secret)}}},
        "tokens": {"api": {"token_endpoint": made.authorization.token_endpoint, "credentials": "app"}},
        "routes": [{"name": "api", "upstream": made.upstream.url, "token": "api"}],
    }
    config.write_text(yaml.safe_dump(document))
    return config
