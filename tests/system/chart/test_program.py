"""What the chart renders starts the real program."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.authorization_server import AuthorizationServer
from tests.support.environment import bare
from tests.support.processes import PIPE, get, serving
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE
from tests.support.wire_client import ask
from tests.system.chart.helm import MINIMAL, render
from tests.system.chart.pod import SECRET, RenderedPod

PROBES = (b"/startupz", b"/healthz", b"/readyz")


@pytest.mark.unmeasured
async def test_the_default_values_start_the_sidecar_and_it_proxies(
    tmp_path: Path, upstream: Upstream, authorization_server: AuthorizationServer
) -> None:
    """From the rendered arguments, variables and file, but for addresses; it also answers the probes."""
    manifests = render(
        MINIMAL,
        "mode=app",
        "config.listen=127.0.0.1:0",
        f"config.routes[0].upstream={upstream.url}",
        f"config.tokens.ledger.token_endpoint={authorization_server.token_endpoint}",
    )
    pod = RenderedPod(manifests, tmp_path)
    assert pod.environ == {"SIDECAR_ADMIN_LISTEN": "0.0.0.0:9181"}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", *pod.arguments),
        cwd=ROOT,
        env=bare({"SIDECAR_ADMIN_LISTEN": "127.0.0.1:0", "SIDECAR_CONFIG": str(pod.config)}),
        stdout=PIPE,
        stderr=PIPE,
    )
    async with serving(child) as process:
        assert (await ask(process.address, get(b"/ledger/accounts"))).status == 200
        async with asyncio.timeout(PATIENCE):
            while [(await process.page(probe))[0] for probe in PROBES] != [200] * len(PROBES):
                await asyncio.sleep(0.01)
        assert process.stderr == b""
    assert upstream.tokens == ["canary-token-1"]
    assert [secret for _, secret in authorization_server.clients] == [SECRET]
