"""What the rest of the sidecar needs of OAuth, and OAuth of its peers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from sidecar.core.tls import Tls
from sidecar.oauth.signing_keys import SigningKey, Verification
from sidecar.oauth.token import FetchReason, Token, TokenRequest


@dataclass(frozen=True, slots=True)
class Reply:
    """A token endpoint's answer, not yet judged."""

    status: int
    content_type: str
    body: bytes
    retry_after: str = ""
    """The Retry-After field as sent, "" when absent."""
    date: str = ""
    """The Date field as sent, "" when absent."""
    content_encoding: str = ""
    """Likewise Content-Encoding."""


class AuthorizationServer(Protocol):
    """One question to an authorization server; whatever is answered is returned, redirects included.

    Raises TokenUnavailable when there is no answer within the limits.
    """

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        """Send the encoded form."""

    async def get(self, url: str, tls: Tls) -> Reply:
        """Ask for a document."""


class Discovery(Protocol):
    """Knows where token requests go."""

    async def token_endpoint(self, request: TokenRequest) -> str:
        """Return the URL. Raises TokenUnavailable or TokenRefused when nobody says."""

    async def jwks_uri(self, issuer: str, tls: Tls) -> str:
        """Return where an issuer's public keys are. Raises like `token_endpoint`."""


class Signatures(Protocol):
    """Checks signatures, and nothing else about a token."""

    def good(self, token: str, jwk: Mapping[str, object], algorithm: str) -> bool:
        """Tell whether the holder of the key signed the token with this algorithm."""


class Verifier(Protocol):
    """Believes callers' tokens or not."""

    async def verify(self, token: str, rule: Verification) -> None:
        """Return if the token is what the rule wants.

        Raises RequestRefused (401) if it is not, TokenUnavailable when nobody can tell.
        """


class Signer(Protocol):
    """Makes the JWTs that prove who we are."""

    async def sign(self, key: SigningKey, claims: Mapping[str, object], life: float) -> str:
        """Return a JWT with these claims, an id of its own, and `life` seconds to live from now.

        Raises TokenUnavailable when the key cannot be used.
        """


class TokenSource(Protocol):
    """Whatever gives tokens; a cache is a source that wraps a source."""

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """Return a token whose fetch began after `newer_than`, got with credentials read after it too.

        Raises TokenUnavailable or TokenRefused.
        """
