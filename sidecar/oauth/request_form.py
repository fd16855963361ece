"""What the sidecar sends to a token endpoint: the form of each grant and how we authenticate, without any I/O.

| grant              | what it sends besides scope, audience, resource and our own parameters                    |
| ------------------ | ----------------------------------------------------------------------------------------- |
| client_credentials | nothing (RFC 6749 section 4.4)                                                            |
| token_exchange     | subject and actor with their types, and the requested type (RFC 8693 section 2.1)         |
| jwt_bearer         | an assertion, from another issuer or signed by us (RFC 7523 section 2.1)                  |
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

from sidecar.credentials.model import Credentials
from sidecar.oauth.token import Assertion, Grant, TokenRequest
from sidecar.oauth.token_response import FORM_TYPE

ASSERTION_LIFE = 60.0
"""Seconds an assertion of ours lives: it is used at once, and a stolen one is of little use."""

GRANT_TYPES: Mapping[Grant, str] = {
    "client_credentials": "client_credentials",
    "token_exchange": "urn:ietf:params:oauth:grant-type:token-exchange",
    "jwt_bearer": "urn:ietf:params:oauth:grant-type:jwt-bearer",
}
TOKEN_TYPES = {
    name: f"urn:ietf:params:oauth:token-type:{name}"
    for name in ("access_token", "refresh_token", "id_token", "saml1", "saml2", "jwt")
}
"""The types of RFC 8693 section 3 by their short names."""
PROTOCOL_PARAMETERS = frozenset(
    {
        "grant_type", "scope", "audience", "resource", "client_id", "client_secret", "client_assertion",
        "client_assertion_type", "assertion", "subject_token", "subject_token_type", "actor_token",
        "actor_token_type", "requested_token_type",
    }
)  # fmt: skip
"""Parameters that the sidecar writes itself, and that no parameter of the operator's may replace."""

_USED = "jti_known"
"""Ory Hydra's code for a JWT that it has seen before."""
_NOT_ACCEPTED: Mapping[Grant, frozenset[str]] = {
    "client_credentials": frozenset(),
    "token_exchange": frozenset({"invalid_request", "invalid_grant", "invalid_token", _USED}),
    "jwt_bearer": frozenset({"invalid_grant", _USED}),
}
"""Error codes about the presented token (RFC 8693 section 2.2.2, RFC 7523 section 3.1), those of servers that predate
the RFC included.
"""
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_Pairs = Iterator[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Carried:
    """The values that were read, or signed, for one token request."""

    client_assertion: str = field(default="", repr=False)
    subject: str = field(default="", repr=False)
    """The subject token, or the assertion of a jwt_bearer grant."""
    actor: str = field(default="", repr=False)


_NOTHING = Carried()


def encode(
    request: TokenRequest, credentials: Credentials, carried: Carried = _NOTHING
) -> tuple[dict[str, str], str]:
    """Return header fields and form of a token request."""
    headers = {"Content-Type": FORM_TYPE, "Accept": "application/json"}
    client_id, secret = credentials.client_id, credentials.client_secret.reveal()
    if request.client_auth == "client_secret_basic":
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    form = [
        ("grant_type", GRANT_TYPES[request.grant]),
        *_grant(request, carried),
        *_wanted(request),
        *request.parameters,
        *_client(request, credentials, carried),
    ]
    return headers, urlencode(form)


def secrets_sent(credentials: Credentials, carried: Carried, headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return all secrets in a token request, in each form in which it carries them."""
    secret = credentials.client_secret.reveal()
    basic = headers.get("Authorization", "").removeprefix("Basic ")
    sent = (secret, quote_plus(secret), basic, carried.client_assertion, carried.subject, carried.actor)
    return tuple(text for text in sent if text)


def client_claims(client_id: str, audience: str) -> dict[str, object]:
    """Return the claims of an assertion that authenticates us (RFC 7523 section 3); the signer adds its life and id."""
    return {"iss": client_id, "sub": client_id, "aud": audience}


def grant_claims(assertion: Assertion, client_id: str, audience: str) -> dict[str, object]:
    """Return the claims of an assertion that is our grant (RFC 7523 section 3)."""
    return {
        **dict(assertion.claims),
        "iss": assertion.issuer or client_id,
        "sub": assertion.subject or client_id,
        "aud": assertion.audience or audience,
    }


def token_type(text: str) -> str:
    """Return the URI of a token type given by it or by its short name."""
    return TOKEN_TYPES.get(text, text)


def token_types(request: TokenRequest) -> frozenset[str]:
    """Return the `token_type`s, in lower case, of answers that fit the request.

    `N_A` means that the token issued is no access token (RFC 8693 section 2.2.1): fine where none was requested.
    """
    other = request.requested_token_type not in {"", TOKEN_TYPES["access_token"]}
    return frozenset({"bearer", "n_a"} if other else {"bearer"})


def blaming_caller(request: TokenRequest) -> frozenset[str]:
    """Return the error codes about the token of a request to us, rather than about our own credentials."""
    if not request.of_caller:
        return frozenset()
    codes = _NOT_ACCEPTED[request.grant]
    return codes - {_USED} if request.client_auth == "client_assertion_file" else codes


def _grant(request: TokenRequest, carried: Carried) -> _Pairs:
    match request.grant:
        case "token_exchange":
            for role, presented, token in (
                ("subject", request.subject, carried.subject),
                ("actor", request.actor, carried.actor),
            ):
                if presented is not None:
                    yield f"{role}_token", token
                    yield f"{role}_token_type", presented.type
            if request.requested_token_type:
                yield "requested_token_type", request.requested_token_type
        case "jwt_bearer":
            yield "assertion", carried.subject


def _wanted(request: TokenRequest) -> _Pairs:
    if request.scope:
        yield "scope", " ".join(request.scope)
    if request.audience:
        yield "audience", request.audience
    for resource in request.resource:
        yield "resource", resource


def _client(request: TokenRequest, credentials: Credentials, carried: Carried) -> _Pairs:
    if request.client_auth == "client_secret_basic":
        return  # the header holds all of it (RFC 6749 section 2.3.1)
    yield "client_id", credentials.client_id
    match request.client_auth:
        case "client_secret_post":
            yield "client_secret", credentials.client_secret.reveal()
        case "private_key_jwt" | "client_assertion_file":
            yield "client_assertion_type", _ASSERTION_TYPE
            yield "client_assertion", carried.client_assertion
