"""When to leave a store alone that does not answer.

| state  | a question succeeds | a question fails                      | the probe succeeds | the probe fails |
| ------ | ------------------- | ------------------------------------- | ------------------ | --------------- |
| closed | forget failures     | the `LIMIT`th in a row opens          |                    |                 |
| open   | (asked before)      | (asked before)                        | closed             | stays open      |

While it is open nobody asks, so no request ever waits for a store that is down: a probe behind the requests
finds out when it is back.
"""

LIMIT = 3
SETTLING = 5.0
"""Seconds without a failure after which the pods have met in the store again."""
PROBE_EVERY = 1.0
"""Seconds between probes, times a jitter that keeps a fleet's probes apart."""


class Breaker:
    """Closed or open; see the table."""

    def __init__(self) -> None:
        self.open = False
        self._failures = 0
        self._failed_at = float("-inf")

    def succeeded(self) -> None:
        """Note that a question was answered."""
        self._failures = 0

    def failed(self, now: float) -> bool:
        """Note that one was not; tell whether that opens the breaker."""
        self._failures += 1
        self._failed_at = now
        if self.open or self._failures < LIMIT:
            return False
        self.open = True
        return True

    def close(self, now: float) -> None:
        """Note that a probe was answered."""
        self.open = False
        self._failures = 0
        self._failed_at = now

    def settled(self, now: float) -> bool:
        """Return whether all questions of the last seconds were answered."""
        return not self.open and now - self._failed_at >= SETTLING
