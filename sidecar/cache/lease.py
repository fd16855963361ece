"""The lease: the fleet's flight. One pod fetches a token, the others wait for what it stores."""

from dataclasses import dataclass
from enum import Enum

from sidecar.core.backoff import Setback
from sidecar.oauth.token import Token

LEASE = 3.0
"""Seconds for which a lease is valid without renewal: the delay for the fleet after its holder crashes."""
RENEW_EVERY = 1.0


class Lease(Enum):
    """Which pod fetches."""

    OURS = "ours"
    THEIRS = "theirs"
    NOBODYS = "nobodys"
    """The store is unavailable, or it had a token and no lease was needed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The store's reply to a pod that needs a token."""

    token: Token | None = None
    """The stored token, its `generation` that of the key; the pod judges whether it is good enough."""
    lease: Lease = Lease.NOBODYS
    generation: int = 0
    """Generation of the key when the lease was given: the token about to be fetched belongs to it."""
    setback: Setback | None = None
    """The last failure of another pod.

    While it is in force no lease is given; later, failures are counted on from it.
    """
    remaining: float = 0.0
    """Seconds to the end of another pod's lease, unless it is renewed."""
