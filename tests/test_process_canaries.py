"""Nothing secret is told: every scenario at the highest log level, and every place where a process tells something."""

import asyncio
import base64
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from tests.canaries import (
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
from tests.processes import ROOT, File, Process, serving, spawn
from tests.wire import LIMIT, open_stream

PATIENCE = 20.0
"""Longer than the longest scenario: a token endpoint may be silent for 10 s."""
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


async def run_all(directory: Path, log_format: str) -> None:
    """Play every scenario on one sidecar, and look wherever it tells something."""
    file = File(directory / "config.yaml")
    environ = {"LOG_LEVEL": "debug", "LOG_FORMAT": log_format, "CLIENT_SECRET": SECRET}
    scenarios = (*OUTAGES, *REFUSALS, *STRANGERS)
    async with Stage(OUTAGES + REFUSALS) as upstream, Issuer(OUTAGES + REFUSALS) as issuer:
        child = await spawn(file, document(directory, upstream, issuer), environ=environ)
        async with serving(child) as process:
            asking = {scenario.name: ask(process.address, scenario) for scenario in scenarios}
            answers = dict(zip(asking, await asyncio.gather(*asking.values()), strict=True))
            await reload_badly(process, file)
            pages = {path.decode(): (await process.page(path))[1] for path in PAGES}
            process.signal(signal.SIGTERM)
            assert await process.ends() == (0, "stopped")
    expected = {scenario.name: scenario.status for scenario in scenarios if scenario.status is not None}
    assert {name: status(answers[name]) for name in expected} == expected
    ours = {name: answer for name, answer in answers.items() if OURS in answer}
    sinks = {"stdout": bytes(process.stdout), "stderr": bytes(process.stderr), **pages, **ours}
    assert {name: found for name, sink in sinks.items() if (found := leaks(sink))} == {}
    assert {name: found for name, answer in answers.items() if (found := leaks(answer, OUR_SECRETS))} == {}
    assert_the_canaries_flew(upstream, issuer)
    assert [name for name in upstream.scenarios if name.encode() not in process.stdout] == []


def assert_the_canaries_flew(upstream: Stage, issuer: Issuer) -> None:
    """Nothing would be found where nothing was planted."""
    received = b"".join(request.head.raw + request.body for request in upstream.requests)
    assert [mark for mark in PLANTED if mark not in received] == []
    asked = b"".join(bytes(request.body) for request in issuer.requests)
    assert b"client_secret=canary-secret" in asked
    assert issuer.malformed == []


async def test_b82_nothing_secret_is_told(tmp_path: Path) -> None:
    """No token, secret, query, body or identity in the log, on a page or in an answer of ours, whatever happens."""
    directories = [tmp_path / name for name in ("json", "console")]
    for directory in directories:
        directory.mkdir()
    await asyncio.gather(*(run_all(directory, directory.name) for directory in directories))


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
    """Exit code, and what the command told of the canaries."""
    command = [sys.executable, "-m", "sidecar", *arguments]
    done = subprocess.run(command, capture_output=True, env=environ, cwd=ROOT, check=False)
    return done.returncode, leaks(done.stdout + done.stderr)
