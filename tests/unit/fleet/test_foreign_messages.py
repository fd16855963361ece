"""Other programs' messages: each in its dialect means just the tokens it should."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.labels import parse_selector
from sidecar.fleet.foreign_messages import MAX_SIZE, read
from sidecar.fleet.settings import Dialect

ROTATED = {
    "event_id": "evt-1",
    "event_type": "tenant.credentials.rotated",
    "timestamp": "2026-03-01T12:00:00Z",
    "tenant_id": "org_01KHVKQQP6D2N4RDJK0ADEKQX1",
    "tenant_slug": "acme",
    "environment": "production",
    "payload": {
        "service_name": "plugin-pix",
        "credential_type": "m2m",
        "new_secret_path": "tenants/production/org_01KHVKQQP6D2N4RDJK0ADEKQX1/plugin-pix/m2m/ledger/credentials",
    },
}
TENANT = "org_01KHVKQQP6D2N4RDJK0ADEKQX1"


@pytest.mark.parametrize(
    ("message", "meant"),
    [
        ("user:alice@example.com", [{"user": "alice@example.com"}]),
        ("revoke:8f14e45f-ceea", [{"jti": "8f14e45f-ceea"}]),
        ("revoke:urn:jti:7", [{"jti": "urn:jti:7"}]),
        ("team:alice@example.com", [{"user": "alice@example.com"}, {"team": "alice@example.com"}]),
        ("teams:alice@example.com", [{"user": "alice@example.com"}]),
        ("membership:alice@example.com", [{"user": "alice@example.com"}]),
        ("team_roles:9c1f", [{"team": "9c1f"}]),
        ("team_roles:a:b", [{"team": "a:b"}]),
        ("role:admin", [{"role": "admin"}]),
        (
            "role:alice@example.com:9c1f",
            [{"role": "alice@example.com:9c1f"}, {"user": "alice@example.com", "team": "9c1f"}],
        ),
        ("role:a:b:9c1f", [{"role": "a:b:9c1f"}, {"user": "a:b", "team": "9c1f"}]),
        ("user::", [{"user": ":"}]),
    ],
)
def test_b53_the_gateways_messages_mean_labels(message: str, meant: list[dict[str, object]]) -> None:
    """Every kind it publishes; identifiers keep their colons, and `team:` is not `teams:`."""
    assert read("mcp-gateway", message.encode()) == tuple(parse_selector(labels) for labels in meant)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "malformed"),
        (b"user", "malformed"),
        (b"user:", "malformed"),
        (b"user:\n", "malformed"),
        (b"user:" + b"x" * 300, "malformed"),
        (b"user:\xff", "malformed"),
        (b"registry:tools", "unknown"),
        (b"User:alice", "unknown"),
        (b":alice", "unknown"),
        (b'{"v":1,"kind":"token"}', "unknown"),
        (b"user:" + b"x" * MAX_SIZE, "too_large"),
    ],
)
def test_b44_odd_messages_of_the_gateway_are_refused(message: bytes, reason: str) -> None:
    """Above all an empty id, which must not select every user."""
    assert read("mcp-gateway", message) == reason


def test_b53_rotated_m2m_credentials_mean_one_tenants_tokens_for_one_service() -> None:
    """The secret's path says for which service the credentials are."""
    assert read("lerian", json.dumps(ROTATED).encode()) == (
        parse_selector({"tenant": TENANT, "service": "ledger"}),
    )


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        {"service_name": "ledger"},
        {"service_name": "ledger", "new_secret_path": "/secrets/tenant/t-123/db/v2"},
        {"new_secret_path": 7},
        "text",
    ],
)
def test_b53_other_rotated_credentials_mean_all_of_the_tenants_tokens(payload: object) -> None:
    """Where the message does not say which service, none may be missed."""
    message = {**ROTATED, "payload": payload}
    assert read("lerian", json.dumps(message).encode()) == (parse_selector({"tenant": TENANT}),)


@pytest.mark.parametrize(
    "kind", ["tenant.created", "tenant.suspended", "tenant.cache.invalidate", "tenant.connections.updated"]
)
def test_b53_other_events_of_a_tenant_mean_nothing_to_us(kind: str) -> None:
    """They are no mistake either."""
    assert read("lerian", json.dumps({**ROTATED, "event_type": kind}).encode()) == ()


@pytest.mark.parametrize(
    "message",
    [
        {},
        [],
        {**ROTATED, "event_type": None},
        {**ROTATED, "tenant_id": ""},
        {**ROTATED, "tenant_id": None},
        {**ROTATED, "tenant_id": ["a"]},
        {**ROTATED, "payload": {"new_secret_path": "m2m/\n/credentials"}},
    ],
)
def test_b44_odd_events_are_refused(message: object) -> None:
    """Without its tenant an event would mean every tenant's tokens."""
    assert read("lerian", json.dumps(message).encode()) == "malformed"


@given(st.sampled_from(("mcp-gateway", "lerian")), st.binary() | st.text().map(str.encode))
def test_b44_no_message_means_every_token(dialect: Dialect, payload: bytes) -> None:
    """Fuzzed messages raise nothing, and none of them makes an empty selector."""
    found = read(dialect, payload)
    assert isinstance(found, str) or all(found)
