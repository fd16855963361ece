"""Bodies: where they end. A decoder takes the bytes that arrive and separates content from what follows.

Rule 1. A sized body is counted, never parsed: 1 GiB costs a subtraction a read.
Rule 2. A chunk's size is 1 to 15 hex digits; extensions, of at most 256 bytes, follow the grammar of RFC 9112
        section 7.1.1 and are dropped; the line ends in CRLF, and so does the chunk. Anything else is malformed:
        a lenient reader is how requests are smuggled (RFC 9112 sections 7.1 and 11.2).
Rule 3. A trailer section is judged by llhttp like a head, and is at most 8 KiB. Line ends that no head may have are
        malformed at once, because what ends in them would never end.
Rule 4. An end of the connection ends only a body that is delimited by it; any other is then truncated.
"""

import re
from typing import Protocol

from sidecar.core.errors import MessageMalformed
from sidecar.http1.foreign import NEVER_IN_HEAD
from sidecar.http1.headers import CHUNKED
from sidecar.http1.message import judge_request

_MAX_SIZE_LINE = 15 + 256
_MAX_TRAILERS = 8 * 1024
"""Limit: trailers (bytes). Beyond: 400; a response is cut off."""
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED = rb'"(?:[\t\x20!\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_EXTENSION = rb"[ \t]*+;[ \t]*+%b(?:[ \t]*+=[ \t]*+(?:%b|%b))?" % (_TOKEN, _TOKEN, _QUOTED)
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:\Z|(?:%b)+)" % _EXTENSION)


class Body(Protocol):
    """One body being read."""

    trailers: list[bytes]
    """The trailing field lines, once the body has ended."""

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        """Return the content in `data`, and what follows the body's end: None while the body goes on.

        Raises MessageMalformed.
        """

    def ends_with_connection(self) -> bool:
        """Return whether an end of the connection here is a proper end of the body."""


class SizedBody:
    """Content-Length bytes."""

    __slots__ = ("_left", "trailers")

    def __init__(self, length: int) -> None:
        self._left = length
        self.trailers: list[bytes] = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return [data], None
        if left == 0:
            return [data], b""
        end = self._left
        return [data[:end]], data[end:]

    def ends_with_connection(self) -> bool:
        return False


class UntilCloseBody:
    """Everything until the connection ends."""

    __slots__ = ("trailers",)

    def __init__(self) -> None:
        self.trailers: list[bytes] = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        return [data], None

    def ends_with_connection(self) -> bool:
        return True


class ChunkedBody:
    """Chunks and trailers (RFC 9112 section 7.1).

    `_left` is the state: bytes left of a chunk and its CRLF, or one of the two constants below.
    """

    __slots__ = ("_held", "_left", "trailers")

    _SIZE = 0
    _TRAILERS = -1

    def __init__(self) -> None:
        self._left = self._SIZE
        self._held = b""
        self.trailers: list[bytes] = []

    def feed(self, data: bytes) -> tuple[list[bytes], bytes | None]:
        if self._held:
            data, self._held = self._held + data, b""
        content: list[bytes] = []
        at = 0
        while at < len(data):
            if self._left == self._TRAILERS:
                rest = self._read_trailers(data[at:])
                return content, rest
            in_chunk = self._left != self._SIZE
            after = self._read_chunk(data, at, content) if in_chunk else self._read_size(data, at)
            if after is None:
                break
            at = after
        return content, None

    def _read_size(self, data: bytes, at: int) -> int | None:
        end = data.find(b"\r\n", at, at + _MAX_SIZE_LINE + 2)
        if end < 0:
            self._held = data[at:]
            if len(self._held) > _MAX_SIZE_LINE or b"\n" in self._held:
                raise MessageMalformed("a chunk's size line is malformed or too long")
            return None
        line = _SIZE_LINE.fullmatch(data, at, end)
        if line is None:
            raise MessageMalformed("a chunk's size line is malformed")
        size = int(line[1], 16)
        self._left = size + 2 if size else self._TRAILERS
        return end + 2

    def _read_chunk(self, data: bytes, at: int, content: list[bytes]) -> int | None:
        """Read content up to the chunk's CRLF; the CRLF is held back until it has arrived whole."""
        here = len(data) - at
        size = self._left - 2
        if here < size:
            content.append(data[at:] if at else data)
            self._left -= here
            return None
        if size > 0:
            content.append(data[at : at + size])
            self._left = 2
            at += size
            here -= size
        if here < 2:
            self._held = data[at:]
            if self._held and self._held != b"\r":
                raise MessageMalformed("a chunk does not have the length of its size line")
            return None
        if data[at : at + 2] != b"\r\n":
            raise MessageMalformed("a chunk does not have the length of its size line")
        self._left = self._SIZE
        return at + 2

    def _read_trailers(self, data: bytes) -> bytes | None:
        if data.startswith(b"\r\n"):
            return data[2:]
        end = data.find(b"\r\n\r\n")
        if NEVER_IN_HEAD.search(data, 0, end if end >= 0 else len(data)):
            raise MessageMalformed(
                "the trailer section holds a bare line feed, a bare carriage return or a NUL"
            )
        if end < 0:
            if len(data) > _MAX_TRAILERS:
                raise MessageMalformed("the trailer section is too long")
            self._held = data
            return None
        if end > _MAX_TRAILERS:
            raise MessageMalformed("the trailer section is too long")
        judge_request(b"GET / HTTP/1.1\r\n" + data[: end + 4])
        self.trailers = data[:end].split(b"\r\n")
        return data[end + 4 :]

    def ends_with_connection(self) -> bool:
        return False


def body_of(length: int) -> Body:
    """Return the decoder for a body of this length (bytes, CHUNKED or UNTIL_CLOSE)."""
    if length >= 0:
        return SizedBody(length)
    return ChunkedBody() if length == CHUNKED else UntilCloseBody()
