"""The page of metrics that Prometheus scrapes, by Prometheus's own judgement."""

import pytest

from tests.support.authorization_server import AuthorizationServer, json_answer
from tests.support.fleet_of_sidecars import SidecarFleet
from tests.support.processes import get
from tests.support.redis_server import RedisServer
from tests.support.sidecar import FleetOn
from tests.support.wire_client import ask
from tests.system.alerts.promtool import promtool


@pytest.fixture
def fleet(
    fleet_on: FleetOn, redis_server: RedisServer, authorization_server: AuthorizationServer
) -> SidecarFleet:
    """Pods to come, whose first token requests are refused."""
    authorization_server.script(*[json_answer(400, {"error": "invalid_scope"})] * 2)
    return fleet_on(redis_server)


async def test_prometheus_accepts_a_live_page(fleet: SidecarFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a pod of a fleet that also exports, after a request without a token."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    async with fleet:
        [pod] = await fleet.start(tenant={"header": "X-Tenant", "default": "acme"})
        assert await pod.get() == 502
        page = (await ask(pod.app.admin_address, get(b"/metrics"))).body
    assert b"sidecar_token_failing_seconds{" in page
    code, printed = promtool("check", "metrics", stdin=page)
    assert (code, printed) == (0, "")


def test_a_wrong_page_is_found() -> None:
    """The test above can fail."""
    code, printed = promtool(
        "check", "metrics", stdin=b"# TYPE bad_milliseconds counter\nbad_milliseconds 1\n"
    )
    assert code != 0
    assert "bad_milliseconds" in printed
