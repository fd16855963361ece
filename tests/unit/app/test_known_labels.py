"""What a bust may select by: labels that the configuration rules out are refused, with what was probably meant."""

import pytest

from sidecar.app.known_labels import MOST_COMPARED, check, not_found
from sidecar.config.settings import Config
from sidecar.core.errors import NothingToBust
from sidecar.core.labels import parse_selector
from sidecar.core.origin import Origin
from sidecar.core.tenants import TenantRule
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route

UUID = "7d9f6f43-8c3a-4a5f-9c1e-2f6f3a1b0c9d"
ELSEWHERE = "check the spelling, or use a pod whose configuration has it"


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
        (LISTED, {"tenant": "acmee"}, "tenant.allow does not contain it; did you mean acme?"),
        (LISTED, {"tenant": "ACME"}, "tenant.allow does not contain it; did you mean acme?"),
        (LISTED, {"tenant": "glob"}, "tenant.allow does not contain it; did you mean globex?"),
        (LISTED, {"tenant": "zzz"}, f"tenant.allow does not contain it; use {UUID} or acme or globex"),
        (LISTED, {"tenant": "a b"}, f"tenant.allow does not contain it; use {UUID} or acme or globex"),
        (CLAIMED, {"tenant": "acm"}, "tenant.allow does not contain it; did you mean acme?"),
        (CROWDED, {"tenant": "tenat-12"}, "tenant.allow does not contain it; did you mean tenant-12?"),
        (CROWDED, {"tenant": "\N{SNOWMAN}"}, f"tenant.allow does not contain it; {ELSEWHERE}"),
        (ANYBODY, {"tenant": "a b"}, "it is not a tenant id; use at most 64 letters, digits"),
        (ANYBODY, {"tenant": "../etc"}, "it is not a tenant id; use at most 64 letters, digits"),
        (ANYBODY, {"tenant": "x" * 65}, "it is not a tenant id; use at most 64 letters, digits"),
        (FIXED, {"tenant": "acne"}, "the configuration has no such tenant; did you mean acme?"),
        (FIXED, {"tenant": "globex"}, "the configuration has no such tenant; use acme"),
        (config(), {"tenant": "acme"}, "the configuration has no tenants; select by other labels"),
        (LISTED, {"service": "ledger-cleint"}, "has no such service; did you mean ledger-client?"),
        (LISTED, {"service": "LEDGER-CLIENT"}, "has no such service; did you mean ledger-client?"),
        (ANYBODY, {"service": "zzz"}, "has no such service; use ledger-client or orders-client"),
        (LISTED, {"service": "ledger"}, "use ledger-client, the service of token ledger"),
        (LISTED, {"service": "books"}, "use ledger-client, the service of route books"),
        (LISTED, {"service": "ledger.write"}, "use ledger-client, the service of scope ledger.write"),
        (
            LISTED,
            {"service": "orders-client-secret"},
            "use orders-client, the service of credentials orders-client-secret",
        ),
        (Config(), {"service": "ledger"}, f"the configuration requests no tokens; {ELSEWHERE}"),
    ],
)
def test_o8_what_the_configuration_rules_out_is_refused(
    settings: Config, labels: dict[str, str], reason: str
) -> None:
    """With the label, why, and what to do."""
    [(name, value)] = labels.items()
    with pytest.raises(NothingToBust) as refused:
        check(settings, parse_selector(labels))
    assert str(refused.value).startswith(f"cannot bust {name}={value}: ")
    assert reason in str(refused.value)


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
def test_o8_what_a_token_may_carry_passes(settings: Config, labels: dict[str, str]) -> None:
    """Also if the configuration cannot know: tenants without `allow`, and labels that only tokens carry."""
    check(settings, parse_selector(labels))


@pytest.mark.parametrize(
    ("settings", "labels", "reason"),
    [
        (LISTED, {"tenant": "acmee"}, "with tenant=acmee: tenant.allow does not contain it; did you mean acme?"),
        (LISTED, {"service": "ledger"}, "the configuration has no such service; use ledger-client"),
        (LISTED, {"tenant": "acme"}, "has no token with tenant=acme; it fetches one for the first request"),
        (FIXED, {"tenant": "globex"}, "the configuration has no such tenant; use acme"),
        (config(), {"tenant": "acme"}, "the configuration has no tenants"),
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


def test_o8_each_wrong_label_is_named() -> None:
    """One answer for all of them."""
    with pytest.raises(NothingToBust) as refused:
        check(LISTED, parse_selector({"tenant": "acmee", "service": "ledgr-client", "user": "alice"}))
    assert str(refused.value) == (
        "cannot bust tenant=acmee: tenant.allow does not contain it; did you mean acme?; "
        "cannot bust service=ledgr-client: the configuration has no such service; did you mean ledger-client?"
    )


def test_o8_a_proposal_costs_the_same_for_any_number_of_tenants() -> None:
    """Of many names those are compared that begin like the unknown one."""
    names = [f"other-{number}" for number in range(MOST_COMPARED * 3)]
    rule = TenantRule(path=True, allow=frozenset([*names, "zebra-town"]))
    with pytest.raises(NothingToBust, match=r"did you mean zebra-town\?"):
        check(config(rule), parse_selector({"tenant": "zebra-twon"}))
