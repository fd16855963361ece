"""Rules within a token request, and between it and its credentials."""

from collections.abc import Iterator

from sidecar.config.credentials import Credentials
from sidecar.config.decode import Found
from sidecar.config.tenants import OURS
from sidecar.config.tokens import TokenEntry, Verification
from sidecar.config.types import Tls
from sidecar.core.header_names import folded
from sidecar.oauth.request_form import PROTOCOL_PARAMETERS

_PROOF = {
    "client_secret_basic": ("client_secret", "set client_auth: none"),
    "client_secret_post": ("client_secret", "set client_auth: none"),
    "private_key_jwt": ("private_key", "choose another client_auth"),
    "client_assertion_file": ("assertion_file", "choose another client_auth"),
}
"""Credentials that a method requires, and what to do without them."""

_TAKEN = frozenset(OURS.split()) - {"authorization"}
"""Fields with another meaning."""
_OF_GRANTS = {
    "subject": ("token_exchange", "jwt_bearer"),
    "actor": ("token_exchange",),
    "requested_token_type": ("token_exchange",),
    "assertion": ("jwt_bearer",),
}
"""Grants that allow a key."""


def faults(path: str, token: TokenEntry, entry: Credentials | None, misread: set[str]) -> Iterator[Found]:
    """Return faults, but not of keys that are `misread`; `entry` is None if the credentials are faulty."""
    if misread.isdisjoint({"grant", *_OF_GRANTS}):
        yield from _grant_faults(path, token)
        yield from _presented_faults(path, token)
    if misread.isdisjoint({"client_auth", "tls"}):
        yield from _tls_faults(path, token)
    for name in token.parameters:
        if name in PROTOCOL_PARAMETERS:
            yield (
                f"{path}.parameters.{name}",
                "the sidecar sets it itself: use the key for it, if there is one",
            )
    signed = token.client_auth == "private_key_jwt" or token.assertion is not None
    if token.assertion_audience and not signed and misread.isdisjoint({"client_auth", "assertion"}):
        yield (
            f"{path}.assertion_audience",
            "nothing is signed with it: it requires private_key_jwt or assertion",
        )
    if entry is not None and "client_auth" not in misread:
        yield from _proof_faults(path, token, entry)


def _grant_faults(path: str, token: TokenEntry) -> Iterator[Found]:
    for key, grants in _OF_GRANTS.items():
        if getattr(token, key) is not None and token.grant not in grants:
            yield f"{path}.{key}", f"only for grant: {' or '.join(grants)}"
    if token.grant == "token_exchange" and token.subject is None:
        yield f"{path}.subject", "missing: token_exchange exchanges it"
    if token.grant == "jwt_bearer" and (token.subject is None) == (token.assertion is None):
        yield path, "give exactly one of: subject, assertion"
    if token.grant == "jwt_bearer" and token.subject is not None and token.subject.type is not None:
        yield f"{path}.subject.type", "a jwt_bearer grant presents a JWT: remove the type"


def _presented_faults(path: str, token: TokenEntry) -> Iterator[Found]:
    for key, presented in (("subject", token.subject), ("actor", token.actor)):
        if presented is None:
            continue
        if folded(presented.header or "") in _TAKEN:
            yield f"{path}.{key}.header", "this field has another meaning: choose another field"
        verify = presented.verify
        if verify is not None and verify.tls != Tls() and _keys_of(verify).startswith("http:"):
            yield f"{path}.{key}.verify.tls", "the keys come over plain http: write https, or remove tls"
    headers = [
        folded(presented.header or "") for presented in (token.subject, token.actor) if presented is not None
    ]
    if len(headers) == 2 and headers[0] == headers[1] != "":
        yield f"{path}.actor.header", "brings the subject already: choose another one"


def _keys_of(verify: Verification) -> str:
    return verify.jwks_uri or verify.issuer


def _tls_faults(path: str, token: TokenEntry) -> Iterator[Found]:
    where = token.token_endpoint or token.issuer or ""
    if token.tls != Tls() and where.startswith("http:"):
        yield f"{path}.tls", "the authorization server is plain http: write https, or remove tls"
    if token.client_auth == "tls_client_auth" and not token.tls.certificate_file:
        yield f"{path}.tls.certificate_file", "missing: tls_client_auth presents it"


def _proof_faults(path: str, token: TokenEntry, entry: Credentials) -> Iterator[Found]:
    needed, otherwise = _PROOF.get(token.client_auth, ("", ""))
    has_secret = entry.client_id is None or entry.client_secret is not None
    missing = not has_secret if needed == "client_secret" else needed and getattr(entry, needed) is None
    if missing:
        yield f"{path}.credentials", f"{token.credentials} has no {needed}: give it one, or {otherwise}"
    signs = token.grant == "jwt_bearer" and token.assertion is not None
    if signs and entry.private_key is None and needed != "private_key":
        yield (
            f"{path}.credentials",
            f"{token.credentials} has no private_key to sign the assertion with: give it one",
        )
