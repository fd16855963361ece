"""Circuit breaker: when to stop using a store that does not answer.

| state  | operation succeeds  | operation fails                       | the probe succeeds | the probe fails |
| ------ | ------------------- | ------------------------------------- | ------------------ | --------------- |
| closed | forget failures     | the `LIMIT`th in a row opens          |                    |                 |
| open   | (sent before)       | (sent before)                         | closed             | stays open      |

While it is open no operation is sent, so no request waits for an unavailable store. A background probe detects when the
store is available again.
"""

LIMIT = 3
SETTLING = 5.0
"""Seconds without a failure after which pods count as holding the same tokens again."""
PROBE_EVERY = 1.0
"""Seconds between probes, times a jitter that keeps a fleet's probes apart."""


class Breaker:
    """Closed or open; see the table."""

    def __init__(self) -> None:
        self.open = False
        self._failures = 0
        self._failed_at = float("-inf")

    def succeeded(self) -> None:
        """Note a successful operation."""
        self._failures = 0

    def failed(self, now: float) -> bool:
        """Note a failed operation; return whether it opens the breaker."""
        self._failures += 1
        self._failed_at = now
        if self.open or self._failures < LIMIT:
            return False
        self.open = True
        return True

    def close(self, now: float) -> None:
        """Note a successful probe."""
        self.open = False
        self._failures = 0
        self._failed_at = now

    def settled(self, now: float) -> bool:
        """Return whether all operations of the last seconds succeeded."""
        return not self.open and now - self._failed_at >= SETTLING
