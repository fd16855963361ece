"""How long to leave an authorization server alone after it failed us, per key."""

from dataclasses import dataclass

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.memory import Lru

REFUSAL_LIFE = 5.0
"""Seconds a refusal is remembered: it spares the server, and whoever fixes the cause waits no longer."""
MAX_BACKOFF = 30.0


def doubling(failures: int, most: float) -> float:
    """Seconds to wait after that many failures in a row: 1, 2, 4 … `most`."""
    return min(most, 2.0 ** min(failures - 1, 30))


@dataclass(frozen=True, slots=True)
class _Setback:
    until: float
    failures: int
    reason: str
    code: str | None
    """None for an outage."""


class Setbacks:
    """What went wrong last, for each of at most `limit` keys, and until when that is the answer."""

    def __init__(self, limit: int) -> None:
        self._setbacks: Lru[_Setback] = Lru(limit)

    def error(self, key: str, now: float) -> TokenUnavailable | TokenRefused | None:
        """Return the error to answer with instead of asking again, None when asking is allowed."""
        setback = self._setbacks.get(key)
        if setback is None or now >= setback.until:
            return None
        if setback.code is None:
            return TokenUnavailable(setback.reason, setback.until - now)
        return TokenRefused(setback.reason, setback.code)

    def unavailable(self, key: str, error: TokenUnavailable, now: float, jitter: float) -> TokenUnavailable:
        """Note an outage and return it with its window as `retry_after`.

        The window doubles with each outage in a row, times `jitter` ≥ 1, and is never under Retry-After.
        """
        last = self._setbacks.get(key)
        failures = last.failures + 1 if last is not None else 1
        seconds = max(doubling(failures, MAX_BACKOFF) * jitter, error.retry_after)
        self._setbacks.put(key, _Setback(now + seconds, failures, str(error), None))
        return TokenUnavailable(str(error), seconds)

    def refused(self, key: str, error: TokenRefused, now: float) -> TokenRefused:
        """Note a refusal, which ends any outage, and return it."""
        self._setbacks.put(key, _Setback(now + REFUSAL_LIFE, 0, str(error), error.code))
        return error

    def clear(self, key: str) -> None:
        """Forget: it worked."""
        self._setbacks.pop(key)
