"""Tokens age; token requests have keys."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.secret import Secret
from sidecar.core.token import Freshness, TokenRequest, bearer

REQUEST = TokenRequest(
    name="ledger",
    token_endpoint="https://auth.test/token",
    credentials="ledger",
    service="ledger",
    scope=("a", "b"),
    audience="x",
    resource=("urn:1",),
)


@pytest.mark.parametrize(
    ("life", "leeway", "fresh_for"),
    [
        (3600, 60, 3540),
        (3600, 300, 3540),
        (3600, 10, 3590),
        (20, 60, 10),
        (100, 60, 50),
        (120, 60, 60),
        (60, 0, 60),
    ],
)
def test_b09_the_leeway_is_at_most_a_minute_and_half_the_life(
    life: float, leeway: float, fresh_for: float
) -> None:
    """A short token is still worth caching."""
    token = bearer(Secret("t"), fetch_began=1000, life=life, leeway=leeway)
    assert token.fresh_until == 1000 + fresh_for
    assert token.expires_at == 1000 + life


@given(st.floats(-1e5, 1e5), st.floats(0, 1e4), st.floats(-1e5, 2e5))
def test_b07_a_token_past_its_expiry_is_stale(life: float, leeway: float, now: float) -> None:
    """Fresh, then aging, then stale, in that order at every moment."""
    token = bearer(Secret("t"), fetch_began=0, life=life, leeway=leeway)
    expected = (
        Freshness.STALE if now >= life else Freshness.FRESH if now < token.fresh_until else Freshness.AGING
    )
    assert token.freshness(now) is expected
    assert token.fresh_until <= token.expires_at


def test_the_field_value_is_ready_and_never_printed() -> None:
    """Built once for the wire; no repr shows it."""
    token = bearer(Secret("canary", "fp"), fetch_began=0, life=60, leeway=0)
    assert token.authorization == b"Bearer canary"
    assert "canary" not in repr(token)


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, token_endpoint="https://auth.test/token2"),
        replace(REQUEST, credentials="other"),
        replace(REQUEST, service="other"),
        replace(REQUEST, client_auth="none"),
        replace(REQUEST, scope=("a",)),
        replace(REQUEST, scope=("ab",)),
        replace(REQUEST, scope=("a b",)),
        replace(REQUEST, scope=("a", "b", "urn:1"), resource=()),
        replace(REQUEST, audience=""),
        replace(REQUEST, resource=()),
        replace(REQUEST, tenant="acme"),
        replace(REQUEST, credentials="ledgerx", token_endpoint="https://auth.test/toke"),
    ],
)
def test_b69_every_input_is_in_the_key(other: TokenRequest) -> None:
    """No two requests that could get different tokens share an entry."""
    assert other.key != REQUEST.key


def test_a_key_names_tenant_and_service_and_hides_the_rest() -> None:
    """The form other programs rely on."""
    assert REQUEST.key.startswith("m2m:ledger:token:")
    assert replace(REQUEST, tenant="acme").key.startswith("tenant:acme:m2m:ledger:token:")
    assert replace(REQUEST, name="other").key == REQUEST.key
