"""A request's body on its way to the upstream, kept for a second send as long as it is small.

The first REPLAY_LIMIT bytes are kept beside being sent. A body that outgrows them, or finds the process's
budget spent, streams on without a copy and can no longer be sent again.

Between a refusal and the second send there is no target: what the client sends meanwhile is kept. Beyond the limit the
client is paused, so that the copy, which is about to be needed, stays.
"""

from typing import Protocol

from sidecar.core.errors import SidecarError
from sidecar.core.header_names import Hidden
from sidecar.http1.connection import Connection

REPLAY_LIMIT = 64 * 1024
"""Limit: body of a request that is kept for a second send (bytes). Beyond: the body is not kept, so the request is
sent once only."""
REPLAY_BUDGET = 16 * 1024 * 1024
"""Limit: all bodies of requests that are kept for a second send (bytes). Beyond: further bodies are not kept."""


class ReplayBudget:
    """Bytes that all uploads of the process may keep together."""

    def __init__(self, limit: int = REPLAY_BUDGET) -> None:
        self._left = limit

    def take(self, size: int) -> bool:
        """Reserve `size` bytes if there are as many."""
        if size > self._left:
            return False
        self._left -= size
        return True

    def give_back(self, size: int) -> None:
        """Return what was taken."""
        self._left += size


class Target(Protocol):
    """The upstream's connection, as far as an upload is concerned."""

    source: Connection | None

    @property
    def write_paused(self) -> bool: ...
    def write_body(self, pieces: list[bytes]) -> None: ...
    def end_body(self, trailers: list[bytes]) -> None: ...
    def break_body(self, error: SidecarError) -> None: ...


class Upload:
    """The sink of a client's request body."""

    def __init__(self, client: Connection, budget: ReplayBudget, hidden: Hidden | None = None) -> None:
        """Trailers that are `hidden` are left out."""
        self._hidden = hidden
        self._client = client
        self._budget = budget
        self._kept: list[bytes] | None = []
        self._kept_size = 0
        self._reserved = 0
        self._target: Target | None = None
        self._trailers: list[bytes] = []
        self.bytes_in = 0
        self.ended = False
        """The client has sent all of it."""
        self.error: SidecarError | None = None
        """Why the client will never send the rest."""

    @property
    def replayable(self) -> bool:
        """Whether everything sent so far can be sent again."""
        return self._kept is not None and self.error is None

    @property
    def write_paused(self) -> bool:
        """Whether the client has to wait."""
        if self._target is not None:
            return self._target.write_paused
        return self._kept_size > REPLAY_LIMIT

    def aim(self, target: Target) -> None:
        """Send to `target`: what is kept first, then what comes."""
        self._target = target
        target.source = self._client
        if self._kept:
            target.write_body(list(self._kept))
        if self.ended:
            target.end_body(self._trailers)
        elif not target.write_paused:
            self._client.resume_reading()

    def hold(self) -> bool:
        """Send the target nothing more and keep what arrives for the next one; return False if there is no room for
        that.

        The room is reserved at once, because bytes that arrive later must be kept.
        """
        self.detach()
        if self.replayable and not self.ended and not self._reserve(REPLAY_LIMIT):
            self.release()
        return self.replayable

    def detach(self) -> None:
        """Send the target nothing more."""
        if self._target is not None:
            self._target.source = None
            self._target = None

    def write_body(self, pieces: list[bytes]) -> None:
        size = sum(map(len, pieces))
        self.bytes_in += size
        if self._kept is not None:
            self._keep(self._kept, pieces, size)
        if self._target is not None:
            self._target.write_body(pieces)

    def _keep(self, kept: list[bytes], pieces: list[bytes], size: int) -> None:
        total = self._kept_size + size
        if self._target is not None and (total > REPLAY_LIMIT or not self._reserve(total)):
            self.release()
            return
        kept.extend(pieces)
        self._kept_size = total
        if total > REPLAY_LIMIT:
            self._client.pause_reading()

    def _reserve(self, total: int) -> bool:
        more = total - self._reserved
        if more > 0:
            if not self._budget.take(more):
                return False
            self._reserved = total
        return True

    def end_body(self, trailers: list[bytes]) -> None:
        self.ended = True
        if self._hidden is not None and trailers:
            trailers = self._hidden.from_trailers(trailers)
        self._trailers = trailers
        if self._target is not None:
            self._target.end_body(trailers)

    def break_body(self, error: SidecarError) -> None:
        self.error = error
        if self._target is not None:
            self._target.break_body(error)

    def release(self) -> None:
        """Give up the copy."""
        self._budget.give_back(self._reserved)
        self._kept = None
        self._kept_size = self._reserved = 0
