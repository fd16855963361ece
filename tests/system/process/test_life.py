"""A sidecar's life as a process: signals, reloads and its end, under load too."""

import asyncio
import os
import re
import signal
import socket
from pathlib import Path

import pytest

from sidecar.app.sidecar import QUIET
from tests.support.authorization_server import AuthorizationServer
from tests.support.processes import (
    File,
    Load,
    answering,
    get,
    route,
    run,
    serving,
    spawn,
    watching,
    with_token,
)
from tests.support.upstream import Exchange, Upstream
from tests.support.waiting import PATIENCE, until
from tests.support.wire_client import Client, ask

# Starting


@pytest.mark.unmeasured
@pytest.mark.parametrize("variable", ["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_PYTHON_METER_PROVIDER"])
async def test_a_variable_that_the_exporters_library_cannot_use_keeps_no_sidecar_from_starting(
    file: File, upstream: Upstream, variable: str
) -> None:
    """It says which, where the library does, and never what is in it; requests are served."""
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": upstream.url, variable: "canary"}
    async with serving(await spawn(file, {"routes": [route(upstream)]}, environ=environ)) as process:
        line = await process.logs("setting_ignored")
        assert await process.get() == (200, b"ok")
    assert line["variable"] in (variable, "OTEL_*")
    assert b"canary" not in process.stdout


@pytest.mark.unmeasured
async def test_o13_doubtful_settings_keep_no_sidecar_from_starting(file: File, upstream: Upstream) -> None:
    """A variable that no setting has, and a value with a variable that was not replaced, are logged."""
    document = {"routes": [route(upstream)], "credentials": {"app": {"client_id": "${CLIENT_ID}"}}}
    environ = {"SIDECAR_UPSTERAM": "canary", "LOG_LEVEL": "INFO"}
    async with serving(await spawn(file, document, environ=environ)) as process:
        ignored = await process.logs("setting_ignored")
        doubtful = await process.logs("config_doubtful")
        assert await process.get() == (200, b"ok")
    assert ignored["variable"] == "SIDECAR_UPSTERAM"
    assert "did you mean SIDECAR_UPSTREAM?" in str(ignored["reason"])
    assert re.search(
        r"config\.yaml:\d+: credentials\.app\.client_id: \$\{…\} is taken", str(doubtful["warning"])
    )
    assert b"canary" not in process.stdout


# Reloading


@pytest.mark.unmeasured
async def test_b81_sighup_reloads(file: File, upstream: Upstream) -> None:
    """Also where the file is the same; the process lives on."""
    async with run(file, route(upstream)) as process:
        for _ in range(2):
            process.signal(signal.SIGHUP)
            assert (await process.logs("reloaded"))["routes"] == 1
        assert await process.get() == (200, b"ok")


async def test_b81_nothing_fails_under_load_while_configurations_change(
    file: File, upstream: Upstream, other: Upstream
) -> None:
    """A thousand requests a second, changed files, good and bad; a slow request is finished by the old route."""
    go = asyncio.Event()
    upstream.script(answering(b"late", go))
    async with run(file, route(upstream)) as process, await Client.connect(process.address) as slow:
        await slow.send(get())
        await upstream.reached(1)
        async with Load(process.address) as load:
            for turn in range(4):
                await load.reach(200)
                file.change(routes=[route((other, upstream)[turn % 2])])
                process.signal(signal.SIGHUP)
                await process.logs("reloaded")
            good = file.path.read_bytes()
            file.put(b"routes: [{name: a b, upstream: x}]\ntypo: 1")
            process.signal(signal.SIGHUP)
            told = str((await process.logs("reload_failed"))["error"])
            await load.reach(200)
            file.put(good.replace(upstream.url.encode(), other.url.encode()))
            await process.logs("reloaded")  # by itself: no signal
            before = len(other.requests)
            await load.reach(200)
            go.set()
            assert (await slow.answer()).body == b"late"
        process.signal(signal.SIGTERM)
        assert await process.ends() == (0, "stopped")
    assert [fault in told for fault in ("typo", "routes[0].name", "routes[0].upstream")] == [True] * 3
    assert set(load.answers) == {"200"}
    assert len(upstream.requests) + len(other.requests) == load.answers.total() + 1
    assert min(len(upstream.requests), before) >= 300
    assert len(other.requests) > before
    assert len(process.events("request")) == load.answers.total() + 1


