"""The clock, randomness and secrets, passed in where a room needs them.

Each room has its own `ports`. Tests give fakes that pass the same contract tests as the real thing.
"""

from typing import Protocol

from sidecar.core.secret import Secret, SecretRef


class Clock(Protocol):
    """Two readings of time: `now` for durations, `wall` for dates."""

    def now(self) -> float:
        """Return a moment, in seconds that never jump: wall time at the start plus what has passed since.

        For timeouts, lives, leases and pauses. Compare it with other moments only, never with a date.
        """

    def wall(self) -> float:
        """Return today's date, in epoch seconds; it jumps when the host's clock is set.

        For what the outside writes or reads: claims of JWTs, HTTP dates, timestamps of logs and spans.
        """

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class Randomness(Protocol):
    """Unpredictable bytes, and jitter."""

    def token_bytes(self, count: int) -> bytes:
        """Return `count` bytes fit for keys and nonces."""

    def uniform(self, low: float, high: float) -> float:
        """Return a number from `low` to `high`, for jitter only."""


class SecretReader(Protocol):
    """Reads secrets that may be replaced while we run."""

    async def read(self, where: SecretRef) -> Secret:
        """Return the current secret. Raises TokenUnavailable if it cannot be read."""
