"""`make picture`: the live page, light and dark, of a real sidecar after a quarter of an hour of its time."""

import math
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import uvloop
import yaml

from sidecar.admin.route_traffic import EVERY, WINDOWS
from sidecar.app.sidecar import Sidecar
from sidecar.config.load import load
from tests import ROOT
from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.browser import Scheme, chromium_running
from tests.support.clock import FakeClock
from tests.support.processes import get
from tests.support.randomness import FixedRandomness
from tests.support.sidecar import TickingClock
from tests.support.upstream import Exchange, Script, Upstream
from tests.support.wire_client import ask

FOLDER = ROOT / "docs/_static"
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZE = (1400, 990)
LIMIT = 200_000
"""Bytes of a picture."""
OPERATOR = "the-token-of-the-operators"
POD = "checkout-7d9c5b6f4-x2lqm"
TENANTS = ("acme", "globex", "initech", "umbrella")


class Stage:
    """A sidecar whose clock we move, and what stands around it."""

    def __init__(self, app: Sidecar, clock: FakeClock, upstreams: dict[str, Upstream]) -> None:
        self.app = app
        self.clock = clock
        self.upstreams = upstreams

    async def ask(self, route: str, tenant: str, seconds: float, status: int = 200) -> None:
        """Send one request, whose upstream takes that long by the sidecar's clock."""
        self.upstreams[route].script(self._answer(seconds, status))
        await ask(self.app.address, get(f"/{route}".encode(), f"X-Tenant-Id: {tenant}".encode()))
        self.upstreams[route].scripts.clear()

    def _answer(self, seconds: float, status: int) -> Script:
        async def script(exchange: Exchange) -> None:
            await exchange.read()
            await self.clock.advance(seconds)
            await exchange.send(b"HTTP/1.1 %d Answer\r\nContent-Length: 0\r\n\r\n" % status)

        return script


@asynccontextmanager
async def stage(folder: Path, authorization: AuthorizationServer) -> AsyncIterator[Stage]:
    """Three routes: two with tokens, one without."""
    async with AsyncExitStack() as stack:
        names = ("ledger", "crm", "catalogue")
        upstreams = {name: await stack.enter_async_context(Upstream()) for name in names}
        for name, text in (("operator", OPERATOR), ("secret", "secret")):
            (folder / name).write_text(text)
        client = {"client_id": "checkout", "client_secret": {"file": str(folder / "secret")}}
        document = {
            "listen": "127.0.0.1:0",
            "admin": {"listen": "127.0.0.1:0", "token": {"file": str(folder / "operator")}},
            "tenant": {"header": "X-Tenant-Id"},
            "credentials": {"ledger-client": client, "crm-client": client},
            "tokens": {
                name: {"token_endpoint": authorization.token_endpoint, "credentials": f"{name}-client"}
                for name in ("ledger", "crm")
            },
            "routes": [
                {
                    "name": name,
                    "match": {"prefix": f"/{name}"},
                    "upstream": upstreams[name].url,
                    **({"token": name} if name != "catalogue" else {}),
                }
                for name in names
            ],
        }
        config, clock = folder / "sidecar.yaml", TickingClock()
        config.write_text(yaml.safe_dump(document))
        log = stack.enter_context((folder / "log").open("wb", buffering=0))
        app = Sidecar(load(str(config), {}), output=log, clock=clock, randomness=FixedRandomness())
        await app.start()
        stack.push_async_callback(app.stop)
        stack.callback(app.hurry)
        yield Stage(app, clock, upstreams)


async def play(stage: Stage, authorization: AuthorizationServer) -> None:
    """A token is revoked and healed, a tenant's secret is wrong, an upstream grows slow and fails."""
    for window in range(WINDOWS - 1):
        wave = 1 + math.sin(window / 7)
        for number in range(round(6 + 5 * wave)):
            tenant = TENANTS[(window // 12 + number) % min(3, 1 + window // 12)]
            await stage.ask("ledger", tenant, 0.012 + 0.01 * wave)
        for number in range(round(5 + 3 * math.cos(window / 9))):
            late = window > 50
            status = 503 if late and number % 3 == 0 else 200
            await stage.ask(
                "crm", TENANTS[number % 2], 0.03 + (0.12 * (window - 50) / 9 if late else 0), status
            )
        for _ in range(round(3 + 2 * math.sin(window / 3))):
            await stage.ask("catalogue", "acme", 0.004)
        if window == 45:
            await revoked(stage, authorization)
        if window == 52:
            await stage.app.bust(frozenset({("tenant", "initech"), ("service", "ledger-client")}))
        await stage.clock.advance(EVERY - stage.clock.now() % EVERY)
    authorization.script(*[json_answer(401, {"error": "invalid_client"})] * 2)
    await stage.ask("ledger", "umbrella", 0.0)
    for number in range(8):
        await stage.ask("ledger", TENANTS[number % 3], 0.02)
        await stage.ask("crm", TENANTS[number % 2], 0.14, 503 if number == 3 else 200)
        await stage.ask("catalogue", "acme", 0.004)
    await stage.clock.advance(6)


async def revoked(stage: Stage, authorization: AuthorizationServer) -> None:
    upstream = stage.upstreams["ledger"]
    upstream.accepts = set()
    authorization.upstream = upstream
    await ask(stage.app.address, get(b"/ledger", b"X-Tenant-Id: globex"))
    upstream.accepts = None


async def main() -> None:
    """Play, look, and keep what is seen."""
    socket.gethostname = lambda: POD  # do not show the machine's own name
    with tempfile.TemporaryDirectory() as folder:
        async with AuthorizationServer() as authorization, stage(Path(folder), authorization) as made:
            authorization.reply["expires_in"] = 1500
            await play(made, authorization)
            for scheme in SCHEMES:
                await take(made.app.admin_address, scheme)


async def take(address: str, scheme: Scheme) -> None:
    """Open the page in that colour scheme, unlock it, and keep a picture."""
    picture = FOLDER / f"live-page-{scheme}.png"
    async with chromium_running() as opened, opened(size=SIZE, scheme=scheme) as browser:
        await browser.open(address)
        await browser.page.locator("#unlock").click()
        await browser.page.keyboard.type(OPERATOR)
        await browser.page.keyboard.press("Enter")
        await browser.page.locator("button.bust").first.wait_for()
        await browser.kept_to_itself()
        await browser.page.screenshot(path=picture)
    size = picture.stat().st_size
    assert size <= LIMIT, f"{size} bytes"
    sys.stdout.write(f"{picture.relative_to(ROOT)}: {size} bytes\n")


if __name__ == "__main__":
    uvloop.run(main())
