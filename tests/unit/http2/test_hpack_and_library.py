"""The decoder beside the library `hpack`, and what that reads of the sidecar's encoding."""

from collections.abc import Callable

import pytest
from hpack import Decoder as LibraryDecoder
from hpack import Encoder as LibraryEncoder
from hpack.struct import NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http2.fields import field
from sidecar.http2.hpack import RESET, Decoder
from tests.support.hpack_readers import MAX_LIST, Both
from tests.unit.http2.blocks import indexed, literal, resized

SIZES = (0, 1, 31, 32, 33, 40, 64, 100, 255, 256, 4096, 8192)


NAMES = st.one_of(
    st.integers(0, 70),
    st.sampled_from([b"a", b"b", b"x-request-id", b":path", b"te", b""]),
    st.binary(max_size=4),
)
VALUES = st.one_of(
    st.sampled_from([b"", b"v", b"w" * 8, b"trailers", b"y" * 60, b"z" * 130]), st.binary(max_size=6)
)
LITERALS = st.builds(
    literal,
    st.sampled_from(["indexing", "indexing", "without", "never"]),
    NAMES,
    VALUES,
    huffman=st.booleans(),
)
INDEXED = st.one_of(st.integers(1, 66), st.integers(62, 64), st.integers(0, 300)).map(indexed)
UPDATES = st.one_of(st.sampled_from(SIZES), st.integers(0, 8192)).map(resized)
VALID = st.one_of(LITERALS, INDEXED)
BLOCKS = st.one_of(
    st.lists(VALID, max_size=6).map(b"".join),
    st.tuples(st.lists(UPDATES, max_size=2).map(b"".join), st.lists(VALID, max_size=4).map(b"".join)).map(
        b"".join
    ),
    st.lists(st.one_of(VALID, UPDATES, st.binary(max_size=3)), max_size=4).map(b"".join),
    st.binary(max_size=12),
)
EARLIER = st.integers(-4, -1)
"""A block that came before."""
STEPS = st.lists(st.one_of(BLOCKS, BLOCKS, BLOCKS, EARLIER, EARLIER, st.sampled_from(SIZES)), max_size=12)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 100, 4096])
@given(steps=STEPS)
def test_both_read_or_refuse_the_same_blocks(size: int, steps: list[bytes | int]) -> None:
    """At each table size, and while that changes; each block twice and later again, from the memo or not."""
    both = Both(size)
    blocks = [b""]
    for step in steps:
        if isinstance(step, int) and step >= 0:
            both.allow(step)
            continue
        block = blocks[step % len(blocks)] if isinstance(step, int) else step
        blocks.append(block)
        if not (both.same(block) and both.same(block)):
            return


@given(st.lists(st.lists(VALID, min_size=1, max_size=5).map(b"".join), min_size=1, max_size=3), st.data())
def test_both_read_or_refuse_what_is_left_of_a_cut_block(blocks: list[bytes], data: st.DataObject) -> None:
    """Cut anywhere, after blocks that fill the table."""
    both = Both(4096)
    for block in blocks[:-1]:
        if not both.same(block):
            return
    both.same(blocks[-1][: data.draw(st.integers(0, len(blocks[-1])))])


@given(
    st.lists(
        st.lists(st.tuples(st.binary(min_size=1, max_size=4), st.binary(max_size=5)), max_size=5), max_size=6
    ),
    st.lists(st.sampled_from(SIZES), max_size=6),
)
def test_what_the_library_encodes_is_read(
    messages: list[list[tuple[bytes, bytes]]], sizes: list[int]
) -> None:
    """With tables that it resizes between messages."""
    decoder = Decoder(8192, max_list=MAX_LIST)
    encoder = LibraryEncoder()
    for number, message in enumerate(messages):
        if number < len(sizes):
            encoder.header_table_size = sizes[number]
        block = encoder.encode(message, huffman=number % 2 == 0)
        assert [(found.name, found.value) for found in decoder.decode(block).fields] == message


def wires(decoder: Decoder, block: bytes) -> bytes:
    """What leaves for the fields of a block that arrived."""
    return b"".join([found.wire for found in decoder.decode(block).fields])


LONG = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([125, 126, 127, 128, 254, 255, 256, 16_510]).map(lambda length: b"l" * length),
)


@given(st.lists(st.tuples(LONG, LONG, st.booleans()), max_size=6))
def test_the_library_reads_fields_of_our_own(fields: list[tuple[bytes, bytes, bool]]) -> None:
    """With strings of each form of length; a never indexed one stays that."""
    made = [field(name, value, never=never) for name, value, never in fields]
    decoded = list(
        LibraryDecoder(MAX_LIST).decode(RESET + b"".join([entry.wire for entry in made]), raw=True)
    )
    assert [
        (bytes(entry[0]), bytes(entry[1]), isinstance(entry, NeverIndexedHeaderTuple)) for entry in decoded
    ] == fields


@given(
    st.lists(
        st.one_of(VALID, st.builds(literal, st.just("indexing"), LONG, LONG, huffman=st.booleans())),
        max_size=6,
    ).map(b"".join)
)
def test_the_library_reads_what_leaves_for_fields_that_arrived(block: bytes) -> None:
    """Whatever their form, the next hop reads the same from a form that needs no table."""
    both = Both(4096)
    for name in (b"a", b"b"):
        assert both.same(literal("indexing", name, b"v"))
    expected = both.by_library(block)
    if expected is None:
        return
    relayed = RESET + wires(both.ours, block)
    next_hop = Both(0)
    assert next_hop.by_library(relayed) == next_hop.by_sidecar(relayed) == expected


@pytest.mark.parametrize("make", [lambda: field(b":method", b"GET"), lambda: field(b":status", b"200")])
def test_static_pairs_leave_as_one_octet(make: Callable[[], object]) -> None:
    """They are the entries of the static table themselves."""
    assert make() is make()
