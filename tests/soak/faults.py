"""What goes wrong during a soak, and when: every fault is noted before it begins and after its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import yaml

from tests.soak.outcomes import BAD_RELOAD, DOWN, OUT, RELOAD, REVOKED, TOKENLESS, Fault
from tests.soak.processes import SECRET, Server, Sidecar

CALM = 6.0
"""Seconds after an outage of the token endpoint in which no token is revoked: the grace of its rules."""
GAP = 2.5
"""Seconds between two faults."""


def document(upstream: str, token_endpoint: str, secret: Path, *, connect: int = 5) -> Mapping[str, object]:
    """The configuration; another `connect` limit makes other pools, as a changed upstream would."""
    token = {"token_endpoint": f"{token_endpoint}/token", "credentials": "soak"}
    route = {"upstream": upstream, "strip_prefix": True, "timeouts": {"connect": f"{connect}s"}}
    return {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "credentials": {"soak": {"client_id": "soak", "client_secret": {"file": str(secret)}}},
        "tokens": {"soak": token, "never": {**token, "scope": ["never"]}},
        "routes": [
            {"name": "api", "match": {"prefix": "/api"}, "token": "soak", **route},
            {"name": "never", "match": {"prefix": "/never"}, "token": "never", **route},
            {"name": "plain", "match": {"prefix": "/plain"}, **route, "upstream": f"{upstream}/plain"},
        ],
    }


class Config:
    """The sidecar's configuration file."""

    def __init__(self, folder: Path, upstream: Server, endpoint: Server) -> None:
        self.path = folder / "sidecar.yaml"
        self._secret = folder / "secret"
        self._secret.write_text(SECRET)
        self._upstream = upstream
        self._endpoint = endpoint

    def write(self, *, connect: int = 5) -> None:
        settings = document(self._upstream.url, self._endpoint.url, self._secret, connect=connect)
        self._replace(yaml.safe_dump(settings))

    def spoil(self) -> None:
        """Write what cannot be used."""
        self._replace("routes: [{name: api, upstream: nowhere}]\n")

    def _replace(self, text: str) -> None:
        """Replace it in one step, as mounted files are."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self.path)


class Saboteur:
    """Injects faults until it is stopped, and restores everything."""

    def __init__(
        self,
        faults: list[Fault],
        dice: Random,
        *,
        upstream: Server,
        endpoint: Server,
        sidecar: Sidecar,
        config: Config,
    ) -> None:
        self._faults = faults
        self._dice = dice
        self._upstream = upstream
        self._endpoint = endpoint
        self._sidecar = sidecar
        self._config = config
        self._connect = 5
        self._revocable = asyncio.Lock()
        """Held while another fault does the revoking."""
        self._revoked = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Inject one fault after the other, and revoke tokens all the while."""
        revoking = asyncio.create_task(self._revoke_often(stop))
        scenes = self._scenes()
        while not stop.is_set():
            scene = scenes[0]
            scenes.append(scenes.pop(0))
            await _pause(stop, GAP)
            if not stop.is_set():
                await scene()
        await revoking

    def _scenes(self) -> list[Callable[[], Awaitable[None]]]:
        return [
            self._reload,
            self._restart,
            lambda: self._outage("hang", 4.0, revoking=True),
            self._bad_reload,
            lambda: self._outage("refuse", 3.0, revoking=True),
            lambda: self._outage("unavailable", 4.0),
            self._reload_unasked,
            self._restart,
            lambda: self._outage("unavailable", 4.0, revoking=True),
            lambda: self._outage("refuse", 3.0),
            lambda: self._outage("hang", 12.0, revoking=True),
        ]

    @asynccontextmanager
    async def _fault(self, kind: str) -> AsyncIterator[None]:
        fault = Fault(kind, asyncio.get_running_loop().time())
        self._faults.append(fault)
        try:
            yield
        finally:
            fault.ended = asyncio.get_running_loop().time()

    async def _revoke(self) -> None:
        self._revoked = time.monotonic_ns()
        await self._upstream.tell(f"revoke {self._revoked}")

    async def _revoke_often(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await _pause(stop, self._dice.uniform(1.0, 6.0))
            async with self._revocable:
                async with self._fault(REVOKED):
                    await self._revoke()
                await asyncio.sleep(1.0)

    async def _restart(self) -> None:
        async with self._revocable:
            async with self._fault(DOWN):
                await self._upstream.kill()
                await asyncio.sleep(self._dice.uniform(0.0, 1.5))
                await self._upstream.start(str(self._revoked))
            await asyncio.sleep(1.0)

    async def _outage(self, mode: str, seconds: float, *, revoking: bool = False) -> None:
        async with self._revocable:
            async with self._fault(OUT):
                await self._endpoint.tell(mode)
                await asyncio.sleep(seconds / 4)
                if revoking:
                    await self._revoked_meanwhile(seconds * 3 / 4)
                else:
                    await asyncio.sleep(seconds * 3 / 4)
                    await self._endpoint.tell("ok")
            await asyncio.sleep(CALM)

    async def _revoked_meanwhile(self, seconds: float) -> None:
        async with self._fault(TOKENLESS):
            await self._revoke()
            await asyncio.sleep(seconds)
            await self._endpoint.tell("ok")

    async def _reload(self) -> None:
        """SIGHUP, with a configuration that needs other connections."""
        async with self._fault(RELOAD):
            self._connect = 9 - self._connect
            self._config.write(connect=self._connect)
            self._sidecar.reload()

    async def _reload_unasked(self) -> None:
        """The file changes; the sidecar looks by itself."""
        async with self._fault(RELOAD):
            self._connect = 9 - self._connect
            self._config.write(connect=self._connect)

    async def _bad_reload(self) -> None:
        async with self._fault(BAD_RELOAD):
            self._config.spoil()
            self._sidecar.reload()
            await asyncio.sleep(GAP)
            self._config.write(connect=self._connect)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
