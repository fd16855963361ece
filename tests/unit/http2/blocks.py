"""Header blocks of any form, the malformed too, written octet by octet."""

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from sidecar.http2.fields import Block, field

Pair = tuple[bytes, bytes]
_FORMS = {"indexing": (0x40, 6), "without": (0x00, 4), "never": (0x10, 4)}
_HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def integer(flags: int, prefix: int, value: int) -> bytes:
    """An integer with a prefix of so many bits, below these flags."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes((flags | value,))
    octets = [flags | most]
    value -= most
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*octets, value))


def string(value: bytes, *, huffman: bool = False) -> bytes:
    """A string."""
    coded = _HUFFMAN.encode(value) if huffman else value
    return integer(0x80 if huffman else 0, 7, len(coded)) + coded


def indexed(index: int) -> bytes:
    """An indexed field."""
    return integer(0x80, 7, index)


def literal(form: str, name: int | bytes, value: bytes, *, huffman: bool = False) -> bytes:
    """A literal field of a form ("indexing", "without" or "never"); its name by index, or itself."""
    flags, prefix = _FORMS[form]
    begin = (
        integer(flags, prefix, name)
        if isinstance(name, int)
        else bytes((flags,)) + string(name, huffman=huffman)
    )
    return begin + string(value, huffman=huffman)


def resized(size: int) -> bytes:
    """A table size update."""
    return integer(0x20, 5, size)


def block(*pairs: Pair) -> Block:
    """The decoded block of these fields."""
    fields = [field(name, value) for name, value in pairs]
    return Block(fields, sum(entry.size for entry in fields))
