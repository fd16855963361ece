"""Header fields as they stand on the wire.

Servers that hand fields on as variables (CGI, RFC 3875 section 4.1.18, and its descendants) take an underscore in a
name for a dash: to them `X_Tenant` is as good as `X-Tenant`. A field that means something to us must mean the same
to them, so no such twin of it travels on.
"""

import re
from collections.abc import Iterable


def folded(name: str) -> str:
    """Return the form that two names share which some server cannot tell apart."""
    return name.lower().replace("_", "-")


def hiding(consumed: Iterable[bytes], relayed: Iterable[bytes]) -> re.Pattern[bytes] | None:
    """Match the field lines that do not travel on, each with the CRLF before it; None where nothing has to be hidden.

    Those are the `consumed` fields and their twins, and the twins of fields that are read here and `relayed`.
    """
    lines = [_spelt(name) for name in consumed]
    lines += [b"(?!%b:)%b" % (re.escape(name), _spelt(name)) for name in relayed if {*name} & {*b"-_"}]
    return re.compile(rb"\r\n(?i:%b):[^\r]*" % b"|".join(sorted(lines))) if lines else None


def _spelt(name: bytes) -> bytes:
    return b"[-_]".join(map(re.escape, re.split(b"[-_]", name)))


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
