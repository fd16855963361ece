"""The live page of a pod in a fleet: what the others did, and what becomes of it without Redis."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.browser import chromium_running
from tests.support.fleet_of_sidecars import SidecarFleet
from tests.support.redis_server import RedisServer
from tests.support.sidecar import FleetOn

OPERATOR = "canary-operator-token"


@pytest.fixture
async def fleet(fleet_on: FleetOn, own_redis: RedisServer) -> AsyncIterator[SidecarFleet]:
    async with fleet_on(own_redis) as fleet:
        yield fleet


async def test_a_bust_on_one_pods_page_is_seen_on_anothers_and_redis_is_missed_by_name(
    fleet: SidecarFleet, own_redis: RedisServer, tmp_path: Path
) -> None:
    """How many pods received it, its sender, and, when Redis is unavailable, since when and which one."""
    (tmp_path / "operator").write_text(OPERATOR)
    admin = {"listen": "127.0.0.1:0", "token": {"file": str(tmp_path / "operator")}}
    one, other = await fleet.start(2, admin=admin, cache={"memory_ttl": "1ms"})
    for pod in (one, other):
        assert await pod.get() == 200
    async with chromium_running() as opened, opened() as browser, opened() as another:
        await browser.open(one.app.admin_address)
        await another.open(other.app.admin_address)
        await browser.says("#tokens", "app")
        await another.says("#tokens", "Redis")
        await browser.says("#health", f"127.0.0.1:{own_redis.port}")
        await browser.page.locator("#unlock").click()
        await browser.page.keyboard.type(OPERATOR)
        await browser.page.keyboard.press("Enter")
        await browser.page.get_by_role("button", name="Bust service app").click()
        await browser.page.locator("#bust-now").click()
        await browser.says("#outcome", "service=app: 2 of 3 pods answered: ")
        await browser.says("#outcome", " 1; 1 did not answer.")  # the test listens too
        await browser.page.keyboard.press("Escape")
        await another.says("#events", "Bust elsewhere: dropped 1 token")
        own_redis.kill()
        for _ in range(5):
            assert await one.get() == 200
        await browser.says("#ready", "degraded: Redis is unavailable: ")
        await browser.says("#troubles .what", f"Redis 127.0.0.1:{own_redis.port} is unavailable")
        await browser.says("#troubles .what", "Busts of other pods do not arrive")
        await browser.says("#troubles .since", "since ")
        await browser.says("#events", "Redis is unavailable")
        own_redis.start()
        await expect(browser.page.locator("#calm")).to_be_visible()
        await browser.says("#events", "Redis is available again")
        await browser.says("#ready", "ready")
        await browser.kept_to_itself()
        await another.kept_to_itself()
