"""What the caches need of the fleet: its busts, and the second level of tokens and credentials."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from sidecar.cache.lease import Claim
from sidecar.cache.refused_tokens import Busted, BustFailure
from sidecar.core.backoff import Setback
from sidecar.credentials.model import CredentialKey, Credentials, StoredCredentials
from sidecar.oauth.token import Token, TokenRequest

Current = Callable[[TokenRequest], TokenRequest | None]
"""Returns a request under the name it has in the configuration in force, or None if that makes no such request."""


class Fleet(Protocol):
    """What the cache tells the other pods and hears from the state they share. Never raises.

    While nobody can be reached, telling does nothing and this pod's own state decides.
    """

    @property
    def reachable(self) -> bool:
        """Whether asking it makes sense now; while it does not, memory keeps tokens to their expiry."""

    @property
    def settled(self) -> bool:
        """Whether pods had no reason of late to fetch for themselves: they hold the same tokens."""

    async def bust(self, request: TokenRequest, refused: Token, sent_at: float) -> Busted:
        """Tell every pod that the token is no good: a request with it, sent at `sent_at`, was refused.

        In one atomic step: unless the key cools down, or this very token was bust before, publish the message, delete
        the stored token if it still is the refused one, and move the key's generation on. The first happens even if
        the others are denied.
        """

    async def cool_down(self, request: TokenRequest, token: Token, jitter: float) -> float:
        """The successor was refused too: open the fleet's next window, times `jitter` ≥ 1.

        Return what is left of the window now in force, whoever opened it; 0 when nobody can be reached.
        """

    async def healed(self, request: TokenRequest) -> None:
        """A successor was accepted: end the fleet's windows for this key."""


class TokenStore(Protocol):
    """The second level, shared by the fleet, and its leases; each call is one round trip. Never raises.

    While it is down it has and keeps nothing. All times given and taken are this pod's own; whatever is
    uncertain about how they relate to the store's is taken out of a token's life and newness.
    """

    async def claim(self, request: TokenRequest, owner: str, passing_over: str) -> Claim:
        """Look for a token or, if there is none, become the one pod that fetches it: one atomic step.

        A stored token whose fingerprint is `passing_over` was looked at before and is as good as absent.
        """

    async def extend(self, request: TokenRequest, owner: str) -> bool:
        """Renew the lease; False when it is not ours any more. While the store is down it still is."""

    async def fill(self, request: TokenRequest, token: Token, owner: str) -> bool:
        """Keep the token, release the lease and wake who waits for it.

        False, and nothing kept, when a bust has moved the generation since `token.generation` was claimed.
        """

    async def give_up(self, request: TokenRequest, owner: str, setback: Setback) -> None:
        """Release the lease, share why there is no token until `setback.until`, and wake who waits."""

    async def release(self, request: TokenRequest, owner: str) -> None:
        """Release the lease without a word about why, and wake who waits."""

    async def generations(self, keys: Sequence[str]) -> Mapping[str, int] | None:
        """Return the present generations of `TokenRequest.key`s, 0 where none is known; None while it is down."""


class CredentialStore(Protocol):
    """The second level for credentials, shared by the fleet; each call is one round trip. Never raises.

    While it is down it has and keeps nothing.
    """

    async def look(self, key: CredentialKey) -> StoredCredentials:
        """Return what is stored, if it came from the same place."""

    async def keep(
        self, key: CredentialKey, credentials: Credentials, fingerprint: str, generation: int, life: float
    ) -> None:
        """Keep them for `life` seconds, unless a bust has moved the generation since `look` returned it."""

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> BustFailure | None:
        """Publish the bust, delete the stored ones if they are those, and move the generation past this one.

        Return what went wrong.
        """
