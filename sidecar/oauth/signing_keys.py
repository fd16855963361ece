"""Keys: the private ones that sign our assertions, and whose signatures on callers' tokens count."""

from dataclasses import dataclass
from typing import Literal

from sidecar.core.secret import Secret, SecretRef
from sidecar.core.tls import Tls

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]  # fmt: skip
"""Signature algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1)."""


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """Where a key is, and by what the authorization server knows it. Read anew for each signature."""

    where: SecretRef
    """PEM, encrypted or not, or a JWK (RFC 7517)."""
    passphrase: SecretRef | None = None
    algorithm: Algorithm | None = None
    """None: what the JWK says, else RS256, ES256, ES384, ES512 or EdDSA, as suits the key."""
    kid: str = ""
    certificate_file: str = ""
    """The key's certificate (PEM), whose thumbprint names the key to servers that know it by that."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key as just read."""

    text: Secret
    passphrase: Secret | None = None
    algorithm: Algorithm | None = None
    kid: str = ""
    certificate: str = ""
    """PEM, "" for none."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a caller's token must be to be believed."""

    issuer: str
    audience: str
    jwks_uri: str = ""
    """"" for where the issuer's metadata says."""
    algorithms: tuple[Algorithm, ...] = ("RS256",)
    tls: Tls = Tls()
    """How whoever publishes the keys is verified."""
