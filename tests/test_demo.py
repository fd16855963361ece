"""The demo: it tells what happened, and notices when it did not."""

import asyncio
import io
import json
import os
import re
from base64 import b64encode

import pytest
from aiohttp import ClientSession, web

from sidecar.core.errors import ListenError
from sidecar.core.secret import Secret
from sidecar.demo import play
from sidecar.demo.screen import Screen


class StandIn:
    """A sidecar in a few lines, so that a test can take one of its abilities away."""

    def __init__(
        self, *, keeps: bool = True, heals: bool = True, tells: bool = True, injects: bool = True
    ) -> None:
        self.keeps, self.heals, self.tells, self.injects = keeps, heals, tells, injects
        self.address = self.admin_address = ""
        self.stopped = False
        self.tokens: list[str] = []

    async def __call__(
        self, *, upstream: str, token_endpoint: str, client_id: str, client_secret: Secret, output: int
    ) -> "StandIn":
        self.upstream, self.token_endpoint, self.output = upstream, token_endpoint, os.dup(output)
        self.basic = "Basic " + b64encode(f"{client_id}:{client_secret.reveal()}".encode()).decode()
        server = web.Application()
        server.add_routes([web.get("/{path:.*}", self._relay)])
        self.runner = web.AppRunner(server, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.address = "{}:{}".format(*self.runner.addresses[0][:2])
        self.admin_address = "127.0.0.1:1"
        return self

    async def stop(self) -> None:
        await self.runner.cleanup()
        os.close(self.output)
        self.stopped = True

    async def _relay(self, request: web.Request) -> web.Response:
        async with ClientSession() as client:
            if not self.tokens or not self.keeps:
                await self._fetch(client, "cold")
            status, attempts = await self._send(client, request.path), 1
            if status == 401 and self.heals:
                self._log("refused", fp=self._fp(), status=401, error="invalid_token", decision="renew")
                await self._fetch(client, "refused")
                status, attempts = await self._send(client, request.path), 2
                self._log("resent", fp=self._fp(), outcome="healed")
        self._log("request", method="GET", path=request.path, status=status, attempts=attempts, fp=self._fp())
        return web.Response(status=status, text="hello")

    async def _fetch(self, client: ClientSession, reason: str) -> None:
        async with client.post(self.token_endpoint, headers={"Authorization": self.basic}) as response:
            self.tokens.append((await response.json())["access_token"])
        self._log("token_fetched", fp=self._fp(), reason=reason)

    async def _send(self, client: ClientSession, path: str) -> int:
        fields = {"Authorization": f"Bearer {self.tokens[-1]}"} if self.injects else {}
        async with client.get(self.upstream + path, headers=fields) as response:
            return response.status

    def _fp(self) -> str:
        return f"fp{len(self.tokens)}"

    def _log(self, event: str, **fields: object) -> None:
        if self.tells or event == "request":
            line = {"ts": "now", "level": "info", "event": event, **fields}
            os.write(self.output, json.dumps(line).encode() + b"\n")


async def played(start: StandIn, *, colour: bool = False) -> tuple[int, str]:
    """Play the demo with this sidecar; return the exit code and what was on the screen."""
    out = io.StringIO()
    async with asyncio.timeout(30):
        code = await play(start, Screen(out, colour=colour), None)
    return code, out.getvalue()


async def test_the_demo_shows_a_token_healing() -> None:
    """A request is authorised, the next costs no fetch, and a revoked token heals; all of it is told."""
    sidecar = StandIn()
    code, text = await played(sidecar)
    assert code == 0, text
    assert sidecar.stopped
    for word in (
        "invalid_token",
        "renew",
        "healed",
        '"attempts": 2',
        "fp1",
        "fp2",
        f"curl -i http://{sidecar.address}/hello",
    ):
        assert word in text
    assert [token for token in sidecar.tokens if token in text] == []


async def test_colour_is_only_decoration() -> None:
    """Without its escape sequences a coloured transcript reads as the plain one, which has none."""
    _, plain = await played(StandIn())
    _, coloured = await played(StandIn(), colour=True)
    assert "\x1b" not in plain
    ports = re.compile(r"127\.0\.0\.1:\d+")
    assert ports.sub("", re.sub(r"\x1b\[\d+m", "", coloured)) == ports.sub("", plain)


@pytest.mark.parametrize(
    ("sidecar", "complaint"),
    [
        (StandIn(injects=False, heals=False), "answered 200, not 401"),
        (StandIn(keeps=False), "was to see (token 1: 200), but saw (token 2: 200)"),
        (StandIn(heals=False), "answered 200, not 401"),
        (StandIn(tells=False), "the log was to tell of `token_fetched`"),
    ],
)
async def test_a_demo_that_does_not_work_says_so(sidecar: StandIn, complaint: str) -> None:
    """Where something announced does not happen, the demo says what, stops everything and fails."""
    code, text = await played(sidecar)
    assert code == 1
    assert f"The demo failed: {complaint}" in text.replace("the application was to be ", "").replace(
        "the upstream ", ""
    )
    assert sidecar.stopped


async def test_a_sidecar_that_cannot_start_is_told() -> None:
    """An error of the sidecar's own ends the demo with its message."""

    class Broken(StandIn):
        async def __call__(self, **_: object) -> "Broken":
            raise ListenError("no port is free")

    code, text = await played(Broken())
    assert code == 1
    assert "The demo failed: no port is free" in text


class Watched(io.StringIO):
    """A screen a test can wait on."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Event()

    def flush(self) -> None:
        self.changed.set()

    async def shows(self, word: str, times: int = 1) -> None:
        async with asyncio.timeout(10):
            while self.getvalue().count(word) < times:
                self.changed.clear()
                await self.changed.wait()


async def test_it_stays_up_until_told_otherwise() -> None:
    """Left up, it answers to what is tried by hand and shows its log; then everything is stopped."""
    sidecar, out, interrupted = StandIn(), Watched(), asyncio.Event()
    playing = asyncio.create_task(play(sidecar, Screen(out, colour=False), interrupted))
    await out.shows("Ctrl-C ends it")
    revoke = re.findall(r"curl -X POST (\S+)", out.getvalue())[0]
    async with ClientSession() as client:
        assert (await client.post(revoke)).status == 200
        assert (await client.get(f"http://{sidecar.address}/by-hand")).status == 200
    await out.shows("/by-hand")
    await out.shows('"event": "refused"', times=2)
    interrupted.set()
    async with asyncio.timeout(10):
        assert await playing == 0
    assert sidecar.stopped
