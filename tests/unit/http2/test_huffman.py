"""Huffman's code: what every other decoder of it returns, or refuses."""

import pytest
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http2.hpack_tables import decoded

ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def padded(bits: str, padding: str = "1") -> bytes:
    """These bits as octets, the last one filled up with `padding`."""
    bits += padding * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))


def code(symbol: int) -> str:
    """The code of an octet, or of the end of a string (256)."""
    return format(REQUEST_CODES[symbol], f"0{REQUEST_CODES_LENGTH[symbol]}b")


@pytest.mark.parametrize("symbol", range(256))
def test_every_octet_is_decoded(symbol: int) -> None:
    """As first, in the middle and last, so at several places within an octet."""
    for before in range(8):
        text = b"0" * before + bytes((symbol,)) + b"&0"
        assert decoded(ENCODER.encode(text)) == text


def test_an_empty_string_is_one() -> None:
    """It has no padding either."""
    assert decoded(b"") == b""


@pytest.mark.parametrize(
    ("bits", "padding"),
    [
        (code(256), "1"),  # the end of a string, complete
        (code(256) + code(ord("a")), "1"),
        (code(ord("a")) + code(256), "1"),
        (code(ord("a")), "0"),  # padding of zeros, within another symbol
        (code(ord("a")) + "110", "1"),  # padding that is not all ones
        (code(ord("a")) + "11" + "1" * 9, "1"),  # padding of an octet and more
        ("1" * 8, "1"),
        ("1" * 29, "1"),
    ],
)
def test_rules_1_and_2_malformed_codes_are_refused(bits: str, padding: str) -> None:
    """Wherever the fault stands."""
    assert decoded(padded(bits, padding)) is None


@pytest.mark.parametrize(
    "symbol", [ord("0"), ord(" "), ord("a"), ord(":"), ord("&"), ord("X"), ord(";"), ord("!")]
)
def test_rule_1_padding_of_ones_is_accepted(symbol: int) -> None:
    """Of none to seven bits: the codes have 5, 6, 7, 8 and 10 bits."""
    for count in range(1, 9):
        assert decoded(padded(code(symbol) * count)) == bytes((symbol,)) * count


@given(st.binary(max_size=40))
def test_any_string_comes_back(text: bytes) -> None:
    """Of all octets."""
    assert decoded(ENCODER.encode(text)) == text


@given(
    st.one_of(
        st.binary(max_size=12),
        st.lists(st.sampled_from(range(257)), max_size=6).map(
            lambda symbols: padded("".join(map(code, symbols)))
        ),
    )
)
def test_any_octets_mean_what_another_decoder_reads(coded: bytes) -> None:
    """Random ones, and those that hold the end of a string."""
    try:
        expected = bytes(decode_huffman(coded))
    except HPACKDecodingError:
        assert decoded(coded) is None
    else:
        assert decoded(coded) == expected
