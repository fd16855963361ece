"""Ports of OAuth: for the rest of the sidecar, and for its peers."""

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
    """The Content-Encoding field as sent, "" when absent."""


class AuthorizationServer(Protocol):
    """One request to an authorization server; any answer is returned, redirects included.

    Raises TokenUnavailable when there is no answer within the limits.
    """

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        """Send the encoded form."""

    async def get(self, url: str, tls: Tls) -> Reply:
        """Request a document."""


class Discovery(Protocol):
    """The source of token endpoints' URLs."""

    async def token_endpoint(self, request: TokenRequest) -> str:
        """Return the URL. Raises TokenUnavailable or TokenRefused if it is not known."""

    async def jwks_uri(self, issuer: str, tls: Tls) -> str:
        """Return where an issuer's public keys are. Raises like `token_endpoint`."""


class Signatures(Protocol):
    """Check signatures, and nothing else about a token."""

    def good(self, token: str, jwk: Mapping[str, object], algorithm: str) -> bool:
        """Return whether the holder of the key signed the token with this algorithm."""


class Verifier(Protocol):
    """Verify callers' tokens."""

    async def verify(self, token: str, rule: Verification) -> None:
        """Return if the token meets the rule.

        Raises RequestRefused (401) if it is not, TokenUnavailable if the issuer's keys are unavailable.
        """


class Signer(Protocol):
    """Make the JWTs that authenticate us."""

    async def sign(self, key: SigningKey, claims: Mapping[str, object], life: float) -> str:
        """Return a JWT with these claims, an id of its own, and `life` seconds to live from now.

        Raises TokenUnavailable when the key cannot be used.
        """


class TokenSource(Protocol):
    """A source of tokens; a cache is a source that wraps another one."""

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """Return a token whose fetch began after `newer_than`, obtained with credentials read after it too.

        Raises TokenUnavailable or TokenRefused.
        """
