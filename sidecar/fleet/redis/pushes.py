"""Parser of a server's messages to a subscriber: RESP2, as many pushes as one read returned.

redis-py's reader takes some 20 µs of CPU for a message, and every client that can publish can send any number of them.
"""

import re
from collections.abc import Iterator

from sidecar.fleet import foreign_messages, messages
from sidecar.fleet.redis.library import InvalidResponse

Push = tuple[bytes, bytes, bytes]
"""Its kind and two arguments: of a message the channel and the payload. An error answer has the kind `ERROR`."""
ERROR = b"error"
LONGEST = max(messages.MAX_SIZE, foreign_messages.MAX_SIZE) + 1
"""Bytes of a payload that are kept: more than any valid message has."""
MOST = 4 * LONGEST
"""Bytes kept of an incomplete push: payload, channel name, the text of an error."""

_MESSAGE = re.compile(rb"\*3\r\n\$7\r\nmessage\r\n\$(\d{1,6})\r\n([^\r\n]*)\r\n\$(\d{1,6})\r\n")
_ERROR = re.compile(rb"-([^\r\n]*)\r\n")
_ARRAY = re.compile(rb"\*([1-3])\r\n")
_PART = re.compile(rb"(?:\$(-1|\d{1,10})|[:+]([^\r\n]*))\r\n")


class PushParser:
    """Takes bytes as they arrive, and returns the complete pushes."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0
        """Position in them at which the next push begins."""
        self._to_skip = 0
        """Bytes still expected of a payload that was cut."""

    def feed(self, data: bytes) -> None:
        """Add the next bytes."""
        skipped = min(self._to_skip, len(data))
        self._to_skip -= skipped
        self._bytes = self._bytes[self._at :] + data[skipped:]
        self._at = 0

    def pushes(self) -> Iterator[Push]:
        """Yield the complete pushes. Raise InvalidResponse where this is no RESP2.

        A payload is cut after `LONGEST` bytes.
        """
        while True:
            push = self._message() or self._push()
            if push is None:
                break
            yield push
        if len(self._bytes) - self._at > MOST:
            raise InvalidResponse("a push is too long")

    def _message(self) -> Push | None:
        """Parse a message of the usual size, in one step, because a flood consists of these."""
        head = _MESSAGE.match(self._bytes, self._at)
        if head is None:
            return None
        length, channel, size = head.groups()
        begin = head.end()
        end = begin + int(size)
        if end + 2 > len(self._bytes) or end - begin > LONGEST or len(channel) != int(length):
            return None
        self._at = end + 2
        return b"message", channel, self._bytes[begin:end]

    def _push(self) -> Push | None:
        """Parse any other push, None if it is not complete."""
        error = _ERROR.match(self._bytes, self._at)
        if error is not None:
            self._at = error.end()
            return ERROR, error[1], b""
        array = _ARRAY.match(self._bytes, self._at)
        if array is None:
            self._may_begin(self._at, b"*-")
            return None
        at, parts = array.end(), [b"", b"", b""]
        for number in range(int(array[1])):
            part = self._part(at)
            if part is None:
                return None
            parts[number], at = part
        self._to_skip = max(0, at - len(self._bytes))
        self._at = at - self._to_skip
        kind, first, second = parts
        return kind, first, second

    def _part(self, at: int) -> tuple[bytes, int] | None:
        """Return one element of an array and its end: after all that has arrived, if it was cut."""
        head = _PART.match(self._bytes, at)
        if head is None:
            self._may_begin(at, b"$:+")
            return None
        if head[1] is None:
            return head[2], head.end()
        size = max(0, int(head[1]))
        kept = self._bytes[head.end() : head.end() + min(size, LONGEST)]
        end = head.end() + size + 2 if head[1] != b"-1" else head.end()
        return None if end > len(self._bytes) and len(kept) < LONGEST else (kept, end)

    def _may_begin(self, at: int, signs: bytes) -> None:
        """Raise InvalidResponse unless the position may begin a line with one of these signs."""
        if self._bytes[at : at + 1] not in signs or self._bytes.find(b"\r\n", at) >= 0:
            raise InvalidResponse(f"unexpected bytes: {self._bytes[at : at + 40]!r}")
