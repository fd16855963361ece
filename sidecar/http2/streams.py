"""One stream: what both sides of an exchange share.

| state              | the peer sends                    | the sidecar sends      | left by                           |
| ------------------ | --------------------------------- | ---------------------- | --------------------------------- |
| open               | DATA, trailers, RST_STREAM        | the same               | an END_STREAM or a reset          |
| half-closed remote | nothing; DATA is STREAM_CLOSED    | DATA, trailers         | our END_STREAM or a reset         |
| half-closed local  | DATA, trailers, RST_STREAM        | RST_STREAM only        | the peer's END_STREAM or a reset  |
| closed             | nothing; see `connection`         | nothing                | -                                 |

`remote_ended` and `local_ended` are the two halves; `closed` means that either side has reset the stream.

Rule 1. Content that the peer's windows do not allow waits here, and so does the end after it. Nothing overtakes it.
        Small pieces are joined where they wait: windows bound the bytes, and a piece takes memory of its own.
Rule 2. Content that is sent gives credit to its `source`, the stream that it arrived on, and only then.
Rule 3. A declared length equals the content: else PROTOCOL_ERROR (RFC 9113 section 8.1.1).
Rule 4. When a stream is given up, what waits and what was not taken is forgotten.
"""

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from sidecar.http1.deadlines import NEVER
from sidecar.http2 import frames
from sidecar.http2.fields import Block
from sidecar.http2.frames import DEFAULT_WINDOW, ErrorCode, FrameFault
from sidecar.http2.limits import MAX_FRAME, STREAM_WINDOW, Incoming

if TYPE_CHECKING:
    from sidecar.http2.connection import Connection


_SMALL = 512
"""Bytes up to which pieces are joined, so that what waits takes little more memory than its bytes."""


def add_piece(pieces: "deque[bytes] | list[bytes]", content: bytes) -> None:
    """Keep content as the last piece, or in it if both are small."""
    if pieces and len(content) < _SMALL and len(pieces[-1]) + len(content) <= _SMALL:
        pieces[-1] += content
    else:
        pieces.append(content)


