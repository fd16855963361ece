"""Content that waits is kept in pieces that are not too small."""

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http2.streams import add_piece


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ([0], [0]),
        ([0, 0, 0], [0]),
        ([5, 0], [5]),
        ([1, 1, 1], [3]),
        ([256, 256, 1], [512, 1]),
        ([511, 2, 511], [511, 2, 511]),
        ([16_384, 1, 1, 16_384, 1], [16_384, 2, 16_384, 1]),
        ([512, 512], [512, 512]),
    ],
)
def test_rule_1_small_pieces_are_joined(sizes: list[int], kept: list[int]) -> None:
    """Large ones are not copied."""
    pieces: list[bytes] = []
    for size in sizes:
        add_piece(pieces, bytes(size))
    assert [len(piece) for piece in pieces] == kept


@given(st.lists(st.binary(max_size=600)))
def test_rule_1_no_byte_is_lost(contents: list[bytes]) -> None:
    """And two pieces in a row are never both small."""
    pieces: deque[bytes] = deque()
    for content in contents:
        add_piece(pieces, content)
    assert b"".join(pieces) == b"".join(contents)
    kept = list(pieces)
    assert all(len(one) + len(two) >= 512 for one, two in pairwise(kept))
