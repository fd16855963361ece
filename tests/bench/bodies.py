"""Large bodies, made and counted without looking at what is in them: the load must not be the bottleneck."""

from collections.abc import Callable
from email.message import Message
from typing import Protocol

MIB = 1 << 20
CHUNK = 16 * 1024
"""A chunk of a chunked body."""
SIZED = b"x" * MIB
CHUNKED = (b"%x\r\n%b\r\n" % (CHUNK, b"x" * CHUNK)) * (MIB // CHUNK)
LAST_CHUNK = b"0\r\n\r\n"


class Stream(Protocol):
    """A buffered reader."""

    def readline(self) -> bytes: ...
    def readinto(self, buffer: memoryview, /) -> int: ...


def framing(kind: str, size: int) -> tuple[str, str]:
    """The field that goes before such a body."""
    return ("Content-Length", str(size)) if kind == "sized" else ("Transfer-Encoding", "chunked")


def send(write: Callable[[bytes], object], kind: str, size: int) -> None:
    """Write a body of `size` bytes, a whole number of MiB."""
    block = SIZED if kind == "sized" else CHUNKED
    for _ in range(size // MIB):
        write(block)
    if kind == "chunked":
        write(LAST_CHUNK)


def receive(stream: Stream, fields: Message) -> int:
    """Read a body to its end: how many bytes it had. Fewer than announced when it breaks off."""
    if fields.get("Transfer-Encoding") != "chunked":
        return _discard(stream, int(fields.get("Content-Length", 0)))
    total = 0
    while size := int(stream.readline() or b"0", 16):
        total += _discard(stream, size)
        stream.readline()
    stream.readline()
    return total


def _discard(stream: Stream, size: int) -> int:
    buffer = memoryview(bytearray(min(size, MIB)))
    left = size
    while left and (got := stream.readinto(buffer[:left])):
        left -= got
    return size - left
