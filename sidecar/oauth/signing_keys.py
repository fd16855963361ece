"""Keys: private ones that sign our assertions, and public ones that verify callers' tokens."""

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
    """The place of a key, and its id for the authorization server. Read again for each signature."""

    where: SecretRef
    """PEM, encrypted or not, or a JWK (RFC 7517)."""
    passphrase: SecretRef | None = None
    algorithm: Algorithm | None = None
    """None: the JWK's algorithm, else RS256, ES256, ES384, ES512 or EdDSA, as suits the key."""
    kid: str = ""
    certificate_file: str = ""
    """The key's certificate (PEM), whose thumbprint identifies the key to some servers."""


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
    """The conditions that a caller's token must meet."""

    issuer: str
    audience: str
    jwks_uri: str = ""
    """"" to take it from the issuer's metadata."""
    algorithms: tuple[Algorithm, ...] = ("RS256",)
    tls: Tls = Tls()
    """How the server that publishes the keys is verified."""
