"""Limits of silence: one coarse tick for all connections instead of a timer for each.

A connection writes the moment at which it has been silent too long into its `deadline`: one attribute, no
timer to make and cancel for each request. The tick finds those that have passed, at most two TICKs late.
"""

from typing import Protocol

from sidecar.core.ports import Clock

TICK = 0.25
NEVER = float("inf")


class Watched(Protocol):
    """Something that can be silent for too long."""

    deadline: float
    """When, in the clock's seconds; NEVER for no limit."""

    def deadline_passed(self) -> None:
        """Act on it: set a new deadline or close."""


class Deadlines:
    """The tick, and the moment from which deadlines are calculated."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watched: set[Watched] = set()
        self.next_tick = clock.now() + TICK
        """The moment from which deadlines are calculated: cheap to read, and never in the past, so none is early."""

    def now(self) -> float:
        """Return the current moment, which takes longer."""
        return self._clock.now()

    def watch(self, connection: Watched) -> None:
        """Begin to check its deadline."""
        self._watched.add(connection)

    def forget(self, connection: Watched) -> None:
        """Stop checking it."""
        self._watched.discard(connection)

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await self._clock.sleep(TICK)
            self.tick()

    def tick(self) -> None:
        """Notify every connection whose deadline has passed."""
        now = self._clock.now()
        self.next_tick = now + TICK
        for connection in [watched for watched in self._watched if watched.deadline <= now]:
            connection.deadline_passed()
