"""What a peer may send and hold on one connection: windows, allowances, and their sizes.

Rule 1. Memory: a peer may send STREAM_WINDOW bytes of each stream before the other side has taken them. So a client's
        connection holds MAX_STREAMS times that at most, and an upstream's as much for each client. The connection's
        window does not bound them: slow streams would use it up, and hold up all others.
Rule 2. A header block may have MAX_BLOCK bytes, in at most MAX_CONTINUATIONS frames after the first.
Rule 3. Frames that are valid and cause work without any progress have an allowance that grows again with time. A peer
        that exceeds it gets ENHANCE_YOUR_CALM, and its connection ends. Progress refills the allowance of idle frames:
        each HEADERS and each DATA frame with content that arrives gives one back, and so does a frame's content that
        was sent since the idle frame before. A client of gRPC may send a PING with each to measure the connection.
        A WINDOW_UPDATE is idle if it is for more than the content that was sent: it returns nothing.
Rule 4. A peer that reads nothing gets no bodies. What has to be sent nevertheless (acknowledgements, credit, heads) may
        reach MAX_UNREAD bytes; then the connection is closed.

Flow control (RFC 9113 section 5.2):

Rule 5. A sender has credit for a stream and for the connection, and sends no more DATA than the smaller of both. DATA
        that exceeds it on arrival is split: queued whole it would wait forever for a peer whose windows are small.
Rule 6. A change of SETTINGS_INITIAL_WINDOW_SIZE changes the credit of every open stream, also below zero.
Rule 7. Credit above 2^31-1 is FLOW_CONTROL_ERROR: of the stream, or of the connection.
Rule 8. A receiver counts each DATA frame whole, with its padding. More than the window is FLOW_CONTROL_ERROR.
Rule 9. A stream's credit is returned when the other side has taken the bytes, the connection's when they have arrived.
        It is one WINDOW_UPDATE for half a window, so that a small exchange needs none. For a stream that is half of the
        default window, because a client that has filled the default one may wait for a WINDOW_UPDATE, although our
        SETTINGS allow more. Padding counts as taken at once.
"""

from typing import Final

from sidecar.http1.limits import MAX_HEAD
from sidecar.http2.frames import MAX_WINDOW

MAX_STREAMS: Final = 256
"""Limit: streams of a client's HTTP/2 connection at the same time (number). Beyond: REFUSED_STREAM."""
STREAM_WINDOW: Final = 128 * 1024
"""Limit: body of an HTTP/2 stream that the other side has not taken, each direction (bytes). Beyond: the sender waits
for credit."""
CONNECTION_WINDOW: Final = 4 * 1024 * 1024
"""Limit: bodies that a peer sends on an HTTP/2 connection before the sidecar has read them (bytes). Beyond: the sender
waits for credit."""
MAX_FRAME: Final = 16 * 1024
"""Limit: HTTP/2 frame (bytes). Beyond: FRAME_SIZE_ERROR."""
MAX_BLOCK: Final = 2 * MAX_HEAD
"""Limit: compressed header block of HTTP/2 (bytes). Beyond: ENHANCE_YOUR_CALM."""
MAX_CONTINUATIONS: Final = 32
"""Limit: CONTINUATION frames of an HTTP/2 header block (number). Beyond: ENHANCE_YOUR_CALM."""
HEAD_TIMEOUT: Final = 10.0
"""Limit: time for a header block of HTTP/2, and for the first SETTINGS (seconds). Beyond: the connection is closed."""
MAX_UNREAD: Final = 1024 * 1024
"""Limit: control frames and heads that an HTTP/2 peer does not read (bytes). Beyond: the connection is closed."""
MOST_RESETS: Final = 1000
"""Limit: resets of HTTP/2 streams on a connection, 100 more each second (number). Beyond: ENHANCE_YOUR_CALM."""
MOST_IDLE_FRAMES: Final = 1000
"""Limit: HTTP/2 frames without effect on a connection: PING, PRIORITY, GOAWAY, unknown frames, empty DATA, late
frames without content on a reset stream, and WINDOW_UPDATE that returns nothing; 100 more each second and one more with
each frame of progress (number). Beyond: ENHANCE_YOUR_CALM."""
MOST_SETTINGS: Final = 100
"""Limit: HTTP/2 SETTINGS frames on a connection, acknowledgements included; 10 more each second (number). Beyond:
ENHANCE_YOUR_CALM."""

