"""Header compression (RFC 7541): the decoder of one direction of a connection. The sidecar's encoder has no state.

Rule 1. A representation is indexed, literal with incremental indexing, without, or never indexed; a table size update
        stands at the beginning of a block only (section 4.2).
Rule 2. An index names an entry of the static table or, from 62, of the dynamic one, newest first.
Rule 3. An entry costs its octets and 32. To add one, the oldest are evicted until it fits; one that is larger than the
        table empties it, and is no error (section 4.4).
Rule 4. A table size update is no larger than what the sidecar allowed. After the sidecar allows less than the peer
        uses, the next block begins with one.
Rule 5. An integer has five octets at most after its prefix. A string ends within its block, and is no longer than twice
        the larger of list and table; longer ones are refused before they are decoded.
Rule 6. What breaks rules 1 to 5 ends the connection with COMPRESSION_ERROR, because the tables differ from then on.
Rule 7. A list of fields over `max_list` is decoded to its end, so that the tables stay the same. Fields beyond the
        limit are not kept, except the first `content-type`, which decides the form of the refusal. From there on,
        fields are created only for the table.
Rule 8. The same block means the same for as long as the table has not changed, so it is decoded once. A block that
        refers to no entry of the table means the same always; what it adds to the table is added again. What is
        remembered of blocks of each kind has at most MEMO_BYTES.
"""

from typing import Final

from sidecar.core.errors import SidecarError
from sidecar.http2.fields import (
    CONTENT_TYPE,
    OVERHEAD,
    STATIC,
    Block,
    Field,
    length_prefix,
    literal,
    plain_string,
)
from sidecar.http2.frames import ErrorCode, FrameFault
from sidecar.http2.hpack_tables import decoded

RESET: Final = b"\x20"
"""Opens the first block of an encoder that uses no dynamic table: its size is 0."""
DEFAULT_TABLE: Final = 4096
MEMO_BYTES: Final = 16 * 1024
"""The most that blocks of a kind count which are remembered; when it is exceeded, they are forgotten."""
_STATIC_ENTRIES: Final = 61
_MAX_SHIFT: Final = 28  # of the fifth octet of an integer
_EVICTED: Final = STATIC[0]
_COMPACT: Final = 128
_ENTRY: Final = 64
"""What a remembered block counts besides its octets and fields."""


class HeadersTooLarge(SidecarError):
    """A list of fields is larger than allowed (RFC 9113 section 6.5.2); the connection can go on.

    A block over MAX_BLOCK is not decoded at all, so its fields are unknown, and the tables of both sides differ.
    """

    def __init__(self, text: str, fields: list[Field]) -> None:
        """Take the fields that were kept (rule 7)."""
        super().__init__(text)
        self.fields = fields


