"""No secret is printed: every scenario at the highest log level, and every output of a process."""

import asyncio
import base64
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from tests import ROOT
from tests.support.canaries import (
    FILES,
    MARK,
    OUTAGES,
    REFUSALS,
    SECRET,
    STRANGERS,
    Issuer,
    Scenario,
    Stage,
    bad_files,
    leaks,
)
from tests.support.environment import bare
from tests.support.otlp_receiver import Collector, attributes
from tests.support.processes import File, Process, serving, spawn
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE
from tests.support.wire_client import LIMIT, open_stream

PAGES = (
    b"/",
    b"/metrics",
    b"/status",
    b"/readyz",
    b"/startupz",
    b"/healthz",
    b"/canary?canary",
    b"/status?canary",
)
OURS = b"\r\nProxy-Status: sidecar"
OUR_SECRETS = re.compile(rb"canary-(?:secret|token)")
"""What no client may see, in whatever answer."""
PLANTED = (
    b"?token=canary-query",
    b"Authorization: Bearer canary-own",
    b"Authorization: Bearer canary-token-healed-2",
    b"Cookie: session=canary-cookie",
    b"X-Subject: canary-subject",
    b"canary-body",
)
BAD_ENVIRONMENT = {
    "SIDECAR_UPSTREAM": "http://user:canary@host",
    "SIDECAR_TOKEN_ENDPOINT": "https://user:canary@host?canary",
    "SIDECAR_CLIENT_ID": "canary \n",
    "SIDECAR_CLIENT_SECRET": "canary",
    "SIDECAR_SCOPE": '"canary"',
    "REDIS_URL": "redis://:canary@host",
    "SIDECAR_ENCRYPTION_KEY": "canary",
    "LOG_LEVEL": "canary",
    "M2M_CREDENTIAL_CACHE_MODE": "canary",
}


@pytest.mark.parametrize(
    "text",
    [
        "a canary-query",
        "CANARY",
        b"x canary".hex(),
        "user:canary"[::-1],
        *(base64.b64encode(b"." * before + b"canary-secret").decode() for before in range(6)),
    ],
)
def test_a_canary_is_found_in_any_form(text: str) -> None:
    """The search itself: as it is, in capitals, in hexadecimal, backwards, in base64 at any offset."""
    assert leaks(f"{{{text}}}".encode())
    assert not leaks(b"a can of rye")


