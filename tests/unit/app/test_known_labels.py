"""Labels of a bust that the configuration does not have: warnings with what was probably meant."""

import re

import pytest

from sidecar.app.known_labels import check, not_found, unknown
from sidecar.config.settings import Config
from sidecar.core.errors import NothingToBust
from sidecar.core.labels import parse_selector
from sidecar.core.origin import Origin
from sidecar.core.tenants import TenantRule
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route

UUID = "7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d"
SPELLING = "check the spelling"


def token(name: str, service: str, tenant: str = "", scope: tuple[str, ...] = ()) -> TokenRequest:
    return TokenRequest(
        name=name, credentials=f"{service}-secret", service=service, tenant=tenant, scope=scope
    )


LEDGER = token("ledger", "ledger-client", scope=("ledger.read", "ledger.write"))
ROUTES = (Route("books", Origin("https", "ledger.test", 443), token=LEDGER),)


def config(rule: TenantRule | None = None, *tokens: TokenRequest) -> Config:
    named = {each.name: each for each in tokens or (LEDGER, token("orders", "orders-client"))}
    return Config(tokens=named, tenants=rule, routes=ROUTES)


FIXED = config(None, token("ledger", "ledger-client", "acme"))
LISTED = config(TenantRule(b"x-tenant", allow=frozenset({"acme", "globex", UUID})))
ANYBODY = config(TenantRule(path=True, default="acme"))
CLAIMED = config(TenantRule(claim="org", allow=frozenset({"acme"})))
CROWDED = config(TenantRule(path=True, allow=frozenset(f"tenant-{number}" for number in range(9000))))


@pytest.mark.parametrize(
    ("settings", "labels", "reason"),
    [
        (LISTED, {"tenant": "acmee"}, "this pod's tenant.allow does not contain it; did you mean acme?"),
        (LISTED, {"tenant": "ACME"}, "this pod's tenant.allow does not contain it; did you mean acme?"),
        (LISTED, {"tenant": "glob"}, "this pod's tenant.allow does not contain it; did you mean globex?"),
        (
            LISTED,
            {"tenant": "zzz"},
            f"this pod's tenant.allow does not contain it; it has {UUID}, acme, globex",
        ),
        (CLAIMED, {"tenant": "acm"}, "this pod's tenant.allow does not contain it; did you mean acme?"),
        (
            CROWDED,
            {"tenant": "tenat-12"},
            "this pod's tenant.allow does not contain it; did you mean tenant-12?",
        ),
        (CROWDED, {"tenant": "q"}, f"this pod's tenant.allow does not contain it; {SPELLING}"),
        (FIXED, {"tenant": "acne"}, "configuration has no such tenant; did you mean acme?"),
        (FIXED, {"tenant": "globex"}, "configuration has no such tenant; it has acme"),
        (config(), {"tenant": "acme"}, "this pod's configuration has no tenants"),
        (LISTED, {"service": "ledger-cleint"}, "has no such service; did you mean ledger-client?"),
        (LISTED, {"service": "LEDGER-CLIENT"}, "has no such service; did you mean ledger-client?"),
        (ANYBODY, {"service": "zzz"}, "has no such service; it has ledger-client, orders-client"),
        (LISTED, {"service": "ledger"}, "did you mean ledger-client, the service of token ledger?"),
        (LISTED, {"service": "books"}, "did you mean ledger-client, the service of route books?"),
        (
            LISTED,
            {"service": "ledger.write"},
            "did you mean ledger-client, the service of scope ledger.write?",
        ),
        (
            LISTED,
            {"service": "orders-client-secret"},
            "did you mean orders-client, the service of credentials orders-client-secret?",
        ),
        (Config(), {"service": "ledger"}, "this pod's configuration requests no tokens"),
    ],
)
def test_o8_what_the_configuration_does_not_have_is_a_warning(
    settings: Config, labels: dict[str, str], reason: str
) -> None:
    """With the label, and what was probably meant. The bust is not refused."""
    [(name, value)] = labels.items()
    selector = parse_selector(labels)
    check(selector)
    [warning] = unknown(settings, selector)
    assert warning.startswith(f"{name}={value}: ")
    assert reason in warning


