"""The file's `tenant`: which part of a request names its tenant, and the checks with other sections."""

from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from sidecar.config.credentials import Credentials
from sidecar.config.credentials import templates as credential_templates
from sidecar.config.decode import Found, Node
from sidecar.config.tokens import TokenEntry
from sidecar.config.types import FIELD_NAME, TENANT, Text, text
from sidecar.core.header_names import folded
from sidecar.core.tenants import PLACE, TenantRule, canonical

TenantId = Annotated[str, text("tenant", TENANT)]
_CHOSEN_HOST = (
    f"{PLACE} in the host lets clients choose which host receives the credentials: give tenant.allow"
)
OURS = (
    "authorization connection content-length cookie expect host keep-alive proxy-authorization proxy-connection "
    "te trailer transfer-encoding upgrade"
)
"""Fields that already have another meaning."""


class Tenant(Node, frozen=True, kw_only=True):
    """How a request names its tenant. Each tenant has its own tokens, and may have its own credentials and servers."""

    header: Annotated[
        str | None,
        text("field_name", FIELD_NAME),
        Meta(
            description="Header field that names the tenant. The upstream receives it too, but no field whose name "
            "differs only in punctuation. Set at most one of this, `path` and `claim`. Unset: no header "
            "field names it."
        ),
    ] = None
    path: Annotated[
        bool,
        Meta(
            description="The path names the tenant: `/t/{tenant}/…`. That prefix is removed before routes are "
            "matched."
        ),
    ] = False
    claim: Annotated[
        Text | None,
        Meta(
            description="Claim that names the tenant, in the verified `subject` token of each request. Unset: no "
            "claim names it."
        ),
    ] = None
    default: Annotated[
        TenantId | None,
        Meta(description="Tenant for requests that name none. Unset: such requests get 400."),
    ] = None
    allow: Annotated[
        tuple[TenantId, ...],
        Meta(
            description="Known tenants; requests for others get 400. Empty: every valid tenant id is accepted."
        ),
    ] = ()


def tenant_faults(
    tenant: Tenant | None, tokens: dict[str, TokenEntry], credentials: dict[str, Credentials]
) -> Iterator[Found]:
    """Return faults of the section itself, and of templates without a tenant."""
    if tenant is not None:
        yield from _own_faults(tenant)
    for path, template in _templates(tokens, credentials):
        if PLACE in template and tenant is None:
            yield path, f"{PLACE} is replaced by the tenant, but there is no tenant section: add one"
    anybody = tenant is not None and (tenant.header or tenant.path or tenant.claim) and not tenant.allow
    for path, url in _addresses(tokens):
        if anybody and PLACE in urlsplit(url).netloc:
            yield path, _CHOSEN_HOST


def caller_faults(path: str, token: TokenEntry, tenant: Tenant) -> Iterator[Found]:
    """Return faults between the source of the tenant's name and the tokens that requests bring."""
    if tenant.claim:
        yield from _claim_faults(path, token)
    for key, presented in (("subject", token.subject), ("actor", token.actor)):
        header = presented.header if presented is not None else None
        if header and tenant.header and folded(header) == folded(tenant.header):
            yield f"{path}.{key}.header", "names the tenant already: choose another one"


def _claim_faults(path: str, token: TokenEntry) -> Iterator[Found]:
    if token.subject is None or token.subject.header is None:
        yield f"{path}.subject", "tenant.claim requires a subject token in each request: give its header"
    elif token.subject.verify is None:
        yield f"{path}.subject.verify", "missing: tenant.claim requires a verified subject"


def _own_faults(tenant: Tenant) -> Iterator[Found]:
    places = [name for name in ("header", "path", "claim") if getattr(tenant, name)]
    for name in places[1:]:
        yield f"tenant.{name}", f"the tenant is named by a {places[0]} already: remove one of the two"
    if not places and not tenant.default:
        yield "tenant", "names no tenant: give header, path, claim or default"
    if tenant.header and folded(tenant.header) in OURS.split():
        yield "tenant.header", "this field has another meaning: choose another field"
    known = set(map(canonical, tenant.allow))
    if tenant.default and known and canonical(tenant.default) not in known:
        yield "tenant.default", "is not in tenant.allow"


def _templates(tokens: dict[str, TokenEntry], credentials: dict[str, Credentials]) -> Iterator[Found]:
    yield from _addresses(tokens)
    for name, token in tokens.items():
        if isinstance(token, TokenEntry):
            yield f"tokens.{name}.audience", token.audience
    for name, entry in credentials.items():
        if isinstance(entry, Credentials):
            yield from credential_templates(name, entry)


def _addresses(tokens: dict[str, TokenEntry]) -> Iterator[Found]:
    for name, token in tokens.items():
        if isinstance(token, TokenEntry):
            yield f"tokens.{name}.token_endpoint", token.token_endpoint or ""
            yield f"tokens.{name}.issuer", token.issuer or ""


def rule(entry: Tenant | None) -> TenantRule | None:
    """Return the settings of the section, None if there is none."""
    if entry is None:
        return None
    return TenantRule(
        header=(entry.header or "").lower().encode(),
        path=entry.path,
        claim=entry.claim or "",
        default=canonical(entry.default) if entry.default else "",
        allow=frozenset(map(canonical, entry.allow)),
    )