class Decoder:
    """Decode the header blocks of a peer, in order."""

    __slots__ = (
        "_added",
        "_always",
        "_always_bytes",
        "_changed",
        "_depends",
        "_entries",
        "_first",
        "_limit",
        "_max_list",
        "_max_size",
        "_max_string",
        "_memo",
        "_memo_bytes",
        "_size",
        "memo_hits",
    )

    memo_hits: int
    """Blocks that were remembered."""
    _entries: list[Field]
    """The dynamic table, the newest entry last. Entries before `_first` are evicted."""
    _limit: int
    """The size that the peer chose for the table."""

    def __init__(self, max_size: int = DEFAULT_TABLE, *, max_list: int) -> None:
        """Take the size of the table that was allowed, and the largest list of fields."""
        self.memo_hits = 0
        self._memo: dict[bytes, Block] = {}
        self._memo_bytes = 0
        self._always: dict[bytes, Block] = {}
        self._always_bytes = 0
        self._entries = []
        self._first = 0
        self._size = 0
        self._limit = max_size
        self._max_size = max_size
        self._max_list = max_list
        self._max_string = 2 * max(max_size, max_list)
        self._changed = False
        self._depends = False
        self._added: list[Field] = []

    def allow(self, max_size: int) -> None:
        """Allow another size of the table, once the peer has acknowledged it."""
        self._max_size = max_size
        self._max_string = 2 * max(max_size, self._max_list)
        self._always.clear()
        self._always_bytes = 0
        self._forget()

    def decode(self, block: bytes) -> Block:
        """Return the fields of a whole header block.

        Raises FrameFault (COMPRESSION_ERROR), and HeadersTooLarge after which the next block can be decoded.
        """
        known = self._memo.get(block)
        if known is not None:
            self.memo_hits += 1
            return known
        known = self._always.get(block)
        if known is not None:
            self.memo_hits += 1
            for field in known.adds:
                self._add(field)
            return known
        return self._decode(block)

    def _decode(self, block: bytes) -> Block:
        self._changed = self._depends = False
        self._added = []
        fields: list[Field] = []
        content_type: Field | None = None
        size = 0
        max_list = self._max_list
        end = len(block)
        at = self._read_updates(block)
        while at < end:
            octet = block[at]
            if octet & 0x80:
                at += 1
                index = octet & 0x7F
                if index == 0x7F:
                    index, at = _integer(block, at, 0x7F)
                field = self._entry(index)
            elif octet & 0x40:
                field, at = self._literal(block, at, 0x3F)
                self._added.append(field)
                self._add(field)
            elif octet & 0x20:
                raise _fault("a table size update follows a field")
            elif size > max_list:
                name, value, at = self._skip(block, at)
                size += len(name) + len(value) + OVERHEAD
                if content_type is None and name == b"content-type":
                    content_type = literal(name, value, plain_string(value), never=False)
                continue
            else:
                field, at = self._literal(block, at, 0x0F)
            size += field.size
            if size <= max_list:
                fields.append(field)
            elif content_type is None and field.kind == CONTENT_TYPE:
                content_type = field
        if size > max_list:
            if content_type is not None:
                fields.append(content_type)
            raise HeadersTooLarge(f"the fields have {size} bytes, more than {max_list}", fields)
        result = Block(fields, size)
        self._remember(block, result)
        return result

    def _read_updates(self, block: bytes) -> int:
        """Carry out the table size updates at a block's beginning, and return where they end."""
        at = 0
        self._depends = len(block) > 0 and block[0] & 0xE0 == 0x20
        while at < len(block) and block[at] & 0xE0 == 0x20:
            size = block[at] & 0x1F
            at += 1
            if size == 0x1F:
                size, at = _integer(block, at, 0x1F)
            if size > self._max_size:
                raise _fault(f"a table of {size} bytes is larger than {self._max_size}")
            if size != self._limit:
                self._limit = size
                self._evict(size)
                self._forget()
        if self._limit > self._max_size:
            raise _fault(f"the table was not reduced to {self._max_size} bytes")
        return at

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[Field, int]:
        """Return the literal field from `at`, and where it ends; its index has the bits of `mask`."""
        never = mask == 0x0F and block[at] & 0x10 != 0
        name, at = self._name(block, at, mask)
        value, wire, at = self._string(block, at)
        return literal(name, value, wire, never), at

    def _skip(self, block: bytes, at: int) -> tuple[bytes, bytes, int]:
        """Return name and value of the literal field from `at`, which is not for the table, and where it ends."""
        name, at = self._name(block, at, 0x0F)
        value, _, at = self._string(block, at)
        return name, value, at

    def _name(self, block: bytes, at: int, mask: int) -> tuple[bytes, int]:
        """Return the name of the literal field from `at`, and where it ends."""
        index = block[at] & mask
        at += 1
        if index == mask:
            index, at = _integer(block, at, mask)
        if index:
            return self._entry(index).name, at
        name, _, at = self._string(block, at)
        return name, at

    def _entry(self, index: int) -> Field:
        if index <= _STATIC_ENTRIES:
            if index == 0:
                raise _fault("no table has an entry 0")
            return STATIC[index]
        place = len(self._entries) + _STATIC_ENTRIES - index
        if place < self._first:
            raise _fault(f"no table has an entry {index}")
        self._depends = True
        return self._entries[place]

    def _string(self, block: bytes, at: int) -> tuple[bytes, bytes, int]:
        """Return the string from `at`, its form for the next hop, and where it ends."""
        if at >= len(block):
            raise _fault("the block ends in a field")
        octet = block[at]
        length = octet & 0x7F
        start = at + 1
        if length == 0x7F:
            length, start = _integer(block, start, 0x7F)
        if length > self._max_string:
            raise _fault(f"a string of {length} bytes is longer than {self._max_string}")
        end = start + length
        if end > len(block):
            raise _fault("the block ends in a string")
        raw = block[start:end]
        wire = block[at:end] if length < 0x7F else length_prefix(octet & 0x80, length) + raw
        if octet & 0x80:
            value = decoded(raw)
            if value is None:
                raise _fault("a string is not in Huffman's code")
            return value, wire, end
        return raw, wire, end

    def _add(self, field: Field) -> None:
        """Add an entry to the dynamic table."""
        if field.size > self._limit:
            if self._size:
                self._evict(0)
                self._forget()
            return
        self._evict(self._limit - field.size)
        self._entries.append(field)
        self._size += field.size
        self._forget()

    def _evict(self, size: int) -> None:
        """Evict the oldest entries until the table has at most this size."""
        entries = self._entries
        while self._size > size:
            self._size -= entries[self._first].size
            entries[self._first] = _EVICTED
            self._first += 1
        if self._first >= _COMPACT:
            del entries[: self._first]
            self._first = 0

    def _remember(self, block: bytes, result: Block) -> None:
        cost = len(block) + result.size + _ENTRY
        if cost > MEMO_BYTES:
            return
        if not self._depends:
            if self._always_bytes + cost > MEMO_BYTES:
                self._always.clear()
                self._always_bytes = 0
            result.adds = self._added
            self._always[block] = result
            self._always_bytes += cost
        elif not self._changed:
            if self._memo_bytes + cost > MEMO_BYTES:
                self._memo.clear()
                self._memo_bytes = 0
            self._memo[block] = result
            self._memo_bytes += cost

    def _forget(self) -> None:
        """Forget the blocks that refer to the table: they mean something else from now on."""
        self._changed = True
        if self._memo_bytes:
            self._memo.clear()
            self._memo_bytes = 0


def _integer(block: bytes, at: int, value: int) -> tuple[int, int]:
    """Return the integer that goes on at `at` after a prefix with this value, and where it ends."""
    for shift in range(0, _MAX_SHIFT + 1, 7):
        if at >= len(block):
            raise _fault("the block ends in an integer")
        octet = block[at]
        at += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:
            return value, at
    raise _fault("an integer is longer than five octets")


def _fault(text: str) -> FrameFault:
    return FrameFault(ErrorCode.COMPRESSION_ERROR, text)
