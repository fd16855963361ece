"""Verification of JWT signatures with public keys, on PyJWT."""

from collections.abc import Mapping

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

_KINDS: Mapping[object, type[RSAAlgorithm | ECAlgorithm | OKPAlgorithm]] = {
    "RSA": RSAAlgorithm,
    "EC": ECAlgorithm,
    "OKP": OKPAlgorithm,
}
_Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


class JwtSignatures:
    """Check signatures by JWK, and nothing else: other modules check the claims."""

    def good(self, token: str, jwk: Mapping[str, object], algorithm: str) -> bool:
        """Return whether the holder of the key signed the token with this algorithm."""
        public = {name: value for name, value in jwk.items() if name != "d"}
        try:
            key = _KINDS[jwk.get("kty")].from_jwk(public)
            if not isinstance(key, _Public):
                return False
            jwt.PyJWS().decode(token, key, algorithms=[algorithm])
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError, UnsupportedAlgorithm):
            return False
        return True