class Stream(ABC):
    """See the head of this module."""

    __slots__ = (
        "_after",
        "_ending",
        "_waiting",
        "closed",
        "connection",
        "credit",
        "credited",
        "deadline",
        "local_ended",
        "number",
        "remote_ended",
        "source",
        "unsent",
        "untaken",
        "window",
        "written",
    )

    def __init__(self, connection: "Connection", number: int) -> None:
        self.connection = connection
        self.number = number
        self.credit = connection.initial_credit
        """Bytes that the peer allows to send."""
        self.window = Incoming(STREAM_WINDOW, DEFAULT_WINDOW)
        self.untaken = 0
        """Bytes that arrived and that the other side has not taken."""
        self.unsent = -1
        """Bytes of content that have to arrive by the declared length; -1 without one."""
        self.remote_ended = False
        self.local_ended = False
        self.closed = False
        self.deadline = NEVER
        self.source: Stream | None = None
        self.credited = 0
        """Bytes at the beginning whose credit their source has already: they are sent for the second time."""
        self.written = 0
        """Bytes of content sent."""
        self._waiting: deque[bytes] | None = None
        """The content that waits; None while there never was any."""
        self._after = 0
        """Bytes of the first piece that were sent."""
        self._ending: bytes | None = None
        """What follows the pieces: b"" for the bare end, else a block of trailers; None if more may come."""

    # Sending

    def send_head(self, block: bytes, *, end: bool) -> None:
        """Send a header block."""
        if self.closed or self.local_ended:
            return
        self.connection.put_block(self.number, block, end)
        if end:
            self._end_output()

    def send_body(self, content: bytes, *, end: bool) -> None:
        """Send content, or keep what the windows do not allow (rule 1)."""
        if self.closed or self.local_ended:
            return
        connection, size = self.connection, len(content)
        if (
            not self._waiting
            and size <= self.credit
            and size <= connection.credit
            and connection.takes_bodies
        ):
            self._put(content, end=end)
            return
        if self._waiting is None:
            self._waiting = deque()
        add_piece(self._waiting, content)
        if end:
            self._ending = b""
        connection.wait_for_credit(self)
        while self.pump():
            pass

    def send_end(self, trailers: bytes) -> None:
        """Send the end after the content: a block of trailers, or b"" for none."""
        if self.closed or self.local_ended:
            return
        if self._waiting:
            self._ending = trailers
        elif trailers:
            self.send_head(trailers, end=True)
        else:
            self._put(b"", end=True)

    def pump(self) -> bool:
        """Send one frame of what waits; return whether one was sent."""
        waiting, connection = self._waiting, self.connection
        if not waiting or not connection.takes_bodies:
            return False
        first, after = waiting[0], self._after
        size = max(0, min(len(first) - after, self.credit, connection.credit, MAX_FRAME))
        if not size and after < len(first):
            return False
        if after + size == len(first):
            waiting.popleft()
            self._after = 0
        else:
            self._after = after + size
        over = not waiting
        trailers = self._ending if over else None
        if over:
            connection.no_longer_waits(self)
        self._put(first[after : after + size], end=trailers == b"")
        if trailers:
            self.send_head(trailers, end=True)
        return True

    def _put(self, content: bytes, *, end: bool) -> None:
        size = len(content)
        connection = self.connection
        self.credit -= size
        connection.credit -= size
        self.written += size
        connection.put(frames.head(size, frames.DATA, frames.END_STREAM if end else 0, self.number) + content)
        source = self.source
        if source is not None and size:
            again = min(self.credited, size)
            self.credited -= again
            source.taken(size - again)
        if end:
            self._end_output()

    def _end_output(self) -> None:
        self.local_ended = True
        if self.remote_ended:
            self.connection.forget(self)
        self.output_ended()

    @property
    def waits(self) -> bool:
        """Whether content waits for the peer's credit."""
        return bool(self._waiting)

    # Receiving

    def arrive(self, content: bytes, *, end: bool) -> None:
        """Count content and hand it on. Raises FrameFault (rule 3)."""
        size = len(content)
        self.untaken += size
        if self.unsent >= 0:
            self.unsent -= size
            if self.unsent < 0:
                raise self.length_fault()
        if end:
            self.end_input()
        self.body_arrived(content, end=end)
        if end and self.local_ended:
            self.connection.forget(self)

    def end_input(self) -> None:
        """Note the peer's END_STREAM. Raises FrameFault (rule 3)."""
        if self.unsent > 0:
            raise self.length_fault()
        self.remote_ended = True

    def length_fault(self) -> FrameFault:
        """Return the fault of content that has another length than declared."""
        return FrameFault(ErrorCode.PROTOCOL_ERROR, "content-length differs from the content", self.number)

    def taken(self, size: int) -> None:
        """Return the credit of content that the other side has taken."""
        size = min(size, self.untaken)
        if not size:
            return
        self.untaken -= size
        if not self.remote_ended and not self.closed:
            credit = self.window.taken(size)
            if credit:
                self.connection.put(frames.window_update(self.number, credit))

    # Ends

    def reset(self, code: int) -> None:
        """End the stream at once, unless it has ended."""
        if not self.closed and not (self.local_ended and self.remote_ended):
            self.connection.put(frames.rst_stream(self.number, code))
            self.connection.note_reset(self.number)
        self.give_up()

    def give_up(self) -> None:
        """Forget what waits and what is not taken (rule 4)."""
        self.closed = True
        self._waiting = None
        self._after = 0
        self.untaken = 0
        connection = self.connection
        connection.no_longer_waits(self)
        connection.forget(self)

    @abstractmethod
    def head_arrived(self, block: Block, *, end: bool) -> None:
        """A header block arrived. Raises FrameFault."""

    @abstractmethod
    def body_arrived(self, content: bytes, *, end: bool) -> None:
        """Content arrived, which may be empty at the end."""

    @abstractmethod
    def output_ended(self) -> None:
        """All was sent."""

    @abstractmethod
    def reset_arrived(self, code: int) -> None:
        """The peer has reset the stream."""

    @abstractmethod
    def faulty(self, fault: FrameFault) -> None:
        """The peer broke a rule on this stream; reset it."""

    @abstractmethod
    def lost(self, why: str) -> None:
        """The connection has ended."""

    @abstractmethod
    def silent(self) -> None:
        """The deadline has passed: set a new one or end the stream."""
