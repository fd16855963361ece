"""What clients and upstream agree on: the bytes of bodies, and what is sent where there is no token."""

from collections.abc import Iterator
from random import Random
from zlib import crc32

BLOCK = Random(1).randbytes(1 << 16)
PLAIN = b"Basic cGxhaW46Y2FuYXJ5"
"""What clients of the route without a token send."""


def blocks(size: int) -> Iterator[bytes]:
    """The bytes of every large body, piece by piece."""
    whole, rest = divmod(size, len(BLOCK))
    for _ in range(whole):
        yield BLOCK
    if rest:
        yield BLOCK[:rest]


def checksum(size: int) -> int:
    """CRC-32 of `blocks(size)`."""
    crc = 0
    for block in blocks(size):
        crc = crc32(block, crc)
    return crc
