"""The clock, randomness and secrets, passed in wherever a room needs them.

Each room has its own `ports`. Tests give fakes that pass the same contract tests as the real thing.
"""

from typing import Protocol

from sidecar.core.secret import Secret, SecretRef


class Clock(Protocol):
    """Time, which only ever moves forward."""

    def now(self) -> float:
        """Epoch seconds that never jump: wall time at start plus what has passed since."""

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""


class Randomness(Protocol):
    """Unpredictable bytes, and jitter."""

    def token_bytes(self, count: int) -> bytes:
        """`count` bytes fit for keys and nonces."""

    def uniform(self, low: float, high: float) -> float:
        """A number from `low` to `high`, for jitter only."""


class SecretReader(Protocol):
    """Reads what is replaced under us while we run."""

    async def read(self, where: SecretRef) -> Secret:
        """Return the secret as it is now. Raises TokenUnavailable when it cannot be read."""
