"""A sidecar's life: new configurations while it serves, signals, and its end; in process and as a process."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import yaml

from sidecar.config import load
from sidecar.core.errors import ConfigError
from tests.authorization import AuthorizationServer
from tests.conftest import Running, Start
from tests.servers import Exchange, Script, Upstream
from tests.wire import PATIENCE, Client, ask

ROOT = Path(__file__).parent.parent
Document = dict[str, object]
Child = asyncio.subprocess.Process
PIPE = asyncio.subprocess.PIPE


@pytest.fixture
async def other() -> AsyncIterator[Upstream]:
    """Another upstream, for the configuration to come."""
    async with Upstream() as server:
        yield server
        assert server.malformed == []


def answering(body: bytes, go: asyncio.Event | None = None) -> Script:
    """Answer with these bytes, after `go` if given."""

    async def script(exchange: Exchange) -> None:
        await exchange.read()
        if go is not None:
            await go.wait()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    return script


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what other ends of sockets notice."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


class File:
    """The configuration file of the sidecar in this test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def change(self, **changes: object) -> None:
        """Set keys of the document; None removes one."""
        document: Document = yaml.safe_load(self.path.read_text())
        document.update(changes)
        self.put(
            yaml.safe_dump({key: value for key, value in document.items() if value is not None}).encode()
        )

    def put(self, content: bytes) -> None:
        """Replace it in one step, as mounted files are."""
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(self.path)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "config.yaml")


async def reload(running: Running, file: File, **changes: object) -> None:
    file.change(**changes)
    await running.app.reload(load(str(file.path), {}))


def route(upstream: Upstream, name: str = "api", **more: object) -> Mapping[str, object]:
    return {"name": name, "match": {"prefix": "/"}, "upstream": upstream.url, **more}


def get(target: bytes = b"/") -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target


async def metrics(running: Running) -> list[str]:
    answer = await ask(running.app.admin_address, get(b"/metrics"))
    return answer.body.decode().splitlines()


async def status(running: Running) -> Mapping[str, object]:
    answer = await ask(running.app.admin_address, get(b"/status"))
    found: Mapping[str, object] = json.loads(answer.body)
    return found


# Reloading, in process


