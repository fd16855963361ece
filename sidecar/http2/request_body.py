"""The content of a request on its way to the upstream, kept for a second send as long as it is small.

Rule 1. It is kept up to REPLAY_LIMIT, paid for from one budget, as in HTTP/1.1 (`http1.request_body`).
Rule 2. What arrives while there is no stream to send it on is kept too. It has no credit yet, so that the stream's
        window bounds it. The budget pays for it before a second send is promised.
Rule 3. Content that is sent for the second time gives no credit again.
"""

from typing import TYPE_CHECKING

from sidecar.http1.request_body import REPLAY_LIMIT, ReplayBudget
from sidecar.http2.streams import Stream, add_piece

if TYPE_CHECKING:
    from sidecar.http2.server import ClientStream


class Upload:
    """See the head of this module."""

    __slots__ = (
        "_budget",
        "_client",
        "_kept",
        "_reserved",
        "_size",
        "_target",
        "arrived",
        "ended",
        "trailers",
    )

    def __init__(self, client: "ClientStream", budget: ReplayBudget) -> None:
        self._client = client
        self._budget = budget
        self._kept: list[bytes] | None = []
        self._size = 0
        self._reserved = 0
        self._target: Stream | None = None
        self.trailers = b""
        """The block that ends it, or b""."""
        self.arrived = 0
        """Bytes."""
        self.ended = False

    @property
    def replayable(self) -> bool:
        """Whether all that arrived can be sent again."""
        return self._kept is not None

    def arrive(self, content: bytes, *, end: bool) -> None:
        """Take content from the client."""
        self.arrived += len(content)
        self.ended = end
        if self._kept is not None:
            self._keep(self._kept, content)
        if self._target is not None:
            self._target.send_body(content, end=end)

    def end(self, trailers: bytes) -> None:
        """Take the end, with a block of trailers or b""."""
        self.ended = True
        self.trailers = trailers
        if self._target is not None:
            self._target.send_end(trailers)

    def _keep(self, kept: list[bytes], content: bytes) -> None:
        size = self._size + len(content)
        if self._target is not None and (size > REPLAY_LIMIT or not self._reserve(size)):
            self.release()
            return
        add_piece(kept, content)
        self._size = size

    def _reserve(self, size: int) -> bool:
        more = size - self._reserved
        if more > 0:
            if not self._budget.take(more):
                return False
            self._reserved = size
        return True

    def aim(self, target: Stream) -> None:
        """Send on this stream: what is kept first, then what comes."""
        client, kept = self._client, self._kept
        assert kept is not None
        target.source = client
        target.credited = self.arrived - client.untaken
        self._target = target
        last = len(kept) - 1
        for index, content in enumerate(kept):
            target.send_body(content, end=self.ended and index == last and not self.trailers)
        if self.ended and (self.trailers or not kept):
            target.send_end(self.trailers)
        if self._size > REPLAY_LIMIT or not self._reserve(self._size):
            self.release()

    def hold(self) -> bool:
        """Stop sending, and keep what comes; return False if there is no room for that."""
        self.detach()
        if (
            self._kept is not None
            and not self.ended
            and not self._reserve(self._size + self._client.window.left)
        ):
            self.release()
        return self._kept is not None

    def detach(self) -> None:
        """Stop sending."""
        if self._target is not None:
            self._target.source = None
            self._target = None

    def release(self) -> None:
        """Give up the copy."""
        self._budget.give_back(self._reserved)
        self._kept = None
        self._size = self._reserved = 0