def document(directory: Path, upstream: Stage, issuer: Issuer) -> Mapping[str, object]:
    """A route, a token request and credentials for each scenario, and what is special about some."""
    (directory / "secret").write_text(SECRET)
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        refused = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    upstreams = {"refused-port": refused, "no-tls": upstream.url.replace("http:", "https:")}
    credentials: dict[str, object] = {}
    tokens: dict[str, object] = {}
    routes: list[dict[str, object]] = []
    for number, name in enumerate(upstream.scenarios):
        secret = ({"file": str(directory / "secret")}, {"env": "CLIENT_SECRET"})[number % 2]
        credentials[name] = {"client_id": name, "client_secret": secret}
        if name in FILES:
            credentials[name] = {"file": str(directory / name)}
        tokens[name] = {
            "token_endpoint": f"{refused if name == 'token-refused-port' else issuer.url}/{name}?canary-query",
            "credentials": name,
            "client_auth": ("client_secret_basic", "client_secret_post")[number // 2 % 2],
        }
        routes.append(
            {
                "name": name,
                "match": {"prefix": f"/{name}"},
                "upstream": upstreams.get(name, upstream.url),
                "timeouts": {"connect": "2s", "idle": "500ms" if name == "silent" else "60s"},
                **({} if name == "own" else {"token": name}),
            }
        )
    return {"credentials": credentials, "tokens": tokens, "routes": routes}


async def ask(address: str, scenario: Scenario) -> bytes:
    """Send the scenario's request and read until the end."""
    reader, writer = await open_stream(address)
    answer = b""
    writer.write(scenario.request)
    with suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            while not scenario.leaves and (data := await reader.read(LIMIT)):
                answer += data
    writer.transport.abort()
    return answer


def status(answer: bytes) -> int:
    found = re.match(rb"HTTP/1\.1 ([0-9]{3}) ", answer)
    return int(found[1]) if found else 0


async def reload_badly(process: Process, file: File) -> None:
    """Try every configuration that cannot be used."""
    for content in bad_files():
        file.put(content)
        process.signal(signal.SIGHUP)
        await process.logs("reload_failed")


async def run_all(directory: Path, log_format: str, redis: RedisServer | None = None) -> None:
    """Play every scenario on one sidecar, and search all its outputs; what it keeps in `redis`, too."""
    file = File(directory / "config.yaml")
    scenarios = (*OUTAGES, *REFUSALS, *STRANGERS)
    async with (
        Collector() as collector,
        Stage(OUTAGES + REFUSALS) as upstream,
        Issuer(OUTAGES + REFUSALS) as issuer,
    ):
        shared = in_redis(redis, directory.name) if redis is not None else {}
        environ = {
            "LOG_LEVEL": "debug",
            "LOG_FORMAT": log_format,
            "CLIENT_SECRET": SECRET,
            "FLEET_KEY": base64.b64encode(bytes(32)).decode(),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=canary-api-key",
        }
        child = await spawn(file, {**document(directory, upstream, issuer), **shared}, environ=environ)
        async with serving(child) as process:
            asking = {scenario.name: ask(process.address, scenario) for scenario in scenarios}
            answers = dict(zip(asking, await asyncio.gather(*asking.values()), strict=True))
            await reload_badly(process, file)
            pages = {path.decode(): (await process.page(path))[1] for path in PAGES}
            process.signal(signal.SIGTERM)
            assert await process.ends() == (0, "stopped")
        exported = b"".join(bytes(request.body) for request in collector.requests)
        stored = await everything(redis, directory.name) if redis is not None else b""
    expected = {scenario.name: scenario.status for scenario in scenarios if scenario.status is not None}
    if redis is None:  # with one, a busy machine's 100 ms may go by, and a token be fetched once more
        assert {name: status(answers[name]) for name in expected} == expected
    ours = {name: answer for name, answer in answers.items() if OURS in answer}
    told = {
        "stdout": bytes(process.stdout),
        "stderr": bytes(process.stderr),
        "OTLP": exported,
        "Redis": stored,
    }
    sinks = {**told, **pages, **ours}
    assert {name: found for name, sink in sinks.items() if (found := leaks(sink))} == {}
    assert {name: found for name, answer in answers.items() if (found := leaks(answer, OUR_SECRETS))} == {}
    assert_the_canaries_flew(upstream, issuer)
    assert [name for name in upstream.scenarios if name.encode() not in process.stdout] == []
    assert_it_was_all_exported(upstream, collector)
    assert (b"m2m:fine:token:" in stored) is (redis is not None)


def in_redis(redis: RedisServer, prefix: str) -> Mapping[str, object]:
    """The part of the configuration that makes it a fleet."""
    keys = [{"id": "k1", "key": {"env": "FLEET_KEY"}}]
    return {"redis": {"url": redis.url, "key_prefix": f"{prefix}:", "encryption_keys": keys}}


async def everything(redis: RedisServer, prefix: str) -> bytes:
    """All that Redis holds under the prefix: keys, values, members, fields."""
    found = b""
    async with Redis(port=redis.port) as client:
        async for key in client.scan_iter(f"*{prefix}:*"):
            found += key + b"\n" + await contents(client, key) + b"\n"
    return found


READS = {b"string": ("GET",), b"hash": ("HGETALL",), b"zset": ("ZRANGE", 0, -1)}
"""How each type that we use is read whole."""


async def contents(client: Redis, key: bytes) -> bytes:
    execute = cast(Callable[..., Awaitable[Any]], client.execute_command)
    command, *arguments = READS[await execute("TYPE", key)]
    value = await execute(command, key, *arguments)
    match value:
        case dict():
            return b"\n".join([*value, *value.values()])
        case list():
            return b"\n".join(value)
    return value or b""  # it may have expired meanwhile


def assert_it_was_all_exported(upstream: Stage, collector: Collector) -> None:
    """An empty export would prove nothing: each scenario has its span and its series."""
    routes = {attributes(list(span.attributes)).get("http.route") for span in collector.spans}
    assert set(upstream.scenarios) - routes == set()
    series = {
        attributes(list(point.attributes)).get("http.route")
        for metric in collector.exports[-1]
        for point in metric.histogram.data_points
    }
    assert set(upstream.scenarios) - series == set()
    assert {attributes(list(span.attributes)).get("error.type") for span in collector.spans} > {
        "token_unavailable"
    }
    assert collector.requests[0].values("api-key") == [b"canary-api-key"]


def assert_the_canaries_flew(upstream: Stage, issuer: Issuer) -> None:
    """Nothing would be found where nothing was planted."""
    received = b"".join(request.head.raw + request.body for request in upstream.requests)
    assert [mark for mark in PLANTED if mark not in received] == []
    asked = b"".join(bytes(request.body) for request in issuer.requests)
    assert b"client_secret=canary-secret" in asked
    assert issuer.malformed == []


async def test_b82_nothing_secret_is_told(tmp_path: Path, redis_server: RedisServer) -> None:
    """No token, secret, query, body or identity in the log, on a page, in an answer of ours, a span, a metric or Redis,
    whatever happens.
    """
    directories = [tmp_path / name for name in ("json", "console")]
    for directory in directories:
        directory.mkdir()
    json, console = directories
    await asyncio.gather(run_all(json, "json"), run_all(console, "console", redis_server))


def test_b82_a_bad_configuration_is_told_without_what_it_holds(tmp_path: Path) -> None:
    """Secrets where none belong are not printed with the faults they cause, be they in the file or the environment."""
    path = tmp_path / "config.yaml"
    for content in bad_files():
        path.write_bytes(content)
        assert told("validate", "-c", str(path)) == (78, [])
    assert told("run", "-c", str(path)) == (78, [])
    for command in ("validate", "run"):
        assert told(command, **BAD_ENVIRONMENT) == (78, [])


def test_b82_validate_does_not_show_what_it_has_read(tmp_path: Path) -> None:
    """A good configuration is summed up without its secrets."""
    good = {
        name: f"{MARK}-{name}" for name in ("SIDECAR_CLIENT_ID", "SIDECAR_CLIENT_SECRET", "SIDECAR_SCOPE")
    }
    addresses = {
        "SIDECAR_UPSTREAM": "http://127.0.0.1:1/base",
        "SIDECAR_TOKEN_ENDPOINT": "https://127.0.0.1:1/?canary",
    }
    assert told("validate", **good, **addresses) == (0, [])


def told(*arguments: str, **environ: str) -> tuple[int, list[bytes]]:
    """Exit code, and the canaries in the command's output."""
    command = [sys.executable, "-m", "sidecar", *arguments]
    done = subprocess.run(command, capture_output=True, env=bare(environ), cwd=ROOT, check=False)
    return done.returncode, leaks(done.stdout + done.stderr)
