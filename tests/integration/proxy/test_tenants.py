"""Tenants: whose token a request carries, and whose it never does."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sidecar.core.errors import RequestRefused, SidecarError, TokenRefused
from sidecar.core.rate_limit import RateLimit
from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tenants import TenantRule
from sidecar.oauth.fetch_limit import BURST, RATE, LimitedSource
from sidecar.oauth.token import FetchReason, Presented, Token, TokenRequest, bearer
from sidecar.proxy.unknown_tenants import NOT_SHOWN
from tests.support.authorization_server import PerTenant, json_answer, whose
from tests.support.aws import Aws
from tests.support.clock import FakeClock
from tests.support.sidecar import Running, Start
from tests.support.upstream import Upstream, refusal
from tests.support.waiting import PATIENCE
from tests.support.wire_client import ask

UUID = "7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d"
HEADER = {"header": "X-Tenant-Id"}
MANY = 200
WORKERS = 8


@pytest.fixture
async def authorization_server(upstream: Upstream) -> AsyncIterator[PerTenant]:
    async with PerTenant(upstream) as server:
        yield server
        assert server.malformed == []


Served = tuple[Start, PerTenant]
Asked = tuple[tuple[bytes, ...], str]
"""A request's target and fields, and the tenant that it names."""


@pytest.fixture
def served(sidecar: Start, authorization_server: PerTenant) -> Served:
    return sidecar, authorization_server


@pytest.mark.parametrize(
    ("rule", "asking", "tenant"),
    [
        (HEADER, (b"/x", b"X-Tenant-Id: acme"), "acme"),
        (HEADER, (b"/x", b"x-tenant-ID:  acme \t"), "acme"),
        (HEADER, (b"/x", b"X-Tenant-Id: " + UUID.upper().encode()), UUID),
        ({**HEADER, "default": "acme"}, (b"/x",), "acme"),
        ({**HEADER, "default": "acme"}, (b"/x", b"X-Tenant-Id: globex"), "globex"),
        ({**HEADER, "allow": ["globex"]}, (b"/x", b"X-Tenant-Id: globex"), "globex"),
        ({"path": True}, (b"/t/acme/x",), "acme"),
        ({"path": True, "default": "acme"}, (b"/x",), "acme"),
        ({"default": "acme"}, (b"/x", b"X-Tenant-Id: globex"), "acme"),
    ],
)
async def test_b67_a_request_carries_its_tenants_token(
    sidecar: Start, upstream: Upstream, rule: dict[str, object], asking: tuple[bytes, ...], tenant: str
) -> None:
    """Named by a field, the path, or always the same; the upstream sees the path without the tenant."""
    async with sidecar(tenant=rule) as running:
        assert (await running.get(*asking)).status == 200
        (held,) = [token for token in await running.tokens() if token["tenant"] == tenant]
        assert held["service"] == "app"
    assert upstream.requests[0].head.line.split(b" ")[1] == b"/x"
    assert whose(upstream) == [tenant]
    assert running.events("request")[0]["tenant"] == tenant


