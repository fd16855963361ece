"""Which tokens are known dead, and what may follow them."""

import math
from dataclasses import dataclass

from sidecar.core.memory import Lru


@dataclass(frozen=True, slots=True)
class Bust:
    """What a message says: this token is no good, in any pod."""

    key: str
    """The token request's, without the fleet's prefix."""
    fingerprint: str
    generation: int
    """The key's generation from this bust on."""


@dataclass(frozen=True, slots=True)
class Busted:
    """What became of telling the fleet."""

    floor: float
    """After this a fetch must have begun for its token to succeed the refused one.

    Earlier than the refused request was sent when another pod had told of that token before: then it was dead
    already, and this refusal says nothing about tokens fetched since.
    """
    cooling: float = 0.0
    """Seconds for which the fleet lets this key's refusals pass; then nobody was told anything."""


@dataclass(frozen=True, slots=True)
class _Bust:
    floor: float
    fingerprint: str


class Busts:
    """For each of at most `limit` keys: the moment after which a token's fetch must have begun to count.

    A request sent at that moment was refused. A token fetched before it may have died together with the
    refused one, so neither the store nor a fetch already under way can bring one back.
    """

    def __init__(self, limit: int) -> None:
        self._busts: Lru[_Bust] = Lru(limit)

    def floor(self, key: str) -> float:
        """Return the moment, -inf where nothing was ever refused."""
        bust = self._busts.get(key)
        return bust.floor if bust is not None else -math.inf

    def mark(self, key: str, fingerprint: str, sent_at: float) -> bool:
        """Note that the token was refused in a request sent at `sent_at`; tell whether that is news of it."""
        last = self._busts.get(key)
        self._busts.put(key, _Bust(max(self.floor(key), sent_at), fingerprint))
        return last is None or last.fingerprint != fingerprint
