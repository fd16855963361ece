"""Whom a request is for: tenant ids as they come from outside, and the token request of each tenant.

Rule 1. A tenant is named by a header field, or by the path as `/t/{tenant}/…`, or by a claim of the token that the
        request brings, once that is verified; or it is always the same.
Rule 2. Named nowhere: the default; without one the request is refused. Named but blank: refused.
Rule 3. An id is 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or a digit, without two
        dots in a row: it becomes part of names and URLs, and no id can lead out of the place it is put.
Rule 4. A UUID is the same in capitals: written small, so that it has one key.
Rule 5. Where there is a list, nobody else exists.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sidecar.core.errors import RequestRefused
from sidecar.core.origin import Route
from sidecar.oauth.token import TokenRequest
from sidecar.oauth.unverified_jwt import unverified

PLACE = "{tenant}"
"""What stands for the tenant in templates."""
MAX_KNOWN = 4096
"""Routes of tenants kept ready; making another takes some 50 µs."""

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
    found = _PATH.fullmatch(path)
    return (found[1], found[2] or b"/") if found is not None else (None, path)


def claimed(token: str, claim: str) -> bytes | None:
    """Return the tenant that a verified token names, None where it names none; no text is as good as a blank one."""
    claims = unverified(token)
    if claim not in claims:
        return None
    named = claims[claim]
    return named.encode("ascii", "replace") if isinstance(named, str) else b""


def for_tenant(template: TokenRequest, tenant: str) -> TokenRequest:
    """Return the token request of one tenant."""
    return replace(
        template,
        tenant=tenant,
        token_endpoint=template.token_endpoint.replace(PLACE, tenant),
        issuer=template.issuer.replace(PLACE, tenant),
        audience=template.audience.replace(PLACE, tenant),
    )


def foreseeable(templates: Iterable[TokenRequest], rule: TenantRule | None) -> set[TokenRequest]:
    """Return the token requests that are known before anybody asks."""
    ready = {each for each in templates if not each.brought}
    if rule is None:
        return ready
    return {for_tenant(each, rule.default) for each in ready} if rule.default else set()


class Tenants:
    """Routes as they are for each tenant. Bounded."""

    def __init__(self, rule: TenantRule) -> None:
        self._default = rule.default
        self._allow = rule.allow
        self._known: dict[tuple[str, bytes | None], Route] = {}
        self.header = rule.header
        self.path = rule.path
        self.claim = rule.claim

    def route(self, route: Route, token: TokenRequest, named: bytes | None) -> Route:
        """Return the route with the token of the tenant named so, None for none. Raises RequestRefused (400).

        Hot path: ≤ 0.5 µs for a tenant seen lately.
        """
        known = self._known.get((route.name, named))
        return known if known is not None else self._learn(route, token, named)

    def _learn(self, route: Route, token: TokenRequest, named: bytes | None) -> Route:
        made = replace(route, token=for_tenant(token, self._tenant(named)))
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]  # any will do: it is soon made again
        self._known[route.name, named] = made
        return made

    def _tenant(self, named: bytes | None) -> str:
        if named is None:
            if not self._default:
                raise RequestRefused(400, f"no tenant: name it in {self._where}")
            return self._default
        try:
            tenant = canonical(named.decode("ascii"))
        except ValueError:  # no ASCII, too
            raise RequestRefused(400, f"{self._where} names no tenant: it must be a plain id") from None
        if self._allow and tenant not in self._allow:
            raise RequestRefused(400, f"{self._where} names a tenant that is not served here")
        return tenant

    @property
    def _where(self) -> str:
        if self.claim:
            return f"the claim {self.claim} of the caller's token"
        return "the path, /t/{tenant}/…" if self.path else f"the field {self.header.decode()}"
