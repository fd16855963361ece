"""Identity, expiry and labels of a token that another issuer made and that we present.

A token that a request brings is checked before any request to the authorization server. A request without one, with
two, with an impossible one, or with an expired one gets 401. So is one whose token the authorization server does not
accept.

The token is read without verification, because the authorization server judges it: nothing here grants access.
"""

import hashlib
import math
import re
from collections.abc import Iterator

from sidecar.core.errors import RequestRefused, TokenRefused
from sidecar.core.labels import Labels, label
from sidecar.oauth.request_form import TOKEN_TYPES
from sidecar.oauth.unverified_jwt import number, unverified

MAX_LABELS = 64
"""Labels taken from one token."""

_FIELD = re.compile(rb"(?:(?i:bearer) +)?([A-Za-z0-9._~+/-]+=*)")
_JWTS = frozenset({TOKEN_TYPES["jwt"], TOKEN_TYPES["id_token"]})
_LABEL_OF = {
    "sub": "user",
    "email": "user",
    "jti": "jti",
    "teams": "team",
    "groups": "team",
    "roles": "role",
}


def brought(field: bytes | None, header: bytes, kind: str, now: float) -> str:
    """Return the token in a request's field, of the type `kind`. Raises RequestRefused (401) if it is invalid."""
    name = header.decode()
    match = _FIELD.fullmatch(field) if field is not None else None
    if match is None:
        fault = "there is none" if field is None else "it has no token, or more than one"
        raise RequestRefused(401, f"the route requires a caller's token in {name}: {fault}")
    token = match[1].decode()
    if kind in _JWTS and not unverified(token):
        raise RequestRefused(401, f"the token in {name} is not a JWT")
    if expiry(token) <= now:
        raise RequestRefused(401, f"the token in {name} has expired")
    return token


def blamed(refusal: TokenRefused) -> RequestRefused | TokenRefused:
    """Return the client's error: 401 if its own token is the reason why there is none."""
    if not refusal.of_caller:
        return refusal
    reason = f"the authorization server does not accept the token of this caller ({refusal.code})"
    return RequestRefused(401, reason)


def identity(token: str) -> str:
    """Return the token's identity: the same for each that one issuer gives one subject for one audience.

    So a projected token that the kubelet rotates keeps its cache entry, in every pod of a deployment, while another
    deployment's has another one. An opaque token has an identity of its own.
    """
    claims = unverified(token)
    issuer, subject = claims.get("iss"), claims.get("sub")
    named = isinstance(issuer, str) and isinstance(subject, str) and issuer and subject
    whose = [issuer, subject, claims.get("aud")] if named else token
    return hashlib.sha256(ascii(whose).encode()).hexdigest()


def expiry(token: str) -> float:
    """Return when the token expires (epoch seconds); infinity if it has no such claim."""
    moment = number(unverified(token).get("exp"))
    return math.inf if moment is None else moment


def labels(token: str) -> Labels:
    """Return the labels that select a token obtained for this one: its user, its id, teams and roles."""
    selectable: set[tuple[str, str]] = set()
    for name, value in _values(token):
        if len(selectable) < MAX_LABELS:
            selectable |= label(name, value)
    return frozenset(selectable)


def _values(token: str) -> Iterator[tuple[str, str]]:
    claims = unverified(token)
    for claim, name in _LABEL_OF.items():
        value = claims.get(claim)
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield name, text
