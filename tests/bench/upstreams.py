"""Where the proxies send what they are asked: nginx for small answers, a server of our own for large bodies."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.bench import nginx
from tests.bench.cells import ANSWERS, MESSAGE
from tests.bench.processes import started, tool
from tests.support.redis_server import free_port

TOKEN = "bench-token"


@dataclass(frozen=True)
class Upstream:
    """One origin, the token endpoint that grants the token it requires, and the authority of its certificate."""

    url: str
    token_endpoint: str
    ca_file: Path | None


@dataclass(frozen=True)
class Upstreams:
    """Both kinds of HTTP/1.1, each `plain` and `tls`, and both of HTTP/2."""

    small: Mapping[str, Upstream]
    bulk: Mapping[str, Upstream]
    calls: Upstream
    """Small answers over HTTP/2."""
    streams: Upstream
    """Streams of small messages over HTTP/2."""


@contextmanager
def upstreams(core: int, folder: Path) -> Iterator[Upstreams]:
    """All servers on one core; those of HTTP/1.1 with and without TLS."""
    ca_file, certificate = _certificate(folder)
    small, small_tls, bulk, bulk_tls, calls, streams = (free_port() for _ in range(6))
    endpoint = f"http://127.0.0.1:{small}/token"

    def origins(port: int, tls_port: int) -> Mapping[str, Upstream]:
        return {
            "plain": Upstream(f"http://127.0.0.1:{port}", endpoint, None),
            "tls": Upstream(f"https://127.0.0.1:{tls_port}", endpoint, ca_file),
        }

    with (
        _nginx(core, folder, (small, small_tls, calls), certificate),
        _bulk(core, folder, bulk, bulk_tls, certificate),
        _streams(core, folder, streams),
    ):
        http2 = [Upstream(f"http://127.0.0.1:{each}", endpoint, None) for each in (calls, streams)]
        yield Upstreams(origins(small, small_tls), origins(bulk, bulk_tls), *http2)


def _certificate(folder: Path) -> tuple[Path, Path]:
    """The authority's certificate; the server's, with its key."""
    authority = trustme.CA()
    ca_file, server = folder / "ca.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(server))
    return ca_file, server


@contextmanager
def _nginx(core: int, folder: Path, ports: tuple[int, int, int], certificate: Path) -> Iterator[None]:
    port, tls_port, http2_port = ports
    config = folder / "upstream.conf"
    frame = len(json.dumps({"data": ""}))
    config.write_text(
        nginx.upstream(
            folder,
            port=port,
            tls_port=tls_port,
            http2_port=http2_port,
            certificate=certificate,
            token=TOKEN,
            grant=json.dumps({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}),
            small=json.dumps({"data": "x" * (ANSWERS["200B"] - frame)}),
            message="x" * MESSAGE,
        )
    )
    command = [tool("nginx", "nginx"), "-p", str(folder), "-c", str(config), "-e", "stderr"]
    ready = f"http://127.0.0.1:{port}/ready"
    with started("upstream", command, core=core, ready=ready, folder=folder, environ={}):
        yield


@contextmanager
def _bulk(core: int, folder: Path, port: int, tls_port: int, certificate: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.bench.bulk_upstream", "--port", str(port)]
    command += ["--tls-port", str(tls_port), "--certificate", str(certificate), "--token", TOKEN]
    ready = f"http://127.0.0.1:{port}/ready"
    with started("bulk-upstream", command, core=core, ready=ready, folder=folder, environ={}):
        yield


@contextmanager
def _streams(core: int, folder: Path, port: int) -> Iterator[None]:
    ready_port = free_port()
    command = [sys.executable, "-m", "tests.bench.stream_upstream", "--port", str(port)]
    command += ["--ready-port", str(ready_port), "--token", TOKEN]
    ready = f"http://127.0.0.1:{ready_port}/ready"
    with started("stream-upstream", command, core=core, ready=ready, folder=folder, environ={}):
        yield
