"""The first cache level: tokens in this process."""

import math
from dataclasses import dataclass

from sidecar.core.labels import Labels
from sidecar.core.lru import Lru
from sidecar.core.secret import Secret
from sidecar.oauth.token import Token, TokenRequest

LEAST_BYTES = 10 << 20
OBJECTS = 1024
"""Approximate bytes of an entry besides its texts."""


UNSETTLED_TTL = 0.5
"""Seconds that memory keeps a token while pods may hold different ones: in and just after an outage of the store."""


@dataclass(frozen=True, slots=True)
class HeldToken:
    """A token in memory."""

    request: TokenRequest
    token: Token
    since: float
    """When it was stored here, or looked up last."""
    until: float
    """When the store must be read again, while there is one."""
    no_check_before: float
    """Until then the entry needs no check: neither `until` has come nor does the token age. A token that expires at a
    date always needs a check, because a step of the wall clock may bring that date near at any moment.
    """
    unneeded_since: float = math.inf
    """When the configuration ceased to need it, or no route of it made the request; infinity while it is needed."""

    @property
    def key(self) -> str:
        """The cache key."""
        return self.request.key

    @property
    def fingerprint(self) -> str:
        """The token's name in logs."""
        return self.token.fingerprint

    @property
    def labels(self) -> Labels:
        """The labels that select the token."""
        return self.token.labels

    @property
    def began(self) -> float:
        """When the token's fetch began."""
        return self.token.fetch_began

    @property
    def generation(self) -> int:
        """Generation of the key when the token's fetch began."""
        return self.token.generation


def size(request: TokenRequest) -> int:
    """Return the estimated bytes of a request that is made for one tenant or caller."""
    presented = (request.subject, request.actor)
    secrets = (token.where for token in presented if token is not None and isinstance(token.where, Secret))
    return OBJECTS + sum(len(secret.reveal()) for secret in secrets)


def weight(held: HeldToken) -> int:
    """Return the estimated bytes of an entry; it holds a token as text and as the field that is sent."""
    return size(held.request) + 2 * len(held.token.authorization)


def memory(max_entries: int) -> Lru[HeldToken]:
    """Make the table for tokens: this number, and 10 MiB, or a KiB for each if that is more."""
    return Lru(max_entries, most=max(LEAST_BYTES, max_entries * 1024), weigh=weight)


def stay(memory_ttl: float, *, settled: bool) -> float:
    """Return for how many seconds memory keeps a token without reading the store; see UNSETTLED_TTL."""
    return memory_ttl if settled else min(memory_ttl, UNSETTLED_TTL)


def hold(
    request: TokenRequest, token: Token, since: float, until: float, unneeded_since: float = math.inf
) -> HeldToken:
    """Make the entry that keeps `token` from `since` and reads the store again at `until`."""
    no_check_before = min(until, token.fresh_until) if token.exp == math.inf else -math.inf
    return HeldToken(request, token, since, until, no_check_before, unneeded_since)
