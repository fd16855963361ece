"""Whom a request is for: tenant ids as they come from outside, and where they are named.

Rule 1. A tenant is named by a header field, or by the path as `/t/{tenant}/…`, or by a claim of the token that the
        request brings, once that is verified; or it is always the same.
Rule 2. Named nowhere: the default; without one the request is refused. Named but blank: refused.
Rule 3. An id is 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or a digit, without two
        dots in a row: it becomes part of names and URLs, and no id can lead out of the place it is put.
Rule 4. A UUID is the same in capitals: written small, so that it has one key.
Rule 5. Where there is a list, nobody else exists.
"""

import re
from dataclasses import dataclass

PLACE = "{tenant}"
"""What stands for the tenant in templates."""

_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,63}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PATH = re.compile(rb"/t/([^/]*)(/.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TenantRule:
    """Where the tenant is named, and which there are."""

    header: bytes = b""
    """Lower case; empty where no field names it."""
    path: bool = False
    """Whether the path names it."""
    claim: str = ""
    """Which claim of the caller's verified token names it; empty where none does."""
    default: str = ""
    """"" where a request must name one."""
    allow: frozenset[str] = frozenset()
    """Empty: anybody."""

    @property
    def fixed(self) -> bool:
        """Whether there is only one."""
        return not self.header and not self.path and not self.claim

    def serves(self, tenant: str) -> bool:
        """Whether a request can be for this tenant."""
        return bool(tenant) and (not self.allow or tenant in self.allow or tenant == self.default)

    def invented(self, tenant: str) -> bool:
        """Whether a client may have made the tenant up; in a claim it is the issuer's word."""
        return not self.claim and tenant != self.default and tenant not in self.allow


def canonical(text: str) -> str:
    """Return the id in the one form it has here. Raises ValueError for what is none (rules 3 and 4)."""
    if not _ID.fullmatch(text):
        raise ValueError("use at most 64 letters, digits, single dots, dashes and underscores")
    return text.lower() if _UUID.fullmatch(text) else text


def split_path(path: bytes) -> tuple[bytes | None, bytes]:
    """Return the tenant a path names, None where it names none, and the path without it."""
    match = _PATH.fullmatch(path)
    return (match[1], match[2] or b"/") if match is not None else (None, path)
