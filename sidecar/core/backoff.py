"""Back-off per key: how long no request goes to an authorization server after a failure."""

from dataclasses import dataclass

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.lru import Lru

REFUSAL_LIFE = 5.0
"""Seconds for which a refusal is remembered: it spares the server, and a fixed cause takes effect soon."""
MAX_BACKOFF = 30.0


def doubling(failures: int, most: float) -> float:
    """Return the seconds to wait after that many failures in a row: 1, 2, 4 … `most`."""
    return min(most, 2.0 ** min(failures - 1, 30))


@dataclass(frozen=True, slots=True)
class Setback:
    """Why there is no token, and until when that result is kept (epoch seconds)."""

    until: float
    failures: int
    """Outages in a row, this one counted; 0 for a refusal."""
    reason: str
    code: str | None
    """The refusal's OAuth error code; None for an outage."""
    description: str = ""
    """The authorization server's own text."""
    hint: str = ""
    """What to do."""
    of_caller: bool = False
    """Whether a caller's token is the reason."""
    of_secret: bool = False
    """Whether missing credentials are the reason."""

    def error(self, now: float) -> TokenUnavailable | TokenRefused | None:
        """Return the error to raise without a request, None if a request is allowed."""
        if now >= self.until:
            return None
        return self.unavailable(now) if self.code is None else self._refused(self.code)

    def unavailable(self, now: float) -> TokenUnavailable:
        """Return the outage with the rest of its window as `retry_after`."""
        return TokenUnavailable(
            self.reason, self.until - now, description=self.description, of_secret=self.of_secret
        )

    def _refused(self, code: str) -> TokenRefused:
        return TokenRefused(
            self.reason,
            code,
            of_caller=self.of_caller,
            of_secret=self.of_secret,
            description=self.description,
            hint=self.hint,
        )


def outage(last: Setback | None, error: TokenUnavailable, now: float, jitter: float) -> Setback:
    """Make the setback of an outage: a window that doubles with each in a row, times `jitter` ≥ 1.

    It is never under Retry-After.
    """
    failures = last.failures + 1 if last is not None else 1
    seconds = max(doubling(failures, MAX_BACKOFF) * jitter, error.retry_after)
    return Setback(now + seconds, failures, str(error), None, error.description, of_secret=error.of_secret)


def refusal(error: TokenRefused, now: float) -> Setback:
    """Make the setback of a refusal, which ends any outage."""
    return Setback(
        until=now + REFUSAL_LIFE,
        failures=0,
        reason=str(error),
        code=error.code,
        description=error.description,
        hint=error.hint,
        of_caller=error.of_caller,
        of_secret=error.of_secret,
    )


class Setbacks:
    """The last failure of each of at most `limit` keys."""

    def __init__(self, limit: int) -> None:
        self._setbacks: Lru[Setback] = Lru(limit)

    def error(self, key: str, now: float) -> TokenUnavailable | TokenRefused | None:
        """Return the error to raise without a request, None if a request is allowed."""
        setback = self._setbacks.get(key)
        return setback.error(now) if setback is not None else None

    def unavailable(self, key: str, error: TokenUnavailable, now: float, jitter: float) -> TokenUnavailable:
        """Note an outage and return it with its window as `retry_after`."""
        setback = outage(self._setbacks.get(key), error, now, jitter)
        self._setbacks.put(key, setback)
        return setback.unavailable(now)

    def refused(self, key: str, error: TokenRefused, now: float) -> TokenRefused:
        """Note a refusal and return it."""
        self._setbacks.put(key, refusal(error, now))
        return error

    def clear(self, key: str) -> None:
        """Drop the failure after a success."""
        self._setbacks.pop(key)