@pytest.mark.parametrize("tenant", ["a b", "../etc", "x" * 65, "a..b", "-a", "_other", "\N{SNOWMAN}", "a/b"])
def test_o8_what_is_no_tenant_id_is_refused(tenant: str) -> None:
    """No pod of any configuration has such a tenant."""
    with pytest.raises(
        NothingToBust, match=f"cannot bust tenant={re.escape(tenant)}: it is not a tenant id; use at most 64"
    ):
        check(parse_selector({"tenant": tenant, "user": "alice"}))


@pytest.mark.parametrize(
    ("settings", "labels"),
    [
        (LISTED, {}),
        (LISTED, {"tenant": "acme"}),
        (LISTED, {"tenant": UUID.upper()}),
        (LISTED, {"tenant": "acme", "service": "ledger-client", "user": "nobody"}),
        (LISTED, {"user": "x", "jti": "1", "team": "y", "role": "z"}),
        (CLAIMED, {"tenant": "acme"}),
        (ANYBODY, {"tenant": "acmee"}),
        (ANYBODY, {"tenant": "acme"}),
        (FIXED, {"tenant": "acme"}),
        (config(), {"service": "orders-client"}),
        (Config(), {"user": "alice"}),
        (Config(), {}),
    ],
)
def test_o8_what_a_token_may_carry_is_no_warning(settings: Config, labels: dict[str, str]) -> None:
    """Also if the configuration cannot know: tenants without `allow`, and labels that only tokens carry."""
    check(parse_selector(labels))
    assert list(unknown(settings, parse_selector(labels))) == []


def test_o8_each_unknown_label_is_named() -> None:
    """A warning for each."""
    assert unknown(
        LISTED, parse_selector({"tenant": "acmee", "service": "ledgr-client", "user": "alice"})
    ) == [
        "tenant=acmee: this pod's tenant.allow does not contain it; did you mean acme?",
        "service=ledgr-client: this pod's configuration has no such service; did you mean ledger-client?",
    ]


@pytest.mark.parametrize(
    ("settings", "labels", "reason"),
    [
        (LISTED, {"tenant": "acmee"}, "with tenant=acmee: this pod's tenant.allow does not contain it; did you"),
        (LISTED, {"service": "ledger"}, "configuration has no such service; did you mean ledger-client,"),
        (LISTED, {"tenant": "acme"}, "has no token with tenant=acme; it fetches one for the first request"),
        (FIXED, {"tenant": "globex"}, "configuration has no such tenant; it has acme"),
        (config(), {"tenant": "acme"}, "configuration has no tenants"),
        (ANYBODY, {"tenant": "initec"}, "has no token with tenant=initec; did you mean initech?"),
        (ANYBODY, {"tenant": "INITECH"}, "has no token with tenant=INITECH; did you mean initech?"),
        (ANYBODY, {"tenant": "zzz"}, "has no token with tenant=zzz; it fetches one"),
        (ANYBODY, {"tenant": "a b"}, "it is not a tenant id"),
        (ANYBODY, {"service": "orders-client"}, "has no token with service=orders-client; it fetches one"),
        (ANYBODY, {"tenant": "initech", "service": "orders-client"},
         "has no token with tenant=initech service=orders-client; it fetches"),
    ],
)  # fmt: skip
def test_a_selection_without_tokens_has_a_reason(
    settings: Config, labels: dict[str, str], reason: str
) -> None:
    """By the configuration, else by the tenants of the tokens that the pod has."""
    told = not_found(settings, parse_selector(labels), ["", "initech", "umbrella"])
    assert told.startswith("this pod ")
    assert reason in told


@pytest.mark.parametrize(
    "wrong", ["tenat-7512", "tenant-75112", "Tenant-7512", "tenatn-7512", "enant-7512", "tenant_7512"]
)
def test_o8_a_typing_error_is_found_among_any_number_of_tenants(wrong: str) -> None:
    """Wherever in the name it is, and wherever the name is in the list."""
    [warning] = unknown(CROWDED, parse_selector({"tenant": wrong}))
    assert re.search(r"; did you mean tenant-7511?2\?$", warning)
