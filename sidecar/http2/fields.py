"""Header fields as HTTP/2 carries them, each prepared once for the next hop.

Rule 1. A name is a token in lower case (RFC 9113 section 8.2.1); a colon begins the names of pseudo-fields only.
Rule 2. A value holds no control but tabs, and neither begins nor ends with white space.
Rule 3. `wire` is the field for the next hop, written without a dynamic table. It is indexed where the static table has
        the name with the value. Else it is literal without indexing, with the index of the name if the table has that.
Rule 4. A field that came as never indexed leaves as never indexed (RFC 7541 section 7.1.3).

A field is judged when it is made, which is once for an entry of a dynamic table, and not for each request.
"""

from typing import Final

from sidecar.http2.hpack_tables import STATIC_FIELDS, STATIC_NAMES, STATIC_TABLE

ORDINARY: Final = 0
MALFORMED: Final = 1 << 0
CONNECTION_SPECIFIC: Final = 1 << 1
UNKNOWN_PSEUDO: Final = 1 << 2
METHOD: Final = 1 << 3
SCHEME: Final = 1 << 4
AUTHORITY: Final = 1 << 5
PATH: Final = 1 << 6
STATUS: Final = 1 << 7
HOST: Final = 1 << 8
CONTENT_LENGTH: Final = 1 << 9
TE: Final = 1 << 10
EXPECT: Final = 1 << 11
PROXY: Final = 1 << 12
AUTHORIZATION: Final = 1 << 13
ORIGIN: Final = 1 << 14
SEC_FETCH_SITE: Final = 1 << 15
TRACEPARENT: Final = 1 << 16
TRACESTATE: Final = 1 << 17
X_REQUEST_ID: Final = 1 << 18
CONTENT_TYPE: Final = 1 << 19
GRPC_STATUS: Final = 1 << 20

PSEUDO: Final = UNKNOWN_PSEUDO | METHOD | SCHEME | AUTHORITY | PATH | STATUS

_SPECIAL: Final[dict[bytes, int]] = {
    b":method": METHOD,
    b":scheme": SCHEME,
    b":authority": AUTHORITY,
    b":path": PATH,
    b":status": STATUS,
    b"connection": CONNECTION_SPECIFIC,
    b"keep-alive": CONNECTION_SPECIFIC,
    b"proxy-connection": CONNECTION_SPECIFIC,
    b"transfer-encoding": CONNECTION_SPECIFIC,
    b"upgrade": CONNECTION_SPECIFIC,
    b"host": HOST,
    b"content-length": CONTENT_LENGTH,
    b"te": TE,
    b"expect": EXPECT,
    b"proxy-authenticate": PROXY,
    b"proxy-authorization": PROXY,
    b"authorization": AUTHORIZATION,
    b"origin": ORIGIN,
    b"sec-fetch-site": SEC_FETCH_SITE,
    b"traceparent": TRACEPARENT,
    b"tracestate": TRACESTATE,
    b"x-request-id": X_REQUEST_ID,
    b"content-type": CONTENT_TYPE,
    b"grpc-status": GRPC_STATUS,
}
_ORDINARY_NAMES: Final = (
    b"grpc-accept-encoding grpc-encoding grpc-message grpc-timeout grpc-status-details-bin x-forwarded-for"
    b" x-forwarded-proto".split()
)
_KINDS: Final[dict[bytes, int]] = (
    dict.fromkeys(_ORDINARY_NAMES, ORDINARY) | dict.fromkeys(STATIC_NAMES, ORDINARY) | _SPECIAL
)
"""By name, for those that need no check any more."""
_NAME_OCTETS: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_VALUE_OCTETS: Final = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
OVERHEAD: Final = 32  # RFC 7541 section 4.1
_STRING: Final = 0x7F
"""The longest length of a string that fits into the octet of its flag, and one more."""


