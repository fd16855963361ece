"""Tenants that are not served: what the log calls them, how often, and what never gets there."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused, UnknownTenant
from sidecar.core.origin import Origin
from sidecar.core.rate_limit import EVERY
from sidecar.core.tenants import TenantRule
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route
from sidecar.proxy.tenants import Tenants
from sidecar.proxy.unknown_tenants import LONGEST, MOST, OTHER, UnknownTenants, shown
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal
from tests.support.unsigned_jwt import jwt

TEMPLATE = TokenRequest("ledger", token_endpoint="https://auth.test/token", credentials="c", service="c")
ROUTE = Route("ledger", Origin("https", "ledger.test", 443), token=TEMPLATE)
HEADER = TenantRule(header=b"x", allow=frozenset({"acme"}))
KEY = "0aB1c2D3e4F5g6H7i8J9k0L1m2N3o4P5"


@pytest.mark.parametrize(
    ("rule", "named", "tenant"),
    [
        (HEADER, b"acmee", "acmee"),
        (HEADER, b"ACME", "ACME"),
        (HEADER, b"a, b", "a, b"),
        (HEADER, b"../acme", "../acme"),
        (HEADER, b" acme", "acme"),
        (HEADER, b"a\x1b[31m\x00b", "a[31mb"),
        (HEADER, "caf\u00e9".encode(), "caf\u00e9"),
        (HEADER, b"\xff", "\ufffd"),
        (HEADER, b"a." * 40, "a." * 31 + "a\u2026"),
        (HEADER, b"7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d", "7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d"),
        (TenantRule(path=True), b"%2e%2e", "%2e%2e"),
        (TenantRule(claim="org", allow=frozenset({"acme"})), b"globex", "globex"),
        (HEADER, KEY.encode(), "[removed]"),
        (HEADER, b"Bearer " + jwt(sub="canary").encode(), "Bearer [removed]"),
    ],
)
def test_o6_an_unknown_tenant_is_named(rule: TenantRule, named: bytes, tenant: str) -> None:
    """As the request named it: bounded, on one line, and without what looks like a token or a key."""
    with pytest.raises(UnknownTenant) as raised:
        Tenants(rule).route(ROUTE, TEMPLATE, named)
    assert (raised.value.tenant, raised.value.status) == (tenant, 400)


@pytest.mark.parametrize("named", [None, b"", b" \t"])
def test_o6_a_request_that_names_none_has_no_unknown_tenant(named: bytes | None) -> None:
    """There is no name to look for: it remains a bad request."""
    with pytest.raises(RequestRefused, match=r"^no tenant: ") as raised:
        Tenants(HEADER).route(ROUTE, TEMPLATE, named)
    assert not isinstance(raised.value, UnknownTenant)


@given(st.binary(max_size=400))
def test_o6_whatever_is_named_is_fit_for_the_log(named: bytes) -> None:
    """A line of at most so many characters."""
    text = shown(named)
    assert len(text) <= LONGEST
    assert text == "" or text.isprintable()


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
