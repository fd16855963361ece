"""What a sidecar on its own has in place of a fleet."""

from sidecar.cache.refused_tokens import Busted
from sidecar.credentials.model import CredentialKey, Credentials, StoredCredentials
from sidecar.oauth.token import Token, TokenRequest


class NoFleet:
    """No other pods: memory keeps tokens to their expiry and this pod's own state decides."""

    reachable = False
    settled = True

    async def bust(self, request: TokenRequest, refused: Token, sent_at: float) -> Busted:
        """Nobody knew of it before."""
        return Busted(news=True, floor=sent_at)

    async def cool_down(self, request: TokenRequest, token: Token, jitter: float) -> float:
        """Nobody else cools down."""
        return 0.0

    async def healed(self, request: TokenRequest) -> None:
        """Nobody else did."""


class NoCredentialStore:
    """The store of credentials that are not to be shared."""

    async def look(self, key: CredentialKey) -> StoredCredentials:
        """There are none."""
        return StoredCredentials()

    async def keep(
        self, key: CredentialKey, credentials: Credentials, fingerprint: str, generation: int, life: float
    ) -> None:
        """Nobody else sees them."""

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> None:
        """Return None: no other pod has them."""
