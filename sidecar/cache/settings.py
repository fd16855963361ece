"""The `cache` section of the configuration; times in seconds."""

from dataclasses import dataclass
from typing import Literal

from sidecar.oauth.token import MAX_LEEWAY


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """How long tokens are kept, and how many."""

    mode: Literal["local", "distributed"] = "local"
    memory_ttl: float = 30.0
    """Longest stay in memory if there is a store; without one, to the token's expiry."""
    store_ttl: float = 300.0
    leeway: float = MAX_LEEWAY
    max_entries: int = 10_000
