"""Private keys as configured: one reader for the check at the start and for the signer."""

import base64
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from sidecar.core.foreign_text import parse_object
from sidecar.oauth.jwt import pem
from sidecar.oauth.signing_keys import SigningKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

KEYS = 1000
"""Each tenant may have a key of its own. Limit: private keys kept in memory, some 10 KB each (number). Beyond: the key
used longest ago is read again for its next signature, which takes 30 ms of CPU for RSA."""
LEAST_RSA = 2048
"""Bits (RFC 7518 section 3.3)."""

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_KINDS: Mapping[str, type[RSAAlgorithm | ECAlgorithm | OKPAlgorithm]] = {
    "RSA": RSAAlgorithm,
    "EC": ECAlgorithm,
    "OKP": OKPAlgorithm,
}
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
Prepared = tuple[_Key, str, dict[str, str]]
"""A key, its algorithm, and its part of a JWT's header."""


@lru_cache(maxsize=KEYS)
def prepare(key: SigningKey) -> Prepared:
    """Read the key and derive its JWT header. Raises ValueError, which quotes nothing of the key."""
    text = key.text.reveal()
    jwk = _jwk(text)
    private = _from_pem(text, key) if jwk is None else _from_jwk(jwk)
    algorithm = key.algorithm or (jwk or {}).get("alg") or _suits(private)[0]
    if algorithm not in _suits(private):
        raise ValueError(f"{str(algorithm)[:20]} does not suit it; {', '.join(_suits(private))} would")
    head = {
        "kid": key.kid or (jwk or {}).get("kid"),
        "x5t#S256": _thumbprint(key.certificate, private) if key.certificate else (jwk or {}).get("x5t#S256"),
    }
    return private, str(algorithm), {name: value for name, value in head.items() if isinstance(value, str)}


def _jwk(text: str) -> dict[str, object] | None:
    if not text.lstrip().startswith("{"):
        return None
    jwk = parse_object(text) or parse_object(pem.with_breaks(text))
    if jwk is None:
        raise ValueError("it looks like a JWK but is not JSON")
    return jwk


def _from_jwk(jwk: Mapping[str, object]) -> _Key:
    kind = _KINDS.get(str(jwk.get("kty")))
    try:
        key = kind.from_jwk(dict(jwk)) if kind else None
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError):  # it depends on what is missing
        key = None
    if not isinstance(key, _Key):
        raise ValueError("it is a JWK, but not a private RSA, EC or OKP key")  # noqa: TRY004  its content is wrong
    return _checked(key)


def _from_pem(text: str, key: SigningKey) -> _Key:
    passphrase = key.passphrase.reveal().encode() if key.passphrase else None
    try:
        private = load_pem_private_key(pem.block(text, "PRIVATE KEY"), passphrase)
    except TypeError:  # raised if only the key is encrypted, or only a passphrase is given
        reason = "remove the passphrase" if passphrase else "it is encrypted: give its passphrase"
        raise ValueError(reason) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(
            "it is neither a JWK nor a PEM key that the sidecar can read, or passphrase is wrong"
        ) from None
    if not isinstance(private, _Key):
        raise ValueError("it is not an RSA, EC or EdDSA key")  # noqa: TRY004  its content is wrong
    return _checked(private)


def _checked(key: _Key) -> _Key:
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < LEAST_RSA:
        raise ValueError(f"it has fewer than {LEAST_RSA} bits (RFC 7518 section 3.3)")
    return key


def _suits(key: _Key) -> tuple[str, ...]:
    """Return the algorithms the key can be used with, the default first."""
    if isinstance(key, rsa.RSAPrivateKey):
        return _RSA
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in _CURVES:
            raise ValueError("its curve is none of P-256, P-384 and P-521")
        return (_CURVES[key.curve.name],)
    return ("EdDSA",)


def _thumbprint(certificate: str, key: _Key) -> str:
    """Return the certificate's SHA-256 thumbprint (RFC 7515 section 4.1.8)."""
    try:
        loaded = x509.load_pem_x509_certificate(pem.block(certificate, "CERTIFICATE"))
        named = _public(loaded.public_key())
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("certificate_file holds no readable certificate") from None
    if named != _public(key.public_key()):
        raise ValueError("certificate_file is another key's")
    return base64.urlsafe_b64encode(loaded.fingerprint(SHA256())).rstrip(b"=").decode()


def _public(key: "PublicKeyTypes") -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
