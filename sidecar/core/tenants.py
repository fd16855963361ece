"""Tenants of requests: how ids are written, and which part of a request names one.

Rule 1. A tenant is named by a header field, or by the path as `/t/{tenant}/…`, or by a claim of the token that the
        request brings, once that is verified; or it is always the same.
Rule 2. Without a name: the default; without a default the request is refused. A blank name is refused.
Rule 3. An id is 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or a digit, without two dots
        in a row: it becomes part of names and URLs, and no id can lead out of the place it is put.
Rule 4. A UUID is the same in capitals: written small, so that it has one key.
Rule 5. If there is a list, only its tenants and the default are served.
Rule 6. A template is filled in with a canonical id only, so that no request leads a path out of its folder.
"""

import re
from dataclasses import dataclass

PLACE = "{tenant}"
"""Placeholder of the tenant in templates."""

ID = r"[A-Za-z0-9]([A-Za-z0-9_-]|\.(?!\.)){0,63}"
"""Pattern of a tenant's id (rule 3)."""
_ID = re.compile(ID)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_PATH = re.compile(rb"/t/([^/]*)(/.*)?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TenantRule:
    """Which part of a request names the tenant, and which tenants there are."""

    header: bytes = b""
    """Lower case; empty if no field names it."""
    path: bool = False
    """Whether the path names it."""
    claim: str = ""
    """Which claim of the caller's verified token names it; empty if none does."""
    default: str = ""
    """Tenant for requests that name none; "" if a request must name one."""
    allow: frozenset[str] = frozenset()
    """Tenants that are served; empty: all."""

    @property
    def fixed(self) -> bool:
        """Whether there is only one."""
        return not self.header and not self.path and not self.claim

    def serves(self, tenant: str) -> bool:
        """Whether a request can be for this tenant."""
        return bool(tenant) and (not self.allow or tenant in self.allow or tenant == self.default)

    def invented(self, tenant: str) -> bool:
        """Return whether a client may have invented the tenant; in a claim the issuer vouches for it."""
        return not self.claim and tenant != self.default and tenant not in self.allow


def canonical(text: str) -> str:
    """Return the id in its canonical form. Raises ValueError for an invalid one (rules 3 and 4)."""
    if not _ID.fullmatch(text):
        raise ValueError("use at most 64 letters, digits, single dots, dashes and underscores")
    return text.lower() if _UUID.fullmatch(text) else text


def filled(template: str, tenant: str) -> str:
    """Return the template with the tenant's id in place of `{tenant}`. Raises ValueError unless the id is canonical."""
    if PLACE not in template:
        return template
    if canonical(tenant) != tenant:
        raise ValueError("the tenant's id is not in its canonical form")
    return template.replace(PLACE, tenant)


def tenant_in(template: str, text: str) -> str:
    """Return the canonical id with which the template gives the text, "" if there is none."""
    head, *rest = map(re.escape, template.split(PLACE))
    if not rest or not text.endswith(template.rpartition(PLACE)[2]):
        return ""
    again = r"(?:\1)".join(rest)  # in a group: a digit may follow
    match = re.fullmatch(f"{head}({_ID.pattern}){again}", text)
    return match[1] if match is not None and canonical(match[1]) == match[1] else ""


def split_path(path: bytes) -> tuple[bytes | None, bytes]:
    """Return the tenant that a path names, None if it names none, and the path without it."""
    match = _PATH.fullmatch(path)
    return (match[1], match[2] or b"/") if match is not None else (None, path)
