"""The lease: the fleet's flight. One pod fetches a token, the others wait for what it stores."""

from dataclasses import dataclass
from enum import Enum

from sidecar.core.backoff import Setback
from sidecar.oauth.token import Token

LEASE = 3.0
"""Seconds a lease lives without being renewed: what a dead holder costs the fleet."""
RENEW_EVERY = 1.0


class Lease(Enum):
    """Who fetches."""

    OURS = "ours"
    THEIRS = "theirs"
    NOBODYS = "nobodys"
    """The store is down, or it had an answer and none was needed."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What the store says to a pod in need of a token."""

    token: Token | None = None
    """The stored token, its `generation` that of the key; whether it is good enough is the pod's to judge."""
    lease: Lease = Lease.NOBODYS
    generation: int = 0
    """Of the key, as the lease was given: the token about to be fetched belongs to it."""
    setback: Setback | None = None
    """What another pod met last. While it is in force no lease is given; later it says what to count from."""
    remaining: float = 0.0
    """Seconds to the end of the others' lease, unless they renew it."""
