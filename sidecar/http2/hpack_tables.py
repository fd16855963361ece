"""What RFC 7541 defines once for all connections: the static table (appendix A), and Huffman's code (appendix B).

Rule 1. A string in the code ends in at most seven bits of padding, all of them ones (section 5.2).
Rule 2. A string that holds the end-of-string symbol is malformed, as is one that ends within a symbol.

The code is canonical: its symbols in order of length, then of value, have consecutive codes. So the lengths define it.
It is read four bits at a time.
"""

from typing import Final

_LINES: Final = """\
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
"""


def _read() -> tuple[tuple[bytes, bytes], ...]:
    pairs = [line.partition(" ") for line in _LINES.splitlines()]
    return tuple((name.encode(), value.encode()) for name, _, value in pairs)


STATIC_TABLE: Final = _read()
"""Names and values; the entry at 0 has index 1."""


def _first_index() -> dict[bytes, int]:
    indices: dict[bytes, int] = {}
    for index, (name, _) in enumerate(STATIC_TABLE, 1):
        indices.setdefault(name, index)
    return indices


STATIC_NAMES: Final = _first_index()
"""The first index that has this name."""
STATIC_FIELDS: Final = {pair: index for index, pair in enumerate(STATIC_TABLE, 1)}
"""The index of this name with this value."""

_EOS: Final = 256
_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b08060606"
    "0505050606060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817"
    "181816171817171717151617161717181615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a17"
    "1a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
)
"""Bits of the code of each octet. The end-of-string symbol has 30."""
_EMITS: Final = 0x100
"""Marks a transition that ends a symbol; the low eight bits are the symbol."""
_SHIFT: Final = 9


def _codes() -> list[tuple[int, int, int]]:
    """Return the code, its length and the symbol of each code."""
    lengths = [*_LENGTHS, 30]
    codes = []
    code = before = 0
    for symbol in sorted(range(_EOS + 1), key=lambda symbol: (lengths[symbol], symbol)):
        code <<= lengths[symbol] - before
        before = lengths[symbol]
        codes.append((code, before, symbol))
        code += 1
    return codes


class _Tree:
    """The code as a tree: a node has two entries, each a node (0 or more) or a symbol (its complement)."""

    def __init__(self) -> None:
        self.nodes = [[0, 0]]
        for code, length, symbol in _codes():
            self._add(code, length, symbol)

    def _add(self, code: int, length: int, symbol: int) -> None:
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not self.nodes[node][bit]:
                self.nodes.append([0, 0])
                self.nodes[node][bit] = len(self.nodes) - 1
            node = self.nodes[node][bit]
        self.nodes[node][code & 1] = ~symbol

    def step(self, node: int, nibble: int) -> int:
        """Return the transition: the node after these four bits, shifted, with the symbol that ended."""
        emitted = 0
        for shift in (3, 2, 1, 0):
            entry = self.nodes[node][nibble >> shift & 1]
            if entry == ~_EOS:
                return _MALFORMED
            if entry < 0:
                emitted, entry = _EMITS | ~entry, 0
            node = entry
        return node << 4 << _SHIFT | emitted


_MALFORMED: Final = _EOS << 4 << _SHIFT
"""Leads to a state that no bits leave: the tree has 256 nodes, so it has the number after them."""


def _transitions() -> list[int]:
    """Return the transition for each state, which is a node's number shifted by four, and nibble."""
    tree = _Tree()
    table = [tree.step(node, nibble) for node in range(_EOS) for nibble in range(16)]
    return table + [_MALFORMED] * 16


def _ends() -> frozenset[int]:
    """Return the states in which a string may end: after nothing but seven or fewer ones."""
    tree = _Tree()
    node, ends = 0, {0}
    for _ in range(7):
        node = tree.nodes[node][1]
        ends.add(node << 4)
    return frozenset(ends)


_TRANSITIONS: Final[list[int]] = _transitions()
_ENDS: Final[frozenset[int]] = _ends()


def decoded(coded: bytes) -> bytes | None:
    """Return the string that these octets stand for, None if they are malformed."""
    table = _TRANSITIONS
    octets = bytearray()
    state = 0
    for octet in coded:
        step = table[state | octet >> 4]
        if step & _EMITS:
            octets.append(step & 0xFF)
        step = table[step >> _SHIFT | octet & 15]
        if step & _EMITS:
            octets.append(step & 0xFF)
        state = step >> _SHIFT
    return bytes(octets) if state in _ENDS else None
