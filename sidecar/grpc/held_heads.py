"""Heads of answers that are held until it is known what follows them.

A server may send the head of an answer and then a status without a message. So the sidecar holds the head until the
stream's next frame, HOLD at most. One timer serves all heads: it ticks twice in that time. A head is relayed at its
second tick.
"""

import asyncio
from abc import abstractmethod
from typing import Final, Protocol

HOLD: Final = 0.005
"""Limit: time for which the head of a gRPC response is held until its next frame (seconds). Beyond: it is relayed."""


class Holding(Protocol):
    """A call whose head is held."""

    @abstractmethod
    def held_long_enough(self) -> None:
        """Relay the head, unless it was relayed."""


class HeldHeads:
    """The heads that are held, and one timer."""

    def __init__(self) -> None:
        self._young: list[Holding] = []
        self._old: list[Holding] = []
        self._ticks = False

    def hold(self, call: Holding) -> None:
        """Notify the call after half of HOLD at the earliest, and HOLD at the latest."""
        self._young.append(call)
        if not self._ticks:
            self._ticks = True
            asyncio.get_running_loop().call_later(HOLD / 2, self._tick)

    def _tick(self) -> None:
        due, self._old, self._young = self._old, self._young, []
        self._ticks = bool(self._old)
        if self._ticks:
            asyncio.get_running_loop().call_later(HOLD / 2, self._tick)
        for call in due:
            call.held_long_enough()