async def test_b81_a_new_route_is_in_force_for_the_next_request(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """Also for the next request on a connection that is open, and the log says so."""
    other.script(answering(b"new"))
    async with await relay.connect() as client:
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"ok"
        await reload(relay, file, routes=[route(upstream), route(other, "new", match={"prefix": "/new"})])
        assert (await client.ask(relay.request(b"GET", b"/new"))).body == b"new"
        assert (await client.ask(relay.request(b"GET", b"/"))).body == b"ok"
    await relay.app.stop()
    assert [line["routes"] for line in relay.events("reloaded")] == [2]
    assert [line["route"] for line in relay.events("request")] == ["plain", "new", "api"]


async def test_a_route_that_is_gone_is_gone(relay: Running, file: File, upstream: Upstream) -> None:
    """What no route matches any more is our 404."""
    await reload(relay, file, routes=[route(upstream, match={"prefix": "/only"})])
    assert (await relay.get(b"/other")).status == 404
    assert upstream.requests == []


async def test_b81_requests_in_flight_keep_the_old_route(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """A request at the old upstream is answered by it, bodies in both directions included."""
    go = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nold")
        await exchange.read()
        await go.wait()
        await exchange.send(bytes(exchange.received.body))

    upstream.script(slow)
    async with await relay.connect() as client:
        await client.send(relay.request(b"POST", b"/", b"Content-Length: 6") + b"bod")
        await upstream.reached(1)
        await reload(relay, file, routes=[route(other)])
        await client.send(b"ies")
        go.set()
        assert (await client.answer()).body == b"oldbodies"
    assert (await relay.get()).status == 200
    assert (len(upstream.requests), len(other.requests)) == (1, 1)
    await until(lambda: upstream.open_connections == 0)


async def test_b81_requests_in_line_for_a_connection_keep_the_old_route(
    sidecar: Start, file: File, upstream: Upstream, other: Upstream
) -> None:
    """Whoever waits for a connection to an origin that no route uses any more still gets one."""
    go = asyncio.Event()
    upstream.script(*(answering(b"old", go) for _ in range(2)))
    async with sidecar({**route(upstream), "max_connections": 1}) as running, asyncio.timeout(PATIENCE):
        asking = [asyncio.create_task(running.get()) for _ in range(2)]
        await upstream.reached(1)
        async with asyncio.timeout(PATIENCE):
            while "http_server_active_requests 2.0" not in await metrics(running):
                pass
        await reload(running, file, routes=[route(other)])
        go.set()
        assert [answer.body for answer in await asyncio.gather(*asking)] == [b"old"] * 2
        await until(lambda: upstream.open_connections == 0)


async def test_b81_requests_waiting_for_a_token_keep_the_old_route(
    sidecar: Start, file: File, upstream: Upstream, other: Upstream, authorization_server: AuthorizationServer
) -> None:
    """The reload does not disturb the fetch, nor the request behind it."""
    authorization_server.hold = asyncio.Event()
    async with sidecar() as running, asyncio.timeout(PATIENCE):
        asking = asyncio.create_task(running.get())
        await authorization_server.reached(1)
        await reload(running, file, routes=[route(other)], tokens=None, credentials=None)
        authorization_server.hold.set()
        assert (await asking).status == 200
    assert upstream.tokens == ["canary-token-1"]
    assert other.requests == []


async def test_tokens_and_connections_are_kept(
    sidecar: Start, file: File, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """What the new configuration can use is not made again: one token, one connection, whatever else changes."""
    async with sidecar() as running:
        await running.get()
        routes = [route(upstream, name, match={"prefix": f"/{name}"}, token="api") for name in ("a", "b")]
        await reload(running, file, routes=routes, drain_timeout="2ms")
        await running.clock.advance(2)  # the warm-up's time
        assert [(await running.get(target)).status for target in (b"/a", b"/b")] == [200, 200]
    assert upstream.tokens == ["canary-token-1"] * 3
    assert upstream.connections == 1
    assert len(authorization_server.requests) == 1


async def test_a_token_asked_for_differently_is_fetched(
    sidecar: Start, file: File, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """Another scope is another token, from the next request on."""
    async with sidecar() as running:
        await running.get()
        tokens = {
            "api": {
                "token_endpoint": authorization_server.token_endpoint,
                "credentials": "app",
                "scope": ["write"],
            }
        }
        await reload(running, file, tokens=tokens)
        await running.get()
    assert upstream.tokens == ["canary-token-1", "canary-token-2"]
    assert [form["scope"] for form in authorization_server.forms] == [["read"], ["write"]]


async def test_what_is_new_is_warmed_up(
    relay: Running,
    file: File,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    secret_file: Path,
) -> None:
    """A reload fetches the tokens its routes will need before anybody asks, with its own credentials."""
    credentials = {"new": {"client_id": "new", "client_secret": {"file": str(secret_file)}}}
    wanted = {"token_endpoint": authorization_server.token_endpoint, "credentials": "new"}
    routes = [route(upstream, token="new")]
    await reload(relay, file, credentials=credentials, tokens={"new": wanted}, routes=routes)
    await relay.clock.advance(2)
    await authorization_server.reached(1)
    assert [name for name, _ in authorization_server.clients] == ["new"]
    assert upstream.requests == []


async def test_connections_that_nobody_can_use_are_closed(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """Idle connections to an origin without a route end with the reload."""
    await relay.get()
    assert upstream.open_connections == 1
    await reload(relay, file, routes=[route(other)])
    await until(lambda: upstream.open_connections == 0)
    await reload(relay, file, routes=[route(upstream)])
    assert (await relay.get()).status == 200
    assert upstream.connections == 2


async def test_the_admin_server_shows_what_is_in_force(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """Status lists the new routes, and metrics have series for them before their first request."""
    await relay.get()
    await reload(relay, file, routes=[route(other, "new", match={"prefix": "/n"})])
    shown = {"name": "new", "host": "", "prefix": "/n", "upstream": other.url, "token": ""}
    assert (await status(relay))["routes"] == [shown]
    series = [line for line in await metrics(relay) if "_count{" in line]
    assert any('="new"' in line for line in series)
    assert not any('="plain"' in line for line in series)


async def test_a_routes_new_token_is_counted(
    sidecar: Start, file: File, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """A route that keeps its name and gets another token counts for that one."""
    async with sidecar() as running:
        await running.get()
        wanted = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
        await reload(running, file, tokens={"new": wanted}, routes=[route(upstream, token="new")])
        await running.get()
        await running.get()
        await running.get()
        counted = [
            line for line in await metrics(running) if line.startswith("m2m_credential_cache_hits_total")
        ]
        assert counted == ['m2m_credential_cache_hits_total{level="memory",token="new"} 2.0']


RESTART = {
    "listen": ("listen", "127.0.0.1:1"),
    "admin.listen": ("admin", {"listen": "127.0.0.1:1"}),
    "cache.max_entries": ("cache", {"max_entries": 7}),
    "log.format": ("log", {"format": "console"}),
    "log.level": ("log", {"level": "debug"}),
}


@pytest.mark.parametrize("path", RESTART)
async def test_what_takes_a_restart_is_refused_whole(
    relay: Running, file: File, upstream: Upstream, other: Upstream, path: str
) -> None:
    """Nothing of such a configuration comes into force, its routes neither; the log says which key it was."""
    key, value = RESTART[path]
    file.change(routes=[route(other)], **{key: value})
    with pytest.raises(ConfigError, match=rf"{path}.*restart"):
        await relay.app.reload(load(str(file.path), {}))
    await relay.app.try_reload(lambda: load(str(file.path), {}))
    assert (await relay.get()).status == 200
    assert len(upstream.requests) == 1
    assert [shown["name"] for shown in (await status(relay))["routes"]] == ["plain"]  # type: ignore[attr-defined]
    await relay.app.stop()
    (failed,) = relay.events("reload_failed")
    assert (failed["level"], path in str(failed["error"])) == ("error", True)
    assert relay.events("reloaded") == []


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\x00", b"routes: [", b"[]", b"routes: []", b"a: &a [*a]", b"? [1]\n: 2", None],
    ids=["empty", "not UTF-8", "not YAML", "a list", "no routes", "endless", "odd key", "missing"],
)
async def test_b81_what_cannot_be_read_keeps_the_old_configuration(
    relay: Running, file: File, content: bytes | None
) -> None:
    """Whatever the file holds, it is told in the log and nothing else happens."""
    file.path.unlink() if content is None else file.put(content)
    await relay.app.try_reload(partial(load, str(file.path), {}))
    assert (await relay.get()).status == 200
    await relay.app.stop()
    (failed,) = relay.events("reload_failed")
    assert str(file.path) in str(failed["error"])


async def test_b81_no_request_fails_while_configurations_change(
    relay: Running, file: File, upstream: Upstream, other: Upstream
) -> None:
    """Two hundred requests on ten connections, five reloads from one upstream to the other and back."""
    answers: list[int] = []

    async def one() -> None:
        async with await relay.connect() as client:
            for _ in range(20):
                answer = await client.ask(relay.request(b"GET", b"/"))
                answers.append(answer.status)

    asking = [asyncio.create_task(one()) for _ in range(10)]
    for turn in range(5):
        await until(lambda: len(answers) >= 30 * (turn + 1))  # noqa: B023  awaited within the turn
        await reload(relay, file, routes=[route((other, upstream)[turn % 2])])
    await asyncio.gather(*asking)
    assert answers == [200] * 200
    assert len(upstream.requests) + len(other.requests) == 200
    assert min(len(upstream.requests), len(other.requests)) >= 30


# The end, in process


async def test_b80_whoever_waits_for_a_token_does_not_hold_up_the_end(
    sidecar: Start, authorization_server: AuthorizationServer
) -> None:
    """Neither does an authorization server that is silent."""
    authorization_server.hold = asyncio.Event()
    async with sidecar(drain_timeout="10ms") as running, await running.connect() as client:
        await client.send(running.request(b"GET", b"/"))
        await authorization_server.reached(1)
        async with asyncio.timeout(PATIENCE):
            await running.app.stop()
        assert await client.ending() == "reset"
    assert running.log()[-1]["event"] == "stopped"


# As a process


class Process:
    """`sidecar run`, and what it logs."""

    def __init__(self, child: Child) -> None:
        assert child.stdout is not None
        self.child = child
        self.log: list[Mapping[str, object]] = []
        self._stdout = child.stdout
        self.address = self.admin = ""

    async def started(self) -> None:
        line = await self.logs("started")
        self.address, self.admin = str(line["listen"]), str(line["admin"])

    async def logs(self, event: str) -> Mapping[str, object]:
        """The next line of that name."""
        async with asyncio.timeout(PATIENCE):
            while data := await self._stdout.readline():
                self.log.append(json.loads(data))
                if self.log[-1]["event"] == event:
                    return self.log[-1]
        raise AssertionError(f"ended without {event}: {self.log}")

    async def ends(self) -> tuple[int, str]:
        """Exit code and last event."""
        async with asyncio.timeout(PATIENCE):
            while data := await self._stdout.readline():
                self.log.append(json.loads(data))
            return await self.child.wait(), str(self.log[-1]["event"])

    async def get(self) -> tuple[int, bytes]:
        answer = await ask(self.address, get())
        return answer.status, answer.body

    async def readiness(self) -> tuple[int, object]:
        answer = await ask(self.admin, get(b"/readyz"))
        return answer.status, json.loads(answer.body)["detail"]


async def spawn(
    file: File, changes: Mapping[str, object], *, stdout: int = PIPE, redirection: str = ""
) -> Child:
    """The command as it is deployed, on ports of its own."""
    document = {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}, **changes}
    file.put(yaml.safe_dump(document).encode())
    command = f'exec "$0" -m sidecar run -c "$1" {redirection}'
    return await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", command, sys.executable, str(file.path), cwd=ROOT, env={}, stdout=stdout, stderr=PIPE
    )


@asynccontextmanager
async def watching(child: Child) -> AsyncIterator[Child]:
    """End it the hard way if the test does not end it."""
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@asynccontextmanager
async def run(file: File, *routes: Mapping[str, object], **changes: object) -> AsyncIterator[Process]:
    async with watching(await spawn(file, {"routes": list(routes), **changes})) as child:
        process = Process(child)
        await process.started()
        yield process


async def keep_asking(process: Process, stop: asyncio.Event) -> list[int]:
    """A light load on one connection until `stop`; the statuses of the answers."""
    answers = []
    async with await Client.connect(process.address) as client:
        while not stop.is_set():
            answers.append((await client.ask(get())).status)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.01)
    return answers


async def test_b81_sighup_reloads(file: File, upstream: Upstream) -> None:
    """Also where the file is the same; the process lives on."""
    async with run(file, route(upstream)) as process:
        for _ in range(2):
            process.child.send_signal(signal.SIGHUP)
            assert (await process.logs("reloaded"))["routes"] == 1
        assert await process.get() == (200, b"ok")


async def test_b81_a_bad_file_is_told_and_its_correction_is_found(
    file: File, upstream: Upstream, other: Upstream
) -> None:
    """Every fault is in the log and traffic goes on by the old file; a good one needs no signal."""
    other.scripts.extend([answering(b"new")] * 1000)
    async with run(file, route(upstream)) as process:
        stop = asyncio.Event()
        asking = asyncio.create_task(keep_asking(process, stop))
        good = file.path.read_text()
        file.put(b"routes: [{name: a b, upstream: x}]\ntypo: 1")
        process.child.send_signal(signal.SIGHUP)
        told = str((await process.logs("reload_failed"))["error"])
        assert [fault in told for fault in ("typo", "routes[0].name", "routes[0].upstream")] == [True] * 3
        assert await process.get() == (200, b"ok")
        file.put(good.replace(upstream.url, other.url).encode())
        await process.logs("reloaded")
        assert await process.get() == (200, b"new")
        stop.set()
        answers = await asking
    assert set(answers) == {200}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_b80_a_signal_ends_it_after_what_is_in_flight(
    file: File, upstream: Upstream, number: signal.Signals
) -> None:
    """While it drains it is not ready and answers; then it ends with 0, and `stopped` is the last it says."""
    go = asyncio.Event()
    upstream.script(answering(b"late", go))
    async with run(file, route(upstream)) as process, await Client.connect(process.address) as client:
        assert (await process.readiness())[0] == 200
        await client.send(get())
        await upstream.reached(1)
        process.child.send_signal(number)
        assert (await process.logs("draining"))["connections"] == 1
        assert await process.readiness() == (503, "draining")
        assert await process.get() == (200, b"ok")
        go.set()
        assert (await client.answer()).body == b"late"
        assert await process.ends() == (0, "stopped")


async def test_b80_a_silent_upstream_does_not_hold_up_the_end(file: File, upstream: Upstream) -> None:
    """After `drain_timeout` the request is broken off, and the exit code is 0 all the same."""
    upstream.script(Exchange.peer_left)
    async with run(file, route(upstream), drain_timeout="50ms") as process, asyncio.timeout(PATIENCE):
        client = await Client.connect(process.address)
        await client.send(get())
        await upstream.reached(1)
        process.child.send_signal(signal.SIGTERM)
        assert await process.ends() == (0, "stopped")
        assert await client.ending() == "reset"
        await client.close()


@pytest.mark.parametrize(
    "stdout",
    [
        "closed",
        "nobody reads",
    ],
)
async def test_a_log_that_goes_nowhere_costs_nothing_else(
    file: File, upstream: Upstream, tmp_path: Path, stdout: str
) -> None:
    """Without a stdout, or with one whose reader has left, requests are served and the end is as ever."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    listen = f"unix:{tmp_path}/s"
    starting = spawn(
        file,
        {"listen": listen, "routes": [route(upstream)]},
        stdout=write_end,
        redirection=">&-" if stdout == "closed" else "",
    )
    async with watching(await starting) as child:
        os.close(write_end)
        await until(lambda: _is_listened_on(tmp_path / "s"))
        for _ in range(3):
            assert (await ask(listen, get())).status == 200
        child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            _, stderr = await child.communicate()
        assert (child.returncode, stderr) == (0, b"")


def _is_listened_on(path: Path) -> bool:
    """A socket file is there a moment before anybody listens on it."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


async def test_an_admin_address_in_use_exits_69(file: File, upstream: Upstream) -> None:
    """Neither half of a sidecar goes without the other."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        starting = spawn(file, {"admin": {"listen": address}, "routes": [route(upstream)]})
        async with watching(await starting) as child, asyncio.timeout(PATIENCE):
            stdout, stderr = await child.communicate()
    assert (child.returncode, stdout) == (69, b"")
    assert address in stderr.decode()
