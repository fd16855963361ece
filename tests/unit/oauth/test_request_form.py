"""Token requests as sent."""

import base64
from urllib.parse import parse_qsl, unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.secret import Secret, SecretFile
from sidecar.credentials.model import Credentials
from sidecar.oauth.request_form import TOKEN_TYPES, Carried, client_claims, encode, grant_claims, token_types
from sidecar.oauth.token import Assertion, ClientAuth, Presented, TokenRequest

CREDENTIALS = Credentials("me", Secret("hunter2"), 0.0)
CARRIED = Carried("proof", "subject", "actor")
SUBJECT = Presented(SecretFile("/s"), "s", TOKEN_TYPES["jwt"])
ACTOR = Presented(SecretFile("/a"), "a", "urn:example:type")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def request(client_auth: ClientAuth = "client_secret_basic", **more: object) -> TokenRequest:
    return TokenRequest(
        name="ledger",
        token_endpoint="https://auth.test/token",
        credentials="ledger",
        service="ledger",
        client_auth=client_auth,
        **more,  # type: ignore[arg-type]
    )


def form_of(request: TokenRequest) -> list[tuple[str, str]]:
    _, form = encode(request, CREDENTIALS, CARRIED)
    return parse_qsl(form, strict_parsing=True)


def test_basic_puts_the_credentials_into_the_header_only() -> None:
    """RFC 6749 section 2.3.1, first form."""
    headers, form = encode(request(), CREDENTIALS)
    assert headers["Authorization"] == "Basic " + base64.b64encode(b"me:hunter2").decode()
    assert parse_qsl(form) == [("grant_type", "client_credentials")]


@given(st.text(min_size=1), st.text(min_size=1))
def test_basic_encodes_id_and_secret_before_base64(client_id: str, secret: str) -> None:
    """Colons, percent signs, spaces and other scripts survive; the first colon always parts the two."""
    headers, _ = encode(request(), Credentials(client_id, Secret(secret), 0.0))
    decoded = base64.b64decode(headers["Authorization"].removeprefix("Basic ")).decode("ascii")
    left, _, right = decoded.partition(":")
    assert (unquote_plus(left), unquote_plus(right)) == (client_id, secret)


@pytest.mark.parametrize(
    ("client_auth", "proof"),
    [
        ("client_secret_post", {"client_secret": "hunter2"}),
        ("private_key_jwt", {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "proof"}),
        ("client_assertion_file", {"client_assertion_type": ASSERTION_TYPE, "client_assertion": "proof"}),
        ("tls_client_auth", {}),
        ("none", {}),
    ],
)
def test_b62_every_other_method_names_the_client_in_the_form(
    client_auth: ClientAuth, proof: dict[str, str]
) -> None:
    """RFC 6749 section 2.3.1 second form, RFC 7523 section 2.2, RFC 8705 section 2; a secret only where it is one."""
    headers, form = encode(request(client_auth), CREDENTIALS, CARRIED)
    assert "Authorization" not in headers
    assert dict(parse_qsl(form)) == {"grant_type": "client_credentials", "client_id": "me", **proof}


def test_b65_scope_audience_every_resource_and_parameters_of_ones_own_are_in_the_form() -> None:
    """Scopes joined by spaces, resources repeated (RFC 8707)."""
    wanted = request(
        scope=("a.read", "b.write"),
        audience="x",
        resource=("urn:1", "urn:2"),
        parameters=(("organization", "org & co"), ("x", "")),
    )
    _, form = encode(wanted, CREDENTIALS)
    assert parse_qsl(form, keep_blank_values=True)[1:] == [
        ("scope", "a.read b.write"),
        ("audience", "x"),
        ("resource", "urn:1"),
        ("resource", "urn:2"),
        ("organization", "org & co"),
        ("x", ""),
    ]


def test_b63_an_exchange_presents_subject_and_actor_with_their_types() -> None:
    """RFC 8693 section 2.1."""
    wanted = request(
        grant="token_exchange", subject=SUBJECT, actor=ACTOR, requested_token_type=TOKEN_TYPES["id_token"]
    )
    assert form_of(wanted) == [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", "subject"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("actor_token", "actor"),
        ("actor_token_type", "urn:example:type"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:id_token"),
    ]
    assert [name for name, _ in form_of(request(grant="token_exchange", subject=SUBJECT))] == [
        "grant_type",
        "subject_token",
        "subject_token_type",
    ]


def test_b65_a_jwt_bearer_grant_presents_its_assertion() -> None:
    """RFC 7523 section 2.1, with scopes (section 2 of RFC 7521)."""
    wanted = request("none", grant="jwt_bearer", subject=SUBJECT, scope=("a",))
    assert form_of(wanted) == [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", "subject"),
        ("scope", "a"),
        ("client_id", "me"),
    ]


def test_assertions_say_who_we_are_and_for_whom_they_are() -> None:
    """RFC 7523 section 3; the operator's own claims never take the place of these."""
    assert client_claims("me", "aud") == {"iss": "me", "sub": "me", "aud": "aud"}
    assert grant_claims(Assertion(), "me", "aud") == {"iss": "me", "sub": "me", "aud": "aud"}
    own = Assertion("i", "s", "a", claims=(("scope", "x"), ("sub", "mallory")))
    assert grant_claims(own, "me", "aud") == {"iss": "i", "sub": "s", "aud": "a", "scope": "x"}


@pytest.mark.parametrize(
    ("requested", "types"),
    [
        ("", {"bearer"}),
        (TOKEN_TYPES["access_token"], {"bearer"}),
        (TOKEN_TYPES["jwt"], {"bearer", "n_a"}),
    ],
)
def test_an_answer_is_of_the_type_asked_for(requested: str, types: set[str]) -> None:
    """Only a request for another type than an access token may get `N_A`."""
    assert token_types(request(requested_token_type=requested)) == types


def test_what_a_request_carries_never_prints() -> None:
    """Tokens of others, and proofs of ours."""
    assert repr(CARRIED) == "Carried()"