class Field:
    """A field, and what leaves for it. Immutable, so that tables, blocks and heads share it."""

    __slots__ = ("kind", "name", "never_indexed", "size", "value", "wire")

    name: bytes
    value: bytes
    wire: bytes
    size: int
    """As tables and lists count it (RFC 7541 section 4.1)."""
    never_indexed: bool
    kind: int
    """Its meaning for the sidecar: one of the constants above."""

    def __init__(self, name: bytes, value: bytes, wire: bytes, *, never_indexed: bool) -> None:
        self.name = name
        self.value = value
        self.wire = wire
        self.size = len(name) + len(value) + OVERHEAD
        self.never_indexed = never_indexed
        self.kind = _kind(name, value)

    def __repr__(self) -> str:
        return f"Field({self.name!r})"  # a value may be a secret


class Block:
    """A decoded header block: its fields in order, and the head that `header_block` read from them."""

    __slots__ = ("adds", "fields", "head", "size")

    fields: list[Field]
    size: int
    """The sum of the fields' sizes."""
    head: object
    """None until it was read. A block that comes again is not read again."""
    adds: list[Field]
    """Those of the fields that the block adds to the table, where it is the same whatever the table holds."""

    def __init__(self, fields: list[Field], size: int) -> None:
        self.fields = fields
        self.size = size
        self.head = None
        self.adds = []


def _kind(name: bytes, value: bytes) -> int:
    kind = _KINDS.get(name, -1)
    if kind < 0:
        if name[:1] == b":":
            kind = UNKNOWN_PSEUDO
        elif name and not name.translate(None, _NAME_OCTETS):
            kind = ORDINARY
        else:
            return MALFORMED
    if value and (value.translate(None, _VALUE_OCTETS) or value[0] in b" \t" or value[-1] in b" \t"):
        return MALFORMED
    return kind


def length_prefix(flag: int, length: int) -> bytes:
    """Write the length of a string: `flag` is 0x80 for one in Huffman's code, else 0 (RFC 7541 section 5.2)."""
    if length < _STRING:
        return bytes((flag | length,))
    octets = bytearray((flag | _STRING,))
    length -= _STRING
    while length >= 0x80:
        octets.append(length & 0x7F | 0x80)
        length >>= 7
    octets.append(length)
    return bytes(octets)


def plain_string(value: bytes) -> bytes:
    """Write a string without Huffman's code."""
    return length_prefix(0, len(value)) + value


def _indexed_name(index: int, flag: int) -> bytes:
    return bytes((flag | index,)) if index < 15 else bytes((flag | 15, index - 15))


_PREFIXES: Final = {name: _indexed_name(index, 0x00) for name, index in STATIC_NAMES.items()}
_NEVER_PREFIXES: Final = {name: _indexed_name(index, 0x10) for name, index in STATIC_NAMES.items()}
_LONGEST_STATIC: Final = max(len(value) for _, value in STATIC_TABLE)


def literal(name: bytes, value: bytes, value_wire: bytes, never: bool) -> Field:
    """Return the field of a literal, whose value has the form `value_wire` already."""
    prefix = _NEVER_PREFIXES.get(name) if never else _PREFIXES.get(name)
    if prefix is None:
        return Field(
            name,
            value,
            (b"\x10" if never else b"\x00") + plain_string(name) + value_wire,
            never_indexed=never,
        )
    if not never and len(value) <= _LONGEST_STATIC:
        index = STATIC_FIELDS.get((name, value), 0)
        if index:
            return STATIC[index]
    return Field(name, value, prefix + value_wire, never_indexed=never)


def field(name: bytes, value: bytes, *, never: bool = False) -> Field:
    """Return a field of the sidecar's own; a secret's is `never` indexed by the next hop."""
    return literal(name, value, plain_string(value), never)


def _static() -> list[Field]:
    fields = [Field(b":", b"", b"", never_indexed=False)]
    for index, (name, value) in enumerate(STATIC_TABLE, 1):
        fields.append(Field(name, value, bytes((0x80 | index,)), never_indexed=False))
    return fields


STATIC: Final[list[Field]] = _static()
"""The static table by index. Index 0, which has no entry, is an unknown pseudo-field."""
