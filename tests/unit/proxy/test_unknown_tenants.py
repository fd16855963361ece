"""Tenants that are not served: what the log calls them, how often, and what never gets there."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused, UnknownTenant
from sidecar.core.origin import Origin
from sidecar.core.rate_limit import EVERY
from sidecar.core.tenants import TenantRule, canonical
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route
from sidecar.proxy.tenants import Tenants
from sidecar.proxy.unknown_tenants import MOST, NOT_SHOWN, OTHER, UnknownTenants, path_shown, shown
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.unsigned_jwt import jwt

TEMPLATE = TokenRequest("ledger", token_endpoint="https://auth.test/token", credentials="c", service="c")
ROUTE = Route("ledger", Origin("https", "ledger.test", 443), token=TEMPLATE)
HEADER = TenantRule(header=b"x", allow=frozenset({"acme"}))
KEY = "0aB1c2D3e4F5g6H7i8J9k0L1m2N3o4P5"


UUID = "7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d"


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        (HEADER, "acmee"),
        (HEADER, "ACME"),
        (HEADER, "a"),
        (HEADER, "tenant-production-eu-west-1.customer_4711"),
        (HEADER, "a." * 31 + "a"),
        (HEADER, "long-" * 12 + "name"),
        (HEADER, UUID),
        (HEADER, UUID.upper()),
        (HEADER, f"org-{UUID}"),
        (TenantRule(path=True, allow=frozenset({"acme"})), "globex"),
        (TenantRule(claim="org", allow=frozenset({"acme"})), "globex"),
    ],
)
def test_o6_an_unknown_tenant_is_named(rule: TenantRule, named: str) -> None:
    """As the request named it, if it could be a tenant's id."""
    with pytest.raises(UnknownTenant) as raised:
        Tenants(rule).route(ROUTE, TEMPLATE, named.encode())
    assert (raised.value.tenant, raised.value.status) == (named, 400)


@pytest.mark.parametrize(
    "named",
    [
        b"a, b",
        b"../acme",
        b" acme",
        b"a\x1b[31m\x00b",
        "caf\u00e9".encode(),
        b"\xff",
        b"a." * 40,
        b"b" * 65,
        b"hunter2/canary",
        b"user:canary",
        b"canary+pass=word",
        b"canary~1",
        b"_other",
        b"_canary",
        NOT_SHOWN.encode(),
        KEY.encode(),
        b"tenant-" + KEY.encode(),
        f"{KEY[:16]}/{KEY[16:]}".encode(),
        f"{KEY[:16]}:{KEY[16:]}".encode(),
        f"{KEY[:10]}.{KEY[10:20]}.{KEY[20:30]}".encode(),
        b"ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        b"Bearer " + jwt(sub="canary").encode(),
        jwt(sub="canary").encode(),
    ],
)
@pytest.mark.parametrize("rule", [HEADER, TenantRule(claim="org", allow=frozenset({"acme"}))])
def test_o6_what_may_be_a_secret_is_not_shown(rule: TenantRule, named: bytes) -> None:
    """Nor any part of it: whatever is no tenant id, or looks like a key. It is none of our own labels either."""
    with pytest.raises(UnknownTenant) as raised:
        Tenants(rule).route(ROUTE, TEMPLATE, named)
    assert raised.value.tenant == NOT_SHOWN
    assert named.decode(errors="replace") not in str(raised.value)


@pytest.mark.parametrize(
    ("path", "tenant", "shown_as"),
    [
        ("/t/globex/x", "globex", "/t/globex/x"),
        ("/t/a:b/x/y", NOT_SHOWN, f"/t/{NOT_SHOWN}/x/y"),
        ("/t/a%2Fb/", NOT_SHOWN, f"/t/{NOT_SHOWN}/"),
        ("/t/a:b", NOT_SHOWN, f"/t/{NOT_SHOWN}/"),
    ],
)
def test_o6_a_path_shows_no_more_of_the_tenant(path: str, tenant: str, shown_as: str) -> None:
    """The rest of the path stays."""
    assert path_shown(path, tenant) == shown_as


@pytest.mark.parametrize("named", [None, b"", b" \t"])
def test_o6_a_request_that_names_none_has_no_unknown_tenant(named: bytes | None) -> None:
    """There is no name to look for: it remains a bad request."""
    with pytest.raises(RequestRefused, match=r"^no tenant: ") as raised:
        Tenants(HEADER).route(ROUTE, TEMPLATE, named)
    assert not isinstance(raised.value, UnknownTenant)


@given(st.binary(max_size=400))
def test_o6_whatever_is_named_is_fit_for_the_log(named: bytes) -> None:
    """A tenant id, or the text that there is none."""
    text = shown(named)
    assert text == NOT_SHOWN or (text.encode() == named and canonical(text))


@given(st.integers(0, 300))
def test_o6_no_part_of_a_token_is_shown(place: int) -> None:
    """Wherever it stands, cut or not."""
    assert KEY[:8] not in shown(b"a" * place + b" " + KEY.encode())
    assert "eyJ" not in shown(b"a " * (place // 2) + jwt(sub="canary" * 99).encode())


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def journal() -> RecordingJournal:
    return RecordingJournal()


@pytest.fixture
async def unknown(clock: FakeClock, journal: RecordingJournal) -> AsyncIterator[UnknownTenants]:
    unknown = UnknownTenants(clock, journal)
    running = asyncio.create_task(unknown.run())
    await clock.advance(1)
    yield unknown
    running.cancel()


async def test_o6_one_event_at_once_then_one_a_minute(
    unknown: UnknownTenants, clock: FakeClock, journal: RecordingJournal
) -> None:
    """Whatever clients invent, it fills neither the log nor the list of recent events."""
    unknown.add("ledger", "acmee")
    assert [event.values() for event in journal.events] == [
        {"route": "ledger", "tenant": "acmee", "count": 1}
    ]
    for number in range(10_000):
        unknown.add("ledger", f"t{number}")
        unknown.add("ledger", "globexx")
    assert len(journal.events) == 1
    await clock.advance(EVERY + 1)
    assert journal.events[-1].values()["count"] == 20_000
    assert journal.events[-1].values()["tenant"] in {"globexx", OTHER}
    assert len(journal.events) == 2
    await clock.advance(10 * EVERY)
    assert len(journal.events) == 2


async def test_o6_names_kept_apart_are_bounded(
    unknown: UnknownTenants, clock: FakeClock, journal: RecordingJournal
) -> None:
    """Of very many different names none is shown: they share one."""
    unknown.add("ledger", "first")
    for number in range(MOST + 50):
        unknown.add("ledger", f"t{number}")
    await clock.advance(EVERY + 1)
    assert journal.events[-1].values() == {"route": "ledger", "tenant": OTHER, "count": MOST + 50}
