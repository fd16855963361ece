"""Ports of the caches: the fleet's busts, and the second level of tokens and credentials."""

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
    """Reports to the other pods and the state that they share. Never raises.

    While the fleet is unreachable, reports have no effect and this pod's own state decides.
    """

    @property
    def reachable(self) -> bool:
        """Whether the store can be used now; while it cannot, memory keeps tokens to their expiry."""

    @property
    def settled(self) -> bool:
        """Whether pods had no recent reason to fetch for themselves: they hold the same tokens."""

    async def bust(self, request: TokenRequest, refused: Token, sent_at: float) -> Busted:
        """Bust the token in every pod: a request with it, sent at `sent_at`, was refused.

        In one atomic step: unless the key cools down, or this very token was bust before, publish the message, delete
        the stored token if it still is the refused one, and move the key's generation on. The message is published even
        if Redis denies the other steps.
        """

    async def cool_down(self, request: TokenRequest, token: Token, jitter: float) -> float:
        """The successor was refused too: open the fleet's next window, times `jitter` ≥ 1.

        Return the seconds left of the window now in force, whichever pod opened it; 0 if the fleet is unreachable.
        """

    async def healed(self, request: TokenRequest) -> None:
        """A successor was accepted: end the fleet's windows for this key."""


class TokenStore(Protocol):
    """The second level, shared by the fleet, and its leases; each call is one round trip. Never raises.

    While the store is unavailable, it returns and keeps nothing. All times are this pod's own; the uncertainty of the
    store's clock is subtracted from a token's life and age.
    """

    async def claim(self, request: TokenRequest, owner: str, passing_over: str) -> Claim:
        """Look for a token or, if there is none, become the one pod that fetches it: one atomic step.

        A stored token whose fingerprint is `passing_over` was rejected before and counts as absent.
        """

    async def extend(self, request: TokenRequest, owner: str) -> bool:
        """Renew the lease; return False if it is not ours any longer. While the store is unavailable it still is."""

    async def fill(self, request: TokenRequest, token: Token, owner: str) -> bool:
        """Store the token, release the lease and wake the waiting pods.

        Store nothing and return False if a bust has moved the generation since `token.generation` was claimed.
        """

    async def give_up(self, request: TokenRequest, owner: str, setback: Setback) -> None:
        """Release the lease, share why there is no token until `setback.until`, and wake the waiting pods."""

    async def release(self, request: TokenRequest, owner: str) -> None:
        """Release the lease without a reason, and wake the waiting pods."""

    async def generations(self, keys: Sequence[str]) -> Mapping[str, int] | None:
        """Return the present generations of `TokenRequest.key`s, 0 if unknown; None while the store is unavailable."""


class CredentialStore(Protocol):
    """The second level for credentials, shared by the fleet; each call is one round trip. Never raises.

    While it is unavailable, it returns and keeps nothing.
    """

    async def look(self, key: CredentialKey) -> StoredCredentials:
        """Return the stored credentials if they came from the same place."""

    async def keep(
        self, key: CredentialKey, credentials: Credentials, fingerprint: str, generation: int, life: float
    ) -> None:
        """Store them for `life` seconds, unless a bust has moved the generation since `look` returned it."""

    async def bust(self, key: CredentialKey, fingerprint: str, generation: int) -> BustFailure | None:
        """Publish the bust, delete the stored credentials if they are the bust ones, and move the generation past this
        one.

        Return what went wrong.
        """
