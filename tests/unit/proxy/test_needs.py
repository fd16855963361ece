"""Which token requests a configuration can make."""

from dataclasses import replace

import pytest

from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tenants import PLACE, TenantRule
from sidecar.core.tls import Tls
from sidecar.oauth.signing_keys import Verification
from sidecar.oauth.token import Assertion, FromRequest, Presented, TokenRequest
from sidecar.proxy.needs import Needs
from sidecar.proxy.tenants import for_tenant

LEDGER = TokenRequest(
    name="ledger",
    credentials="app",
    service="app",
    token_endpoint="https://auth.test/token",
    client="app",
    scope=("read",),
)
OF_TENANTS = replace(LEDGER, token_endpoint="https://auth.test/{tenant}/token", audience="ledger-{tenant}")
BROUGHT = Presented(FromRequest(b"x-caller"), "", "urn:jwt")
EXCHANGE = replace(LEDGER, grant="token_exchange", subject=BROUGHT)
CALLERS = replace(EXCHANGE, subject=Presented(Secret("canary"), "hash of the token", "urn:jwt"))
FROM_FILE = replace(EXCHANGE, subject=Presented(SecretFile("/token"), "alice", "urn:jwt"))
OF_BOB = replace(EXCHANGE, subject=Presented(SecretFile("/token"), "bob", "urn:jwt"))
ANY = TenantRule(header=b"x-tenant-id")
TWO = TenantRule(header=b"x-tenant-id", allow=frozenset({"acme", "globex"}))
DEFAULT = TenantRule(header=b"x-tenant-id", default="main", allow=frozenset({"acme"}))


@pytest.mark.parametrize(
    ("template", "rule", "request_", "needed"),
    [
        (LEDGER, None, LEDGER, True),
        (replace(LEDGER, scope=("write",)), None, LEDGER, False),
        (replace(LEDGER, token_endpoint="https://other.test/token"), None, LEDGER, False),
        (replace(LEDGER, token_endpoint="", issuer="https://auth.test"), None, LEDGER, False),
        (replace(LEDGER, audience="a"), None, LEDGER, False),
        (replace(LEDGER, resource=("https://a.test",)), None, LEDGER, False),
        (replace(LEDGER, client="another secret of the same name"), None, LEDGER, False),
        (replace(LEDGER, client_auth="client_secret_post"), None, LEDGER, False),
        (replace(LEDGER, tls=Tls(ca_file="/ca")), None, LEDGER, False),
        (replace(LEDGER, service="other"), None, LEDGER, False),
        (replace(LEDGER, tenant="acme"), None, LEDGER, False),
        (replace(LEDGER, tenant="acme"), None, replace(LEDGER, tenant="acme"), True),
        (OF_TENANTS, ANY, for_tenant(OF_TENANTS, "acme"), True),
        (OF_TENANTS, TWO, for_tenant(OF_TENANTS, "globex"), True),
        (OF_TENANTS, TWO, for_tenant(OF_TENANTS, "initech"), False),
        (OF_TENANTS, DEFAULT, for_tenant(OF_TENANTS, "main"), True),
        (OF_TENANTS, DEFAULT, for_tenant(OF_TENANTS, "globex"), False),
        (replace(OF_TENANTS, audience="a"), ANY, for_tenant(OF_TENANTS, "acme"), False),
        (LEDGER, ANY, for_tenant(OF_TENANTS, "acme"), False),
        (LEDGER, ANY, LEDGER, False),
        (LEDGER, None, for_tenant(LEDGER, "acme"), False),
        (EXCHANGE, None, CALLERS, True),
        (EXCHANGE, ANY, replace(CALLERS, tenant="acme"), True),
        (LEDGER, None, CALLERS, False),
        (EXCHANGE, None, LEDGER, False),
        (replace(EXCHANGE, actor=BROUGHT), None, CALLERS, False),
        (replace(EXCHANGE, subject=replace(BROUGHT, type="urn:saml")), None, CALLERS, False),
        (FROM_FILE, None, FROM_FILE, True),
        (FROM_FILE, None, CALLERS, False),
        (OF_BOB, None, FROM_FILE, False),
    ],
)  # fmt: skip
def test_o1_what_no_route_can_make_is_not_needed(
    template: TokenRequest, rule: TenantRule | None, request_: TokenRequest, needed: bool
) -> None:
    """The request itself where a route can make it, as are those kept without the caller's token; else None."""
    needs = Needs([template], rule)
    for kept in (request_, request_.anonymous):
        assert needs.current(kept) is (kept if needed else None)


def test_o1_a_caller_is_the_same_under_another_field_or_rule() -> None:
    """Neither decides which token it gets."""
    rule = Verification("https://issuer.test", "api")
    moved = replace(EXCHANGE, subject=replace(BROUGHT, where=FromRequest(b"x-user", rule)))
    assert Needs([moved], None).current(CALLERS) is CALLERS


def test_o1_a_token_under_another_name_is_the_same_token() -> None:
    """It goes on under a name that it has now: its own where it still has that."""
    a, b = (replace(LEDGER, name=name) for name in "ab")
    assert Needs([b, a], None).current(LEDGER) == a
    assert Needs([b, a], None).current(b) is b
    renamed = Needs([a], None).current(LEDGER)
    assert renamed is not None
    assert (renamed.name, renamed.key) == ("a", LEDGER.key)


@pytest.mark.parametrize(
    "template",
    [
        replace(LEDGER, token_endpoint=f"https://{PLACE}.auth.test/token"),
        replace(LEDGER, token_endpoint="", issuer=f"https://auth.test/{PLACE}"),
        replace(LEDGER, audience=PLACE),
        replace(LEDGER, scope=(PLACE,)),
        replace(LEDGER, resource=(f"https://a.test/{PLACE}",)),
        replace(LEDGER, parameters=(("tenant", PLACE),)),
        replace(LEDGER, assertion_file=f"/{PLACE}/assertion"),
        replace(LEDGER, assertion_audience=PLACE),
        replace(LEDGER, assertion=Assertion(subject=PLACE)),
        replace(LEDGER, client=PLACE),
    ],
)
def test_o1_wherever_a_template_names_the_tenant_its_requests_are_needed(template: TokenRequest) -> None:
    """Whatever of that `for_tenant` fills in."""
    made = for_tenant(template, "acme")
    assert Needs([template], ANY).current(made) is made


def test_o1_no_token_of_a_callers_is_kept_for_this() -> None:
    """Its identity is."""
    assert CALLERS.anonymous.subject == Presented(FromRequest(b""), "hash of the token", "urn:jwt")
    assert LEDGER.anonymous is LEDGER
    assert FROM_FILE.anonymous is FROM_FILE
