"""Replacements for a fleet in a standalone sidecar."""

from sidecar.cache.refused_tokens import Busted
from sidecar.credentials.model import CredentialKey, Credentials, StoredCredentials
from sidecar.oauth.token import Token, TokenRequest


class NoFleet:
    """No other pods: memory keeps tokens to their expiry and this pod's own state decides."""

    reachable = False
    settled = True

    async def bust(self, request: TokenRequest, refused: Token, sent_at: float) -> Busted:
        """Return that it is news."""
        return Busted(news=True, floor=sent_at)

    async def cool_down(self, request: TokenRequest, token: Token, jitter: float) -> float:
        """Return 0: there is no fleet with a window."""
        return 0.0

    async def healed(self, request: TokenRequest) -> None:
        """Do nothing: there is no fleet."""


class NoCredentialStore:
    """The store of credentials that are not shared."""

    async def look(self, key: CredentialKey) -> StoredCredentials:
        """Return that there are none."""
        return StoredCredentials()

    async def keep(
        self, key: CredentialKey, credentials: Credentials, fingerprint: str, generation: int, life: float
    ) -> None:
        """Do nothing: they are not shared."""

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> None:
        """Return None: no other pod has them."""
