"""Tenant ids, and the token request of each tenant."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused
from sidecar.core.origin import Origin
from sidecar.core.tenants import TenantRule, canonical, split_path
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route
from sidecar.proxy.tenants import FEWEST_KNOWN, Tenants, claimed, foreseeable
from tests.support.unsigned_jwt import jwt

TEMPLATE = TokenRequest(
    name="ledger",
    token_endpoint="https://auth.test/{tenant}/token",
    credentials="c",
    service="c",
    audience="ledger-{tenant}",
)
ROUTE = Route("ledger", Origin("https", "ledger.test", 443), token=TEMPLATE)
UUID = "7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d"


def request(tenants: Tenants, named: bytes | None) -> TokenRequest:
    """The token request of a request that names the tenant so."""
    wanted = tenants.route(ROUTE, TEMPLATE, named).token
    assert wanted is not None
    return wanted


BAD = [
    "", " ", "a b", ".", "..", "a..b", "../a", "a/b", "a\\b", "a:b", "%2e%2e", "-a", "_a", ".a", "a\x00", "a\n",
    "{tenant}", "{" + UUID + "}", f"urn:uuid:{UUID}", "é", "a,b", "*", "a" * 65,
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("acme", "acme"),
        ("ACME", "ACME"),
        ("a.b-c_1", "a.b-c_1"),
        ("1", "1"),
        ("a" * 64, "a" * 64),
        (UUID, UUID),
        (UUID.upper(), UUID),
        (UUID.replace("-", "").upper(), UUID.replace("-", "").upper()),
    ],
)
def test_b67_an_id_has_one_form(text: str, id: str) -> None:  # noqa: A002
    """As it is, but for a UUID in capitals."""
    assert canonical(text) == id


@pytest.mark.parametrize("text", BAD)
def test_b67_what_could_lead_elsewhere_is_no_id(text: str) -> None:
    """Traversal, separators, templates, blanks, anything not plain."""
    with pytest.raises(ValueError, match="letters"):
        canonical(text)


@given(st.text(max_size=80))
def test_b67_an_id_never_leaves_its_place(text: str) -> None:
    """Whatever is taken is one segment of a name or a path, and taking it again changes nothing."""
    try:
        taken = canonical(text)
    except ValueError:
        return
    assert taken == canonical(taken)
    assert not set(taken) & set("/\\:{}%?#@ \t\r\n")
    assert ".." not in taken
    assert taken.isascii()


@pytest.mark.parametrize(
    ("path", "named", "rest"),
    [
        (b"/t/acme/x/y", b"acme", b"/x/y"),
        (b"/t/acme/", b"acme", b"/"),
        (b"/t/acme", b"acme", b"/"),
        (b"/t/acme//x", b"acme", b"//x"),
        (b"/t//x", b"", b"/x"),
        (b"/t/", b"", b"/"),
        (b"/t", None, b"/t"),
        (b"/team/acme", None, b"/team/acme"),
        (b"/x/t/acme", None, b"/x/t/acme"),
        (b"/", None, b"/"),
    ],
)
def test_b67_a_path_may_name_the_tenant(path: bytes, named: bytes | None, rest: bytes) -> None:
    """In its first segment after /t."""
    assert split_path(path) == (named, rest)


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        ({"org": "acme"}, b"acme"),
        ({"org": ""}, b""),
        ({"org": " acme"}, b" acme"),
        ({}, None),
        ({"Org": "acme"}, None),
        ({"org": None}, b""),
        ({"org": 7}, b""),
        ({"org": True}, b""),
        ({"org": ["acme"]}, b""),
        ({"org": {"id": "acme"}}, b""),
        ({"org": "\u0430cme"}, b"?cme"),
        ({"org": "\ud800"}, b"?"),
    ],
)
def test_b67_a_claim_may_name_the_tenant(claims: dict[str, object], named: bytes | None) -> None:
    """Text as it is; any other value names no tenant, which differs from a missing claim."""
    assert claimed(jwt(**claims), "org") == named


def test_b67_each_tenant_has_a_request_of_its_own() -> None:
    """Templates are filled in, and no two share a key."""
    tenants = Tenants(TenantRule(header=b"x-tenant-id"))
    acme, globex = (request(tenants, name) for name in (b"acme", b"globex"))
    assert (acme.tenant, acme.token_endpoint, acme.audience) == (
        "acme",
        "https://auth.test/acme/token",
        "ledger-acme",
    )
    assert acme.key.startswith("tenant:acme:m2m:c:token:")
    assert acme.key != globex.key
    assert request(tenants, b"acme") is acme


def test_b67_spellings_of_a_uuid_share_a_key() -> None:
    """One tenant, one token."""
    tenants = Tenants(TenantRule(path=True))
    spelt = {request(tenants, name.encode()).key for name in (UUID, UUID.upper())}
    assert len(spelt) == 1


@pytest.mark.parametrize(
    ("rule", "named", "expected"),
    [
        (TenantRule(header=b"x"), None, "no tenant"),
        (TenantRule(header=b"x"), b"", "holds no id"),
        (TenantRule(header=b"x", default="acme"), b"", "holds no id"),
        (TenantRule(header=b"x"), b"\xff", "use ASCII"),
        (TenantRule(header=b"x"), b"a, b", "use at most 64 letters"),
        (TenantRule(header=b"x", allow=frozenset({"acme"})), b"globex", "not in tenant.allow"),
        (TenantRule(path=True), None, "the path"),
        (TenantRule(claim="org"), None, "the claim org"),
    ],
)
def test_b67_who_is_nobody_is_refused(rule: TenantRule, named: bytes | None, expected: str) -> None:
    """Absent without a default, blank, rubbish, not allowed: 400."""
    with pytest.raises(RequestRefused, match=expected) as raised:
        request(Tenants(rule), named)
    assert raised.value.status == 400


def test_b67_absent_is_the_default() -> None:
    """If there is one; the start warms up for it too."""
    rule = TenantRule(header=b"x", default="acme")
    assert request(Tenants(rule), None).tenant == "acme"
    assert [each.tenant for each in foreseeable([TEMPLATE], rule)] == ["acme"]
    assert foreseeable([TEMPLATE], TenantRule(header=b"x")) == set()
    assert foreseeable([TEMPLATE], None) == {TEMPLATE}


@pytest.mark.parametrize(
    ("rule", "invented"),
    [
        (TenantRule(header=b"x"), {"acme", "globex"}),
        (TenantRule(path=True, default="acme"), {"globex"}),
        (TenantRule(header=b"x", allow=frozenset({"acme", "globex"})), set()),
        (TenantRule(claim="org"), set()),
    ],
)
def test_b84_who_may_have_been_invented(rule: TenantRule, invented: set[str]) -> None:
    """Neither a tenant that the configuration knows, nor one that an issuer vouches for."""
    assert {name for name in ("acme", "globex") if rule.invented(name)} == invented


@pytest.mark.parametrize(("max_tokens", "kept"), [(1, FEWEST_KNOWN), (10_000, 10_000)])
def test_b84_invented_tenants_do_not_grow_memory(max_tokens: int, kept: int) -> None:
    """What is ready is bounded."""
    tenants = Tenants(TenantRule(header=b"x"), max_tokens)
    for number in range(kept + 100):
        request(tenants, b"t%d" % number)
    assert len(tenants._known) == len(tenants._requests) == kept


def test_s18_as_many_tenants_are_ready_as_tokens_are_in_memory() -> None:
    """None of 10,000 is made again at its second request."""
    tenants = Tenants(TenantRule(header=b"x"), 10_000)
    names = [b"t%d" % number for number in range(10_000)]
    first = [request(tenants, name) for name in names]
    assert all(request(tenants, name) is made for name, made in zip(names, first, strict=True))


def test_s18_routes_with_the_same_token_share_its_requests() -> None:
    """They are not made again where routes and tenants are more than are kept together; other tokens' are others."""
    tenants = Tenants(TenantRule(header=b"x"))
    others = [replace(ROUTE, name=f"r{number}") for number in range(3)]
    names = [b"t%d" % number for number in range(FEWEST_KNOWN)]
    first = [request(tenants, name) for name in names]
    for route in others:
        for name, made in zip(names, first, strict=True):
            assert tenants.route(route, TEMPLATE, name).token is made
    other = replace(TEMPLATE, name="other", audience="other-{tenant}")
    found = tenants.route(replace(ROUTE, name="other", token=other), other, b"t4000").token
    assert found is not None
    assert found.audience == "other-t4000"
