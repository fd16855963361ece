"""Header fields as they stand on the wire.

Servers that hand fields on as variables (CGI, RFC 3875 section 4.1.18, and its descendants) write an underscore for
a dash, and some of them for every character that is neither letter nor digit: to them `X_Tenant` and `X.Tenant` are
`X-Tenant`. A field that means something to the sidecar must mean the same to them, so no such twin of it travels on.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SEPARATOR = re.compile("[^0-9a-z]")
_SEPARATORS = re.compile(b"[^0-9A-Za-z]")


def folded(name: str) -> str:
    """Return the form that two names share which some server cannot tell apart."""
    return _SEPARATOR.sub("-", name.lower())


@dataclass(frozen=True, slots=True)
class Hidden:
    """What the upstream does not get of the fields that a route's requests are judged by."""

    head: re.Pattern[bytes] | None
    """Matches the field lines that do not travel on, each with the CRLF before it; None where there are none."""
    names: frozenset[bytes]
    """All these fields, in lower case: `Connection` cannot remove them."""
    trailers: frozenset[str]
    """The same folded: none of them travels on as a trailer, which arrives after the request was judged."""

    def from_trailers(self, lines: list[bytes]) -> list[bytes]:
        """Return the trailing field lines that travel on."""
        return [line for line in lines if folded_name(line) not in self.trailers]


def hiding(consumed: Iterable[bytes], relayed: Iterable[bytes]) -> Hidden | None:
    """Return what is hidden of the `consumed` fields and of those that are read here and `relayed`; None for neither.

    In a head those are the consumed fields and their twins, and the twins of the relayed ones.
    """
    consumed, relayed = tuple(consumed), tuple(relayed)
    names = frozenset((*consumed, *relayed))
    if not names:
        return None
    lines = [_spelt(name) for name in consumed]
    lines += [b"(?!%b:)%b" % (re.escape(name), _spelt(name)) for name in relayed if _SEPARATORS.search(name)]
    head = re.compile(rb"\r\n(?i:%b):[^\r]*" % b"|".join(sorted(lines))) if lines else None
    return Hidden(head, names, frozenset(folded(name.decode("latin-1")) for name in names))


def _spelt(name: bytes) -> bytes:
    return rb"[^0-9A-Za-z:\r]".join(map(re.escape, _SEPARATORS.split(name)))


def folded_name(line: bytes) -> str:
    """Return the folded name of a field line."""
    return folded(line.partition(b":")[0].decode("latin-1"))


def values(block: bytes, name: bytes) -> list[bytes]:
    """Return a field's values, in order, from lines that were judged well-formed, each with the CRLF before it.

    `name` in lower case. Thrice as fast as a pattern would be.
    """
    begin, lower = b"\r\n%b:" % name, block.lower()
    collected = []
    at = lower.find(begin)
    while at >= 0:
        start = at + len(begin)
        end = block.find(b"\r\n", start)
        collected.append(block[start : end if end >= 0 else None].strip(b" \t"))
        at = lower.find(begin, start)
    return collected
