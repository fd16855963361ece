"""Whether a caller's token is valid: its signature's algorithm and key, its issuer, audience and times.

Only algorithms that the configuration names count, and only keys of their kind: a token cannot choose to be checked
with `none`, or with a public key as if that were a shared secret (RFC 8725 sections 2.1 and 3.1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sidecar.core.errors import RequestRefused
from sidecar.core.foreign_text import parse_object
from sidecar.oauth.ports import Reply
from sidecar.oauth.signing_keys import Algorithm, Verification
from sidecar.oauth.unverified_jwt import number, segment, unverified

SKEW = 60.0
"""Seconds by which the issuer's clock may be ahead of ours."""
MAX_KEYS = 100

_KINDS: Mapping[str, Mapping[str, str]] = {
    "RS": {"kty": "RSA"},
    "PS": {"kty": "RSA"},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "ES512": {"kty": "EC", "crv": "P-521"},
    "EdDSA": {"kty": "OKP"},
}
Jwk = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Signed:
    """The algorithm and key that a token's header names."""

    algorithm: Algorithm
    kid: str | None

    def fits(self, jwk: Jwk) -> bool:
        """Return whether the key may be the signer's: by its kind, its use, and its id if both have one."""
        kind = _KINDS.get(self.algorithm) or _KINDS[self.algorithm[:2]]
        return (
            all(jwk.get(name) == value for name, value in kind.items())
            and jwk.get("use") in (None, "sig")
            and jwk.get("alg") in (None, self.algorithm)
            and (self.kid is None or jwk.get("kid") in (None, self.kid))
        )

    def names_none_of(self, keys: Iterable[Jwk]) -> bool:
        """Return whether the token names a key that is none of these."""
        return self.kid is not None and all(jwk.get("kid") != self.kid for jwk in keys)


def signed(token: str, rule: Verification) -> Signed:
    """Read the token's header (RFC 7515 section 4). Raises RequestRefused for an algorithm the rule does not name."""
    head = segment(token.partition(".")[0])
    if head is None or "crit" in head:
        raise RequestRefused(401, "the caller's token is not a JWT that can be verified")
    for algorithm in rule.algorithms:
        if head.get("alg") == algorithm:
            kid = head.get("kid")
            return Signed(algorithm, kid if isinstance(kid, str) else None)
    raise RequestRefused(401, "the caller's token is not signed with an accepted algorithm")


def judge(token: str, rule: Verification, now: float) -> None:
    """Raise RequestRefused if the claims of a token, whose signature is good, break the rule."""
    claims = unverified(token)
    if claims.get("iss") != rule.issuer:
        raise RequestRefused(401, "the caller's token has another issuer")
    audience = claims.get("aud")
    if rule.audience not in (audience if isinstance(audience, list) else [audience]):
        raise RequestRefused(401, "the caller's token is for another audience")
    expiry, start = number(claims.get("exp")), number(claims.get("nbf", 0))
    if expiry is None or expiry <= now:
        raise RequestRefused(401, "the caller's token has expired, or never does")
    if start is None or start > now + SKEW:
        raise RequestRefused(401, "the caller's token is not valid yet")


def keys(reply: Reply) -> tuple[Jwk, ...] | None:
    """Return the keys of a JWK set (RFC 7517 section 5), None if it is no such set."""
    document = parse_object(reply.body) if reply.status == 200 else None
    keys = document.get("keys") if document is not None else None
    if not isinstance(keys, list):
        return None
    return tuple(key for key in keys[:MAX_KEYS] if isinstance(key, dict))