async def test_the_log_names_the_tenant_of_a_request_that_got_no_token(served: Served) -> None:
    """The on-call engineer first needs the tenant of the token; its metrics have it, too."""
    sidecar, authorization_server = served
    authorization_server.script(json_answer(503, {}))
    async with sidecar(tenant=HEADER) as running:
        assert (await running.get(b"/", b"X-Tenant-Id: acme")).status == 503
        page = (
            await ask(running.app.admin_address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        ).body
    (line,) = running.events("request")
    assert (line["tenant"], line["token"], line["error"]) == ("acme", "fetch", "token_unavailable")
    assert b'm2m_credential_cache_misses_total{level="memory",tenant="acme",token="api"} 1.0' in page
    assert b'm2m_credential_fetch_errors_total{outcome="unavailable",tenant="acme",token="api"} 1.0' in page


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        (HEADER, ((b"/",), "")),
        (HEADER, ((b"/", b"X-Tenant-Id:"), "")),
        (HEADER, ((b"/", b"X-Tenant-Id: \t"), "")),
        (HEADER, ((b"/", b"X-Tenant-Id: ../acme"), NOT_SHOWN)),
        (HEADER, ((b"/", b"X-Tenant-Id: a/b"), NOT_SHOWN)),
        (HEADER, ((b"/", b"X-Tenant-Id: a:b"), NOT_SHOWN)),
        (HEADER, ((b"/", b"X-Tenant-Id: .."), NOT_SHOWN)),
        (HEADER, ((b"/", b"X-Tenant-Id: \xe9"), NOT_SHOWN)),
        (HEADER, ((b"/", b"X-Tenant-Id: acme", b"X-Tenant-Id: globex"), NOT_SHOWN)),
        ({**HEADER, "allow": ["acme"]}, ((b"/", b"X-Tenant-Id: globex"), "globex")),
        ({"path": True}, ((b"/x",), "")),
        ({"path": True}, ((b"/t//x",), "")),
        ({"path": True}, ((b"/t/a:b/x",), NOT_SHOWN)),
        ({"path": True}, ((b"/t/%2e%2e/x",), "")),
        ({"path": True}, ((b"/t/a%2Fb/x",), NOT_SHOWN)),
        ({"path": True, "allow": ["acme"]}, ((b"/t/globex/x",), "globex")),
    ],
)
async def test_b67_who_names_nobody_gets_nothing(
    served: Served, upstream: Upstream, aws: Aws, rule: dict[str, object], asked: Asked
) -> None:
    """400, and neither the secret store nor the authorization server nor the upstream gets a request.

    O6: the log has the name, no metric has.
    """
    start, authorization_server = served
    asking, tenant = asked
    secret = {"id": aws.name("{tenant}/x"), "region": "eu-west-1", "endpoint": aws.url}
    async with start(tenant=rule, credentials={"app": {"aws_secret": secret}}) as running:
        answer = await running.get(*asking)
        metrics = await ask(running.app.admin_address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told = [row for row in await running.rows("events") if row["event"] == "unknown_tenant"]
    word = "unknown_tenant" if tenant else "bad_request"
    assert (answer.status, json.loads(answer.body)["error"]) == (400, word)
    (line,) = running.events("request")
    assert (line["error"], line["tenant"], line["token"]) == (word, tenant, "none")
    names = [{"route": "api", "tenant": tenant, "count": 1}] if tenant else []
    assert [row["fields"] for row in told] == names
    assert tenant != NOT_SHOWN or line["path"] in {"/", f"/t/{NOT_SHOWN}/x"}
    assert b'error_type="%b"' % word.encode() in metrics.body
    assert not tenant or b'"%b"' % tenant.encode() not in metrics.body
    assert (upstream.requests, aws.reads, authorization_server.requests) == ([], [], [])


@pytest.mark.parametrize(
    ("fields", "tenant", "seen"),
    [
        ((b"X_Tenant_Id: globex", b"X-Tenant-Id: acme"), "acme", [b"acme"]),
        ((b"X-Tenant-Id: acme", b"x-tenant_id: globex", b"X_TENANT-ID: globex"), "acme", [b"acme"]),
        ((b"X_Tenant-Id: globex",), "initech", []),
        ((b"X.Tenant.Id: globex", b"X-Tenant-Id: acme", b"X~Tenant+Id: globex"), "acme", [b"acme"]),
        ((b"Connection: X-Tenant-Id", b"X-Tenant-Id: acme"), "acme", [b"acme"]),
        (
            (b"Connection: close, x-tenant-id, X.Tenant.Id", b"X-Tenant-Id: acme", b"X.Tenant.Id: globex"),
            "acme",
            [b"acme"],
        ),
    ],
)
async def test_b67_no_upstream_takes_another_field_for_the_tenants(
    sidecar: Start, upstream: Upstream, fields: tuple[bytes, ...], tenant: str, seen: list[bytes]
) -> None:
    """Some take an underscore for a dash: only the field that was read here travels on, the others do as ever."""
    async with sidecar(tenant={**HEADER, "default": "initech"}) as running:
        assert (await running.get(b"/", *fields, b"X_Other: kept")).status == 200
    (received,) = upstream.requests
    assert whose(upstream) == [tenant]
    assert received.values("X-Tenant-Id") == seen
    assert b"globex" not in received.head.raw
    assert received.values("X_Other") == [b"kept"]


async def test_s9_neither_tenant_nor_subject_travels_as_a_trailer(sidecar: Start, upstream: Upstream) -> None:
    """They arrive after the token was chosen, and an upstream might believe them; a second send leaves them out too."""
    exchange = {"grant": "token_exchange", "subject": {"header": "X-Subject"}}
    trailers = (
        b"X-Tenant-Id: globex\r\nx_tenant_id: globex\r\nX.Tenant.ID: globex\r\n"
        b"X-SUBJECT: canary\r\nX.Subject: canary\r\nX-Checksum: 1\r\n"
    )
    upstream.script(refusal())
    async with sidecar(tenant=HEADER, token=exchange) as running:
        fields = (b"X-Tenant-Id: acme", b"X-Subject: canary-alice", b"Transfer-Encoding: chunked")
        head = running.request(b"POST", b"/", *fields)
        answer = await running.ask(head + b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n")
    assert answer.status == 200
    assert [received.trailers for received in upstream.requests] == [((b"X-Checksum", b"1"),)] * 2


async def test_b67_a_route_without_a_token_needs_no_tenant(
    sidecar: Start, upstream: Upstream, plain: dict[str, object]
) -> None:
    """The client's own credentials are its own business."""
    async with sidecar(plain, tenant=HEADER) as running:
        assert (await running.get(b"/x", b"Authorization: Basic theirs")).status == 200
    assert len(upstream.requests) == 1


async def test_b60_each_tenant_has_a_secret_of_its_own(
    sidecar: Start, aws: Aws, authorization_server: PerTenant
) -> None:
    """Read once each, under its own name."""
    names = ("acme", "globex", "initech")
    for name in names:
        aws.create(f"{name}-app", {"client_id": name, "client_secret": f"canary-{name}"})
    secret = {"id": aws.name("{tenant}-{service}"), "region": "eu-west-1", "endpoint": aws.url}
    async with sidecar(tenant=HEADER, credentials={"app": {"aws_secret": secret}}) as running:
        for name in names * 3:
            assert (await running.get(b"/", b"X-Tenant-Id: " + name.encode())).status == 200
    assert [name for name, _ in aws.reads] == [f"{name}-app" for name in names]
    assert authorization_server.clients == [(name, f"canary-{name}") for name in names]
    assert authorization_server.asked == list(names)


async def test_b20_a_refusal_heals_for_its_tenant_alone(
    sidecar: Start, upstream: Upstream, authorization_server: PerTenant
) -> None:
    """The other's token stays in use."""
    async with sidecar(tenant=HEADER) as running:
        for name in (b"acme", b"globex"):
            assert (await running.get(b"/", b"X-Tenant-Id: " + name)).status == 200
        authorization_server.revoke("canary-acme-0")
        for name in (b"acme", b"globex"):
            assert (await running.get(b"/", b"X-Tenant-Id: " + name)).status == 200
    assert authorization_server.asked == ["acme", "globex", "acme"]
    assert whose(upstream) == ["acme", "globex", "acme", "acme", "globex"]


async def test_b68_a_kept_connection_keeps_no_tenant(sidecar: Start, upstream: Upstream) -> None:
    """Each request is for the tenant that it names itself, whatever the one before it on the connection named."""
    names = [b"acme", b"acme", b"globex", b"", b"", b"acme", b"globex", b"globex"]
    async with (
        sidecar(tenant={**HEADER, "default": "initech"}) as running,
        await running.connect() as client,
    ):
        for number, name in enumerate(names):
            fields = (b"X-Tenant-Id: " + name,) if name else ()
            assert (await client.ask(running.request(b"GET", b"/%d" % number, *fields))).status == 200
    assert whose(upstream) == [name.decode() or "initech" for name in names]


async def test_b68_no_token_ever_crosses_from_one_tenant_to_another(
    sidecar: Start, upstream: Upstream, authorization_server: PerTenant
) -> None:
    """Two hundred tenants, eight workers, kept connections on which the tenant changes with every request."""

    async def work(running: Running, worker: int) -> None:
        client = await running.connect()
        for number in range(MANY):
            name = b"t%d" % ((number * 7 + worker) % MANY)
            request = running.request(b"GET", b"/" + name, b"X-Tenant-Id: " + name)
            assert (await client.ask(request)).status == 200
        await client.close()

    async with sidecar(tenant=HEADER) as running:
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*(work(running, worker) for worker in range(WORKERS)))
    asked = [call.head.line.split(b" ")[1].removeprefix(b"/").decode() for call in upstream.requests]
    assert len(asked) == MANY * WORKERS
    assert whose(upstream) == asked
    assert sorted(authorization_server.asked) == sorted({f"t{number}" for number in range(MANY)})


async def test_b84_inventing_tenants_wears_nobody_out(served: Served, upstream: Upstream) -> None:
    """So many at once, so many a second, then 429; known tenants and the default are still served."""
    start, authorization_server = served
    async with start(tenant={**HEADER, "default": "acme"}) as running:

        async def statuses(*names: str) -> list[int]:
            answers = [await running.get(b"/", b"X-Tenant-Id: " + name.encode()) for name in names]
            assert {answer.status == 429 for answer in answers if answer.values("Retry-After")} <= {True}
            return [answer.status for answer in answers]

        async with await running.connect() as client:
            for number in range(BURST):
                request = running.request(b"GET", b"/", b"X-Tenant-Id: t%d" % number)
                assert (await client.ask(request)).status == 200
        assert await statuses("late", "t7", "acme") == [429, 200, 200]
        await running.clock.advance(5 / RATE)
        later = await statuses(*(f"s{number}" for number in range(20)))
        got = later.count(200)
        assert later == [200] * got + [429] * (20 - got)
        assert got in {5, 6}  # the clock ticks a little at each look
        assert await statuses("s1", "late") == [200, 429]
    assert len(authorization_server.requests) == BURST + got + 1
    assert {line["error"] for line in running.events("request")} == {"", "too_many_identities"}


class Counting:
    """A source that counts; `error` is its answer, if there is one."""

    def __init__(self, error: SidecarError | None = None) -> None:
        self.count = 0
        self._error = error

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        self.count += 1
        if self._error is not None:
            raise self._error
        return bearer(Secret("canary"), fetch_began=0.0, life=60, leeway=6)


ALICE = Presented(Secret("canary"), "hash", "type")
FROM_FILE = Presented(SecretFile("/token"), "hash", "type")
REFUSED = TokenRefused("invalid subject", "invalid_grant")


@pytest.mark.parametrize(
    ("wanted", "error", "rationed"),
    [
        ({"tenant": "stranger"}, None, True),
        ({"tenant": "stranger"}, REFUSED, True),
        ({"tenant": "stranger", "subject": ALICE}, None, True),
        ({"tenant": "acme"}, REFUSED, False),
        ({"tenant": ""}, REFUSED, False),
        ({"tenant": "acme", "subject": ALICE}, REFUSED, True),
        ({"tenant": "acme", "subject": FROM_FILE, "actor": ALICE}, REFUSED, True),
        ({"tenant": "acme", "subject": ALICE}, None, False),
        ({"tenant": "acme", "subject": FROM_FILE}, REFUSED, False),
    ],
)
async def test_b84_only_who_may_be_invented_is_rationed(
    wanted: dict[str, Any], error: SidecarError | None, rationed: bool
) -> None:
    """Tenants the configuration does not know; subjects a request brought, unless there is a token for them."""
    counting, clock, refused = Counting(error), FakeClock(), 0
    ration = RateLimit(burst=2, rate=1)
    rule = TenantRule(header=b"x", default="acme") if wanted["tenant"] else None
    source = LimitedSource(counting, tenants=rule, rate_limit=ration, clock=clock)
    for _ in range(5):
        try:
            await source.token(TokenRequest("api", "app", "app", **wanted), newer_than=0.0, reason="cold")
        except TokenRefused:
            pass
        except RequestRefused as refusal:
            refused += refusal.status == 429
    assert (counting.count, refused) == ((2, 3) if rationed else (5, 0))


@pytest.mark.parametrize("reason", ["aging", "refused", "warm_up"])
async def test_b84_renewals_are_not_rationed(reason: FetchReason) -> None:
    """A tenant with a token keeps one."""
    counting = Counting()
    ration = RateLimit(burst=0, rate=0)
    source = LimitedSource(counting, tenants=TenantRule(path=True), rate_limit=ration, clock=FakeClock())
    await source.token(TokenRequest("api", "app", "app", tenant="t"), newer_than=0.0, reason=reason)
    assert counting.count == 1


async def test_b84_listed_tenants_are_not_rationed() -> None:
    """The configuration has said how many there are."""
    names = frozenset(f"t{number}" for number in range(50))
    counting = Counting()
    ration = RateLimit(burst=2, rate=0)
    rule = TenantRule(path=True, allow=names)
    source = LimitedSource(counting, tenants=rule, rate_limit=ration, clock=FakeClock())
    for name in names:
        await source.token(TokenRequest("api", "app", "app", tenant=name), newer_than=0.0, reason="cold")
    assert counting.count == len(names)
