"""Whose fault a refused token request is, and what is advised."""

from dataclasses import replace

import pytest

from sidecar.core.errors import TokenRefused
from sidecar.core.secret import Secret, SecretFile
from sidecar.oauth.refusals.causes import is_of_caller, is_of_configuration
from sidecar.oauth.refusals.hints import hint
from sidecar.oauth.refusals.proven import ProvenEntries, ProvingSource
from sidecar.oauth.token import Assertion, FetchReason, Grant, Presented, Token, TokenRequest, bearer

CALLER = Presented(Secret("canary"), "alice", "urn:ietf:params:oauth:token-type:access_token")
PLAIN = TokenRequest("ledger", "app", "app", token_endpoint="https://auth.test/token")
EXCHANGE = replace(PLAIN, grant="token_exchange", subject=CALLER)
ASSERTION = replace(PLAIN, grant="jwt_bearer", subject=CALLER)
OF_A_FILE = replace(EXCHANGE, subject=replace(CALLER, where=SecretFile("/token")))
FROM_A_FILE = replace(ASSERTION, client_auth="client_assertion_file")


def refusal(code: str, description: str = "") -> TokenRefused:
    return TokenRefused("refused", code, of_request=True, description=description)


@pytest.mark.parametrize(
    ("request_", "code", "description", "of_caller"),
    [
        (EXCHANGE, "access_denied", "Client is not within the token audience", True),
        (EXCHANGE, "access_denied", "", True),
        (EXCHANGE, "access_denied", "the user account is disabled", True),
        (EXCHANGE, "access_denied", "User disabled", True),
        (ASSERTION, "access_denied", "", True),
        (ASSERTION, "jti_known", "the JWT was used already", True),
        (EXCHANGE, "jti_known", "", True),
        (EXCHANGE, "invalid_grant", "", True),
        (EXCHANGE, "invalid_token", "the token has expired", True),
        (EXCHANGE, "invalid_request", "Invalid token", True),
        (
            replace(PLAIN, grant="token_exchange", subject=OF_A_FILE.subject, actor=CALLER),
            "access_denied",
            "",
            True,
        ),
        (EXCHANGE, "access_denied", "Realm not enabled", False),
        (EXCHANGE, "access_denied", "the realm 'main' is disabled", False),
        (EXCHANGE, "access_denied", "Client disabled", False),
        (EXCHANGE, "invalid_request", "Client is not enabled", False),
        (EXCHANGE, "access_denied", "Client not allowed to exchange", False),
        (EXCHANGE, "invalid_grant", "AADSTS7000112: Application 'x'(orders) is disabled", False),
        (EXCHANGE, "access_denied", "this application has been suspended", False),
        (EXCHANGE, "access_denied", "disabled client", False),
        (EXCHANGE, "access_denied", "CLIENT_DISABLED", False),
        (EXCHANGE, "access_denied", "Client 'user-api' is not active", False),
        (EXCHANGE, "invalid_grant", "Token exchange failed: the client session-store is disabled", False),
        (EXCHANGE, "access_denied", "Client is not authorized to exchange", False),
        (EXCHANGE, "invalid_grant", "Client session not active", True),
        (EXCHANGE, "invalid_token", "tenant: session not active", True),
        (EXCHANGE, "access_denied", "token not allowed for client: user disabled", True),
        (EXCHANGE, "access_denied", "User of client orders is not active", True),
        (EXCHANGE, "invalid_grant", "The user account for tenant acme is disabled", True),
        (EXCHANGE, "invalid_grant", "application grant is not active", True),
        (EXCHANGE, "invalid_grant", "Client orders: subject token is not active", True),
        (EXCHANGE, "invalid_client", "", False),
        (EXCHANGE, "unauthorized_client", "", False),
        (EXCHANGE, "unsupported_token_type", "", False),
        (EXCHANGE, "invalid_target", "", False),
        (EXCHANGE, "", "", False),
        (FROM_A_FILE, "jti_known", "our own assertion, sent twice", False),
        (OF_A_FILE, "access_denied", "", False),
        (OF_A_FILE, "invalid_grant", "", False),
        (PLAIN, "access_denied", "", False),
    ],
)
def test_i1_whose_fault_a_refusal_is(
    request_: TokenRequest, code: str, description: str, of_caller: bool
) -> None:
    """A caller's only where its token was presented, and the server does not call the realm or client disabled."""
    assert is_of_caller(request_, refusal(code, description), proven=True) is of_caller


CONFIGURED = ("invalid_request", "unauthorized_client", "unsupported_grant_type", "unsupported_token_type")