_RESETS_KEPT: Final = 1000
"""Reset streams that a connection remembers one by one."""
UNDER_WAY: Final = 4
"""Frames without content that may still arrive on a reset stream: a head, an end, trailers and a reset."""


class Allowance:
    """A number of frames that grows again with time and with what is earned, up to where it began."""

    __slots__ = ("_left", "_most", "_since", "earned")

    def __init__(self, most: int) -> None:
        """Grow by a tenth of `most` each second."""
        self._most = most
        self._left = float(most)
        self._since = 0.0
        self.earned = 0
        """What progress has given back since one was taken; count it up."""

    def spend(self, now: float) -> bool:
        """Take one; return False if none is left. `now` in seconds."""
        grown = float(self.earned)
        self.earned = 0
        if now > self._since:
            grown += (now - self._since) * self._most / 10
            self._since = now
        self._left = min(self._most, self._left + grown)
        self._left -= 1
        return self._left >= 0


def exceeds(credit: int, more: int) -> bool:
    """Return whether this much more credit is too much (rule 7)."""
    return credit + more > MAX_WINDOW


class ResetStreams:
    """The streams of a connection that this side reset: the peer's frames may still arrive on them.

    The peer and the network decide how many frames still arrive. When the oldest number is dropped, all lower numbers
    count as reset too, because it is no longer known which of them were. So no late frame is taken for a fault.
    """

    __slots__ = ("_dropped", "_numbers", "_under_way")

    def __init__(self) -> None:
        self._numbers: dict[int, None] = {}
        self._dropped = 0
        """The highest number that was dropped."""
        self._under_way = 0

    def add(self, number: int) -> None:
        """Note that this side reset a stream."""
        if len(self._numbers) >= _RESETS_KEPT:
            oldest = next(iter(self._numbers))
            del self._numbers[oldest]
            self._dropped = max(self._dropped, oldest)
        self._numbers[number] = None
        self._under_way += UNDER_WAY

    def may_have(self, number: int) -> bool:
        """Return whether this side reset the stream, or may have done so long ago."""
        return number <= self._dropped or number in self._numbers

    def expect(self) -> bool:
        """Return whether a frame without content may have been under way before a reset, and count it as arrived."""
        expected = self._under_way > 0
        self._under_way -= expected
        return expected


class Returned:
    """Credit of the peer's that returns what was sent: it moves content, and more than that does not."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = 0

    def covers(self, by: int, sent: int) -> bool:
        """Count credit; return False if it is more than what was `sent` and is not returned yet."""
        if self._bytes + by > sent:
            return False
        self._bytes += by
        return True


class Incoming:
    """One window of a receiver: of a stream, or of the connection."""

    __slots__ = ("_half", "_unreturned", "left")

    def __init__(self, size: int, window: int = 0) -> None:
        """Allow `size` bytes, and return credit for half of that, or of `window` if given."""
        self._half = (window or size) // 2
        self._unreturned = 0
        self.left = size
        """Credit that the sender still has."""

    def arrive(self, size: int) -> bool:
        """Count a DATA frame; return False if it exceeds the window (rule 8)."""
        self.left -= size
        return self.left >= 0

    def taken(self, size: int) -> int:
        """Count bytes that the other side has taken; return the credit to return now, 0 for none (rule 9)."""
        self._unreturned += size
        if self._unreturned < self._half:
            return 0
        credit, self._unreturned = self._unreturned, 0
        self.left += credit
        return credit
