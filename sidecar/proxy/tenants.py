"""The routes and token requests of each tenant. The rules of tenant ids are in `core.tenants`."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from sidecar.core.errors import RequestRefused, UnknownTenant
from sidecar.core.secret import SecretFile, SecretRef
from sidecar.core.tenants import TenantRule, canonical, filled
from sidecar.oauth.signing_keys import PrivateKey
from sidecar.oauth.token import TokenRequest
from sidecar.oauth.unverified_jwt import unverified
from sidecar.proxy.routes import Route, with_token
from sidecar.proxy.unknown_tenants import shown

FEWEST_KNOWN = 4096
"""Routes of tenants kept ready, where fewer tokens than that are kept in memory."""

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def claimed(token: str, claim: str) -> bytes | None:
    """Return the tenant that a verified token names, None without that claim; a claim that is no text is blank."""
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
        token_endpoint=filled(template.token_endpoint, tenant),
        issuer=filled(template.issuer, tenant),
        audience=filled(template.audience, tenant),
        assertion_file=filled(template.assertion_file, tenant),
        private_key=_key_for(template.private_key, tenant),
    )


def _key_for(key: PrivateKey | None, tenant: str) -> PrivateKey | None:
    if key is None:
        return None
    return replace(
        key,
        where=_secret_for(key.where, tenant),
        passphrase=_secret_for(key.passphrase, tenant) if key.passphrase is not None else None,
        certificate_file=filled(key.certificate_file, tenant),
    )


def _secret_for(where: SecretRef, tenant: str) -> SecretRef:
    return replace(where, path=filled(where.path, tenant)) if isinstance(where, SecretFile) else where


def foreseeable(templates: Iterable[TokenRequest], rule: TenantRule | None) -> set[TokenRequest]:
    """Return the token requests that are known before any client sends a request."""
    ready = {template for template in templates if not template.brought}
    if rule is None:
        return ready
    return {for_tenant(template, rule.default) for template in ready} if rule.default else set()


class Tenants:
    """The routes of each tenant, and their token requests, which routes with the same token share. Bounded.

    As many are kept as tokens in memory, because a route takes 5 µs to make again and a token request 30 µs.
    """

    def __init__(self, rule: TenantRule, max_tokens: int = FEWEST_KNOWN) -> None:
        """Take the number of tokens that memory keeps."""
        self._default = rule.default
        self._allow = rule.allow
        self._limit = max(FEWEST_KNOWN, max_tokens)
        self._known: dict[tuple[str, bytes | None], Route] = {}
        self._requests: dict[tuple[str, str], TokenRequest] = {}
        self.header = rule.header
        self.path = rule.path
        self.claim = rule.claim

    def route(self, route: Route, token: TokenRequest, named: bytes | None) -> Route:
        """Return the route with the token of the tenant of this name; None stands for a request that names no tenant.

        Raises UnknownTenant, or RequestRefused (400) where no tenant is named.

        Hot path: ≤ 0.5 µs for a recent tenant.
        """
        known = self._known.get((route.name, named))
        return known if known is not None else self._learn(route, token, named)

    def _learn(self, route: Route, token: TokenRequest, named: bytes | None) -> Route:
        made = with_token(route, self._request(token, self._tenant(named)))
        self._make_room(self._known)
        self._known[route.name, named] = made
        return made

    def _request(self, template: TokenRequest, tenant: str) -> TokenRequest:
        known = self._requests.get((template.name, tenant))
        if known is None:
            self._make_room(self._requests)
            self._requests[template.name, tenant] = known = for_tenant(template, tenant)
        return known

    def _make_room(self, table: dict[_Key, _Value]) -> None:
        if len(table) >= self._limit:
            del table[next(iter(table))]  # evict any entry, because making it again is cheap

    def _tenant(self, named: bytes | None) -> str:
        if named is None:
            if not self._default:
                raise RequestRefused(400, f"no tenant: name it in {self._where}")
            return self._default
        if not named.strip():
            raise RequestRefused(400, f"no tenant: {self._where} holds no id")
        try:
            tenant = canonical(named.decode("ascii"))
        except ValueError as error:  # not ASCII either
            why = "use ASCII" if isinstance(error, UnicodeDecodeError) else str(error)
            raise self._unknown(named, f"no tenant: {why}") from None
        if self._allow and tenant not in self._allow:
            raise self._unknown(named, "a tenant that is not in tenant.allow")
        return tenant

    def _unknown(self, named: bytes, what: str) -> UnknownTenant:
        return UnknownTenant(shown(named), f"{self._where} names {what}", in_path=self.path)

    @property
    def _where(self) -> str:
        if self.claim:
            return f"the claim {self.claim} of the caller's token"
        return "the path, /t/{tenant}/…" if self.path else f"the field {self.header.decode()}"
