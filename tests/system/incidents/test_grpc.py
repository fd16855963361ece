"""Incidents of gRPC calls: the alerts on refusals, cool-downs and upstreams fire for them too."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.authorization_server import AuthorizationServer
from tests.support.http2_client import Http2Client
from tests.support.http2_upstream import Exchange2, Http2Upstream, Script2, answering
from tests.support.waiting import PATIENCE, awake
from tests.system.alerts.chart_rules import WATCHED
from tests.system.alerts.promtool import INTERVAL
from tests.system.chart.generate import RULES
from tests.system.incidents.conftest import Start
from tests.system.incidents.operators_view import holds
from tests.system.incidents.over_time import SCRAPES, continued

pytestmark = pytest.mark.unmeasured

CALL = [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
HEAD, MESSAGE = CALL[:1], b"\0\0\0\0\0"
UNAUTHENTICATED, DENIED = (b"grpc-status", b"16"), (b"grpc-status", b"7")
SCOPE = (b"www-authenticate", b'Bearer error="insufficient_scope"')
CALLS = 5
"""Calls to each server for each reading of the metrics."""
OK = answering(200, HEAD, MESSAGE, [(b"grpc-status", b"0")])


def refused(*fields: tuple[bytes, bytes]) -> Script2:
    return answering(200, [*HEAD, *fields], b"")


def one_of_calls(script: Script2) -> Script2:
    """Answer one of CALLS with this."""
    calls = Counter[str]()

    async def answer(exchange: Exchange2) -> None:
        calls["all"] += 1
        await (OK if calls["all"] % CALLS else script)(exchange)

    return answer


def early(limit: int) -> Script2:
    """Accept a token for this number of calls."""
    calls = Counter[str]()

    async def answer(exchange: Exchange2) -> None:
        calls[exchange.received.token] += 1
        await (refused(UNAUTHENTICATED) if calls[exchange.received.token] > limit else OK)(exchange)

    return answer


SERVERS: Mapping[str, tuple[Script2, str, str]] = {
    "early": (
        early(CALLS),
        'sidecar_resends_total{http_route="early",outcome="healed"} >= 2',
        "ManyRefusals",
    ),
    "scope": (
        one_of_calls(refused(UNAUTHENTICATED, SCOPE)),
        'sidecar_refusals_relayed_total{http_route="scope",error="insufficient_scope"} > 0',
        "RefusalsRelayed",
    ),
    "denied": (
        one_of_calls(refused(DENIED, SCOPE)),
        'sidecar_refusals_relayed_total{http_route="denied",error="insufficient_scope"} > 0',
        "RefusalsRelayed",
    ),
    "every": (refused(UNAUTHENTICATED), 'sidecar_cool_downs_total{token="every"} > 0', "FreshTokensRefused"),
    "late": (
        answering(200, HEAD, MESSAGE, [UNAUTHENTICATED]),
        'sidecar_cool_downs_total{token="late"} > 0',
        "FreshTokensRefused",
    ),
}
"""What each server answers, the condition that shows it, and the only alert that fires for its route or token."""
ALERTS = {**{name: alert for name, (_, _, alert) in SERVERS.items()}, "down": "UpstreamDown"}
GROUPS = (("early", "scope", "every", "down"), ("denied", "late"))
"""Servers whose alerts differ, so that one run of promtool shows which of them fire."""
DOWN = 'sidecar_neighbour_down_seconds{neighbour="upstream"} > 0'


@pytest.fixture
async def servers() -> AsyncIterator[Mapping[str, Http2Upstream]]:
    async with AsyncExitStack() as stack:
        started = {name: await stack.enter_async_context(Http2Upstream()) for name in [*SERVERS, "down"]}
        for server in started.values():
            server.welcome = OK
        yield started


async def calls(client: Http2Client) -> None:
    """Send some to each route."""
    for name in (*SERVERS, "down"):
        for _ in range(CALLS):
            await client.ask(b"POST", b"/%s.Calls/Echo" % name.encode(), CALL, MESSAGE)


async def test_alerts_fire_for_grpc_calls(
    watched: Start,
    servers: Mapping[str, Http2Upstream],
    authorization_server: AuthorizationServer,
    tmp_path: Path,
) -> None:
    """Each server's refusals fire one alert, and none for the routes of others; so does one that is down."""
    token = {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}
    routes = [
        {
            "name": name,
            "match": {"prefix": f"/{name}.Calls"},
            "upstream": server.url,
            "protocol": "http2",
            "token": name,
        }
        for name, server in servers.items()
    ]
    conditions = [*(condition for _, condition, _ in SERVERS.values()), DOWN]
    async with (
        watched(tokens={name: {**token, "scope": [name]} for name in servers}, routes=routes) as pod,
        await Http2Client.connect(pod.process.address) as client,
    ):
        await calls(client)
        healthy = first = await pod.view.metrics()
        await servers["down"].stop()
        for name, (script, _, _) in SERVERS.items():
            servers[name].welcome = script
        async with asyncio.timeout(PATIENCE):
            while not all(holds(condition, first) for condition in conditions):
                await calls(client)
                await awake(0.1)
                first = await pod.view.metrics()
        await calls(client)
        last = await pod.view.metrics()
    series = continued(healthy, first, last, RULES.read_text())
    for group in GROUPS:
        names = [servers["down"].url if name == "down" else name for name in group]
        own = {key: values for key, values in series.items() if any(f'"{name}"' in key for name in names)}
        fired = WATCHED.first_firing(own, range(0, SCRAPES * INTERVAL, INTERVAL), tmp_path)
        assert sorted(fired) == sorted(f"CredentialSidecar{ALERTS[name]}" for name in group)
