"""Tokens age; token requests have keys."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.keys import PrivateKey
from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tls import Tls
from sidecar.core.token import Assertion, Freshness, Presented, TokenRequest, bearer

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
    assert token.freshness(now, 0.0) is expected
    assert token.fresh_until <= token.expires_at


def test_the_field_value_is_ready_and_never_printed() -> None:
    """Built once for the wire; no repr shows it."""
    token = bearer(Secret("canary", "fp"), fetch_began=0, life=60, leeway=0)
    assert token.authorization == b"Bearer canary"
    assert "canary" not in repr(token)


@pytest.mark.parametrize(
    "other",
    [
        replace(REQUEST, scope=("a",)),
        replace(REQUEST, scope=("ab",)),
        replace(REQUEST, scope=("a b",)),
        replace(REQUEST, scope=("a", "b", "urn:1"), resource=()),
        replace(REQUEST, audience="", issuer="x"),
        replace(REQUEST, resource=()),
        replace(REQUEST, credentials="ledgerx", token_endpoint="https://auth.test/toke"),
        replace(REQUEST, parameters=(("a", "b"), ("c", "d"))),
        replace(REQUEST, parameters=(("a", "b', 'c"), ("c", "d"))),
        replace(REQUEST, tenant="a", service="m2m:b"),
    ],
)
def test_b69_neighbours_stay_apart(other: TokenRequest) -> None:
    """No two requests that could get different tokens share an entry, however their inputs are cut."""
    assert other.key != REQUEST.key


OTHERS: dict[str, object] = {
    "credentials": "other",
    "service": "other",
    "token_endpoint": "https://auth.test/token2",
    "issuer": "https://auth.test",
    "tls": Tls(certificate_file="/other"),
    "client": "other",
    "grant": "token_exchange",
    "client_auth": "none",
    "scope": ("b", "a"),
    "audience": "y",
    "resource": ("urn:2",),
    "parameters": (("a", "b"),),
    "private_key": PrivateKey(SecretFile("/key")),
    "assertion_file": "/assertion",
    "assertion_audience": "z",
    "subject": Presented(SecretFile("/s"), "whose", "urn:t"),
    "actor": Presented(SecretFile("/s"), "whose", "urn:t"),
    "requested_token_type": "urn:t",
    "assertion": Assertion(claims=(("a", "b"),)),
    "tenant": "acme",
}


def test_b69_every_input_is_in_the_key() -> None:
    """Each field by itself makes another key, but for the name, which only people read."""
    assert set(OTHERS) == {field.name for field in fields(TokenRequest)} - {"name"}
    keys = {replace(REQUEST, **{name: value}).key for name, value in OTHERS.items()}  # type: ignore[arg-type]
    assert len(keys | {REQUEST.key}) == len(OTHERS) + 1


def test_b69_whose_a_presented_token_is_decides() -> None:
    """Two subjects never share a token, wherever theirs came from."""
    one = replace(REQUEST, subject=Presented(SecretFile("/s"), "alice", "urn:t"))
    other = replace(REQUEST, subject=Presented(SecretFile("/s"), "bob", "urn:t"))
    assert one.key != other.key


def test_a_key_names_tenant_and_service_and_hides_the_rest() -> None:
    """The form other programs rely on."""
    assert REQUEST.key.startswith("m2m:ledger:token:")
    assert replace(REQUEST, tenant="acme").key.startswith("tenant:acme:m2m:ledger:token:")
    assert replace(REQUEST, name="other").key == REQUEST.key