@pytest.mark.parametrize("request_", [EXCHANGE, OF_A_FILE])
@pytest.mark.parametrize("code", CONFIGURED)
def test_i2_until_an_exchange_succeeds_the_configuration_is_suspected(
    request_: TokenRequest, code: str
) -> None:
    """Not enabled for the client, a wrong subject.type: no caller could do better. The advice says so."""
    refused = refusal(code, "Standard token exchange is not enabled for the requested client")
    assert not is_of_caller(request_, refused, proven=False)
    assert is_of_configuration(request_, refused, proven=False)
    assert not is_of_configuration(request_, refused, proven=True)
    advice = hint(request_, refused, proven=False, skew=None)
    assert "no token was ever obtained for this entry" in advice
    assert "subject.type, requested_token_type" in advice
    assert "no token was ever" not in hint(request_, refused, proven=True, skew=None)


@pytest.mark.parametrize("code", ["invalid_grant", "invalid_token", "access_denied", "jti_known"])
def test_i2_other_codes_speak_of_the_caller_from_the_start(code: str) -> None:
    """Else any client could raise an alert in a pod that has just started."""
    assert is_of_caller(EXCHANGE, refusal(code), proven=False)
    assert not is_of_configuration(EXCHANGE, refusal(code), proven=False)


@pytest.mark.parametrize("grant", ["client_credentials", "token_exchange", "jwt_bearer"])
def test_i2_only_exchanges_can_be_unproven(grant: Grant) -> None:
    """A client_credentials request has no caller to blame in the first place."""
    found = is_of_configuration(replace(PLAIN, grant=grant), refusal("invalid_request"), proven=False)
    assert found is (grant != "client_credentials")


class Source:
    """Gives a token, unless it is set to fail."""

    error: TokenRefused | None = None

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        if self.error is not None:
            raise self.error
        return bearer(Secret("canary"), fetch_began=0.0, life=60, leeway=6)


async def test_i2_a_token_from_anywhere_proves_its_entry() -> None:
    """Also one that another pod of the fleet fetched; a refusal proves nothing."""
    source, proven = Source(), ProvenEntries({"ledger": EXCHANGE, "other": EXCHANGE})
    proving = ProvingSource(source, proven)
    source.error = refusal("invalid_request")
    with pytest.raises(TokenRefused):
        await proving.token(EXCHANGE, newer_than=0.0, reason="cold")
    assert "ledger" not in proven
    source.error = None
    await proving.token(replace(EXCHANGE, tenant="stranger"), newer_than=0.0, reason="cold")
    assert ("ledger" in proven, "other" in proven) == (True, False)


def test_i2_what_is_known_of_an_entry_lasts_as_long_as_the_entry() -> None:
    """Nothing is kept of entries that are gone or changed, nor of names that are not configured."""
    first = ProvenEntries({"same": EXCHANGE, "changed": EXCHANGE, "gone": EXCHANGE})
    for name in ("same", "changed", "gone", "stranger"):
        first.add(name)
    second = first.under({"same": EXCHANGE, "changed": OF_A_FILE, "stranger": EXCHANGE})
    names = ("same", "changed", "gone", "stranger")
    assert [name in second for name in names] == [True, False, False, False]


KEYED = replace(PLAIN, token_endpoint="", issuer="https://auth.test", client_auth="private_key_jwt")
FROM_FILE = replace(PLAIN, client_auth="client_assertion_file", assertion_file="/var/run/assertion")
SIGNED = replace(
    PLAIN, token_endpoint="", issuer="https://auth.test", grant="jwt_bearer", assertion=Assertion()
)
HYDRA = "set assertion_audience to its URL"
ONCE = "the assertion in /var/run/assertion is sent with every token request"


@pytest.mark.parametrize(
    ("request_", "code", "advice"),
    [
        (KEYED, "invalid_client", HYDRA),
        (SIGNED, "invalid_grant", HYDRA),
        (replace(KEYED, assertion_audience="https://auth.test/token"), "invalid_client", ""),
        (replace(KEYED, token_endpoint="https://auth.test/token", issuer=""), "invalid_client", ""),
        (replace(SIGNED, assertion=Assertion(audience="https://auth.test/token")), "invalid_grant", ""),
        (KEYED, "invalid_scope", ""),
        (replace(PLAIN, issuer="https://auth.test"), "invalid_client", ""),
        (FROM_FILE, "invalid_client", ONCE),
        (FROM_FILE, "jti_known", ONCE),
        (FROM_FILE, "invalid_scope", ""),
    ],
)
def test_i4_i5_what_servers_hold_against_assertions_is_advised(
    request_: TokenRequest, code: str, advice: str
) -> None:
    """An audience that is the issuer, and an assertion that is sent twice; only where they can be the reason."""
    found = hint(request_, refusal(code), proven=False, skew=None)
    assert [text for text in (HYDRA, ONCE) if text in found] == ([advice] if advice else [])
