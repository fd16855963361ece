"""Header blocks of one connection: each a length in one octet and the block; 254 and 255 begin other steps.

Oracles:

1. The library `hpack` reads the same fields from each block, or both refuse it: after changes of the table's size too,
   and where the sidecar remembers the block.
2. What is written for the next hop is read as the same fields by `hpack` without a table, and by the sidecar.
3. A list of fields over the limit is refused, and leaves the table as it is without the limit.
4. What is held is bounded: the table, and what is remembered of blocks.
"""

from collections.abc import Iterator

from sidecar.http2.hpack import DEFAULT_TABLE, MEMO_BYTES, RESET, Decoder, HeadersTooLarge
from tests.fuzz.target import Target
from tests.support.hpack_readers import Both
from tests.support.object_size import deep_size
from tests.unit.http2.blocks import indexed, literal, resized

AGAIN, RESIZE = 254, 255
UNIT = 32
"""Octets by which a step changes the table's size."""
SMALL_LIST = 200
MOST_HELD = 40 * (DEFAULT_TABLE + 2 * MEMO_BYTES)
"""An octet of a field, or of what is remembered, takes some octets of objects."""


def steps(data: bytes) -> Iterator[bytes | int]:
    """Return the blocks, and the sizes that the table is allowed in between."""
    blocks = [b""]
    while data:
        kind, data = data[0], data[1:]
        if kind == RESIZE:
            yield (data[0] if data else 0) * UNIT
            data = data[1:]
            continue
        if kind == AGAIN:
            blocks.append(blocks[-(data[0] if data else 0) % len(blocks)])
            data = data[1:]
        else:
            blocks.append(data[:kind])
            data = data[kind:]
        yield blocks[-1]


def check(data: bytes) -> None:
    """Decode the blocks."""
    both = Both(DEFAULT_TABLE)
    limited: Decoder | None = Decoder(max_list=SMALL_LIST)
    for step in steps(data):
        if isinstance(step, int):
            both.allow(step)
            limited = None  # its longest string depends on the table's size
        elif check_block(step, both):
            check_limited(step, both, limited)
        else:
            break
    assert deep_size(both.ours) <= MOST_HELD, "too much is held"


def check_block(block: bytes, both: Both) -> bool:
    """Compare a block; return False if both refuse it, after which the connection cannot go on."""
    expected = both.by_library(block)
    decoded = both.by_sidecar(block)
    assert decoded == expected
    if expected is None:
        return False
    relayed = RESET + b"".join([field.wire for field in both.read])
    next_hop = Both(0)
    assert next_hop.by_library(relayed) == expected
    assert next_hop.by_sidecar(relayed) == expected
    return True


def check_limited(block: bytes, both: Both, limited: Decoder | None) -> None:
    """Oracle 3."""
    if limited is None:
        return
    size = sum(field.size for field in both.read)
    try:
        found = limited.decode(block)
    except HeadersTooLarge:
        assert size > SMALL_LIST
    else:
        assert size <= SMALL_LIST
        assert [(field.name, field.value) for field in found.fields] == [
            (field.name, field.value) for field in both.read
        ]


def written(*blocks: bytes) -> bytes:
    """Return the input with these blocks."""
    return b"".join([bytes((len(block),)) + block for block in blocks])


FILLS = literal("indexing", b"a", b"v" * 30) + literal("indexing", b":path", b"/x", huffman=True)
EXACT = resized(64) + literal("indexing", b"a", b"") + literal("indexing", b"", b"")
TARGET = Target(
    check,
    seeds=(
        written(FILLS, indexed(62), literal("indexing", b"b", b"")) + bytes((AGAIN, 2)),
        written(EXACT, indexed(62), indexed(63)),
        written(FILLS, indexed(62) + indexed(63), indexed(62)) + bytes((AGAIN, 1, AGAIN, 3)),
        written(literal("never", b"authorization", b"s", huffman=True) + literal("without", 4, b"/a")),
        written(FILLS) + bytes((RESIZE, 1)) + written(resized(32) + indexed(2), FILLS),
        written(resized(0) + indexed(2), resized(4096) + FILLS),
        written(literal("without", b"long", b"l" * 200), indexed(62)),
        written(literal("indexing", 15, b"", huffman=True), b"\x7f\x80\x80\x80\x80\x00", b"\xff\x00"),
    ),
    words=(
        *(
            b"\x82",
            b"\x84",
            b"\xbe",
            b"\xbf",
            b"\x20",
            b"\x3f\xe1\x1f",
            b"\x40\x01a\x01b",
            b"\x00\x01a\x00",
            b"\x10\x01a",
        ),
        *(
            b"\xff\xff\xff\xff\x0f",
            b"\x80\x80",
            b"\x7f",
            b"\x41\x8a",
            b"\xff\xff",
            b"\x0f\x0d",
            b"\xfe\x01",
            b"\xff\x01",
        ),
    ),
)
