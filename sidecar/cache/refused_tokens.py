"""Which tokens are known to be refused, and what may follow them."""

import math
from dataclasses import dataclass, replace

from sidecar.core.lru import Lru
from sidecar.oauth.token import Token
from sidecar.telemetry.words import BustStep


@dataclass(frozen=True, slots=True)
class Bust:
    """A bust message: this token is refused, in every pod."""

    key: str
    """The token request's, without the fleet's prefix."""
    fingerprint: str
    generation: int
    """The key's generation from this bust on."""


UNCERTAINTY = 0.2
"""Seconds by which two readings of a stored moment may differ, because it is kept by another clock."""


@dataclass(frozen=True, slots=True)
class BustFailure:
    """Why a bust failed. The token is dropped in this pod all the same."""

    step: BustStep
    """`publish`: no other pod was sent it. `record`: the connected pods were; Redis denied a write."""
    error: str
    """The server's error code, or the kind of failure."""


@dataclass(frozen=True, slots=True)
class Busted:
    """Result of a bust in the fleet."""

    news: bool
    """Whether this pod was the first to report it; False also while the key cools down, and nothing is bust."""
    floor: float
    """After this a fetch must have begun for its token to succeed the refused one.

    It is earlier than the refused request if another pod had bust that token before. Then this refusal proves nothing
    about tokens fetched since.
    """
    cooling: float = 0.0
    """Seconds for which the fleet relays this key's refusals; then nothing was bust."""
    probing: bool = False
    """Whether the fleet's window has just ended, and this pod is the one to try again."""
    failure: BustFailure | None = None

    @property
    def published(self) -> bool:
        """Whether this was news and the message went to all pods that there are."""
        return self.news and (self.failure is None or self.failure.step == "record")


_EARLIER = 16
"""Refused tokens that are remembered for a key, besides the last one."""


@dataclass(frozen=True, slots=True)
class _Refused:
    fingerprint: str
    floor: float
    before: float
    """The floor that was there already."""
    earlier: tuple[tuple[str, float], ...] = ()
    """Fingerprints and floors of the tokens refused before this one, the latest first."""

    def covers(self, token: Token) -> bool:
        """Return whether the refusal of this token is known, and the token was not issued again since."""
        known = ((self.fingerprint, self.floor), *self.earlier)
        return any(
            fingerprint == token.fingerprint and token.fetch_began <= floor for fingerprint, floor in known
        )


@dataclass(frozen=True, slots=True)
class _Heard:
    fingerprint: str
    at: float


class RefusedTokens:
    """For each of at most `limit` keys the tokens last refused, and what may follow them.

    A request with such a token, sent at a certain moment, was refused. A token fetched before that moment may have
    been revoked together with it, so neither the store nor a fetch already under way can bring one back. A token
    fetched later may replace it in all requests that still carried the refused one, however late they were sent.
    """

    def __init__(self, limit: int) -> None:
        self._refused: Lru[_Refused] = Lru(limit)
        self._heard: Lru[_Heard] = Lru(limit)

    def floor(self, key: str) -> float:
        """Return the moment after which a token's fetch must have begun, -inf if none was ever refused."""
        refused = self._refused.get(key)
        return refused.floor if refused is not None else -math.inf

    def had_token(self, key: str) -> bool:
        """Return whether a token of this key was bust, in any pod: then requests with this entry have worked before."""
        return self._refused.get(key) is not None or self._heard.get(key) is not None

    def is_trustworthy(self, key: str, token: Token) -> bool:
        """Return whether no known refusal rules out the token."""
        if token.fetch_began <= self.floor(key):
            return False
        heard = self._heard.get(key)
        return heard is None or heard.fingerprint != token.fingerprint or token.fetch_began > heard.at

    def later_than(self, key: str, token: Token, now: float) -> float:
        """Return the moment after which a fetch must have begun to give another token than this one, if it is bust.

        -inf if it is not. The store may still hold a bust token: Redis publishes busts even where it denies writes.
        """
        return -math.inf if self.is_trustworthy(key, token) else min(now, token.fetch_began + UNCERTAINTY)

    def mark(self, key: str, token: Token, sent_at: float) -> bool:
        """Note that the token was refused in a request sent at `sent_at`; return whether that is news.

        It is news again if the authorization server has since issued the same token again. The late refusal of an
        earlier token is no news: a stream may carry its token for minutes, and a second bust would discard the token
        that is being fetched.
        """
        last = self._refused.get(key)
        if last is not None and last.covers(token):
            return False
        before = self.floor(key)
        earlier = ((last.fingerprint, last.floor), *last.earlier)[:_EARLIER] if last is not None else ()
        self._refused.put(key, _Refused(token.fingerprint, max(before, sent_at), before, earlier))
        return True

    def settle(self, key: str, token: Token, floor: float) -> None:
        """Note the fleet's reply about a token just marked: another pod may have found it refused before."""
        last = self._refused.get(key)
        if last is not None and last.fingerprint == token.fingerprint:
            self._refused.put(key, replace(last, floor=max(floor, last.before)))

    def take_back(self, key: str, token: Token) -> None:
        """Forget the last refusal of this token: the fleet relays this key's refusals. All others still count."""
        refused = self._refused.get(key)
        if refused is None:
            return
        if refused.fingerprint != token.fingerprint:
            self._refused.put(key, replace(refused, earlier=_without(token.fingerprint, refused.earlier)))
            return
        self._refused.pop(key)
        if refused.before > -math.inf:
            self._refused.put(key, _Refused("", refused.before, refused.before, refused.earlier))

    def hear(self, bust: Bust, now: float) -> None:
        """Note another pod's bust: this token must not enter memory any longer, even if it is already being loaded."""
        self._heard.put(bust.key, _Heard(bust.fingerprint, now))


def _without(fingerprint: str, refusals: tuple[tuple[str, float], ...]) -> tuple[tuple[str, float], ...]:
    """Leave out the latest refusal of a token."""
    at = next((at for at, (each, _) in enumerate(refusals) if each == fingerprint), len(refusals))
    return refusals[:at] + refusals[at + 1 :]