# The end


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
        process.signal(number)
        assert (await process.logs("draining"))["connections"] == 1
        assert await process.readiness() == (503, "draining")
        assert await process.get() == (200, b"ok")
        go.set()
        assert (await client.answer()).body == b"late"
        assert await process.ends() == (0, "stopped")


@pytest.mark.unmeasured
@pytest.mark.parametrize("rate", [1000, 100])
async def test_b80_nothing_fails_under_load_until_the_load_ends(
    file: File, upstream: Upstream, rate: int
) -> None:
    """Requests, many or few, go on for a second after SIGTERM: all are answered, and all are in the log."""
    for _ in range(5):
        upstream.requests.clear()
        async with run(file, route(upstream), drain_timeout="60s") as process:
            async with Load(process.address, rate=rate, connections=rate // 50) as load:
                await load.reach(rate // 2)
                process.signal(signal.SIGTERM)
                await process.logs("draining")
                await load.reach(rate)
            assert await process.ends() == (0, "stopped")
        if load.longest_pause < QUIET / 2:  # else the load had no processor, and seemed to have ended
            break
    assert set(load.answers) == {"200"}
    assert load.closed >= rate  # each of them announced the end of its connection
    assert len(upstream.requests) == len(process.events("request")) == load.answers.total()


async def test_b80_it_goes_on_for_the_least_delay(file: File, upstream: Upstream) -> None:
    """No request comes for longer than the quiet that ends a drain, and yet it serves until the delay is over."""
    environ = {"SIDECAR_DRAIN_MIN_DELAY": "1s"}
    async with serving(await spawn(file, {"routes": [route(upstream)]}, environ=environ)) as process:
        began = asyncio.get_running_loop().time()
        process.signal(signal.SIGTERM)
        assert await process.ends() == (0, "stopped")
        assert asyncio.get_running_loop().time() - began >= 1


async def test_b80_load_that_does_not_end_is_left_at_the_drain_limit(file: File, upstream: Upstream) -> None:
    """Requests are answered to the end, then no server is there; the exit code is 0 all the same."""
    async with run(file, route(upstream), drain_timeout="1s") as process, Load(process.address) as load:
        await load.reach(100)
        process.signal(signal.SIGTERM)
        await process.logs("draining")
        began = load.answers.total()
        assert await process.ends() == (0, "stopped")
        await load.reach(50)
    assert load.answers["200"] >= began + 5
    assert {answer.partition("(")[0] for answer in load.answers} <= {
        "200",
        "ConnectionRefusedError",
        "ConnectionResetError",
        "TruncatedError",
        "BrokenPipeError",
    }


@pytest.mark.parametrize("silent", ["upstream", "authorization server"])
async def test_b80_silence_does_not_hold_up_the_end(
    file: File,
    upstream: Upstream,
    authorization_server: AuthorizationServer,
    secret_file: Path,
    silent: str,
) -> None:
    """After `drain_timeout` the request is broken off, and the exit code is 0 all the same."""
    hung = upstream if silent == "upstream" else authorization_server
    hung.scripts.extend([Exchange.peer_left] * 10)
    document = with_token(upstream, authorization_server, secret_file)
    async with run(file, **document, drain_timeout="50ms") as process:
        client = await Client.connect(process.address)
        await client.send(get())
        await hung.reached(1)
        process.signal(signal.SIGTERM)
        assert await process.ends() == (0, "stopped")
        assert await client.ending() == "reset"
        await client.close()
    assert [line["error"] for line in process.events("request")] == ["drained"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_b80_a_second_signal_ends_the_wait(
    file: File, upstream: Upstream, number: signal.Signals
) -> None:
    """With a second Ctrl-C the requests in flight are broken off; the end is as orderly as ever."""
    upstream.script(Exchange.peer_left)
    async with run(file, route(upstream), drain_timeout="0s") as process:
        client = await Client.connect(process.address)
        await client.send(get())
        await upstream.reached(1)
        process.signal(signal.SIGTERM)
        await process.logs("draining")
        process.signal(number)
        assert await process.ends() == (0, "stopped")
        assert await client.ending() == "reset"
        await client.close()


# What it starts with


@pytest.mark.parametrize("stdout", ["closed", "nobody reads"])
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
    """A socket file exists a moment before it is listened on."""
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
