"""Token requests that a configuration can make. When it takes effect, entries of any other request are dropped."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from sidecar.core.secret import SecretFile
from sidecar.core.tenants import TenantRule
from sidecar.oauth.token import FromRequest, Presented, TokenRequest
from sidecar.proxy.tenants import for_tenant

_ANY_CALLER = FromRequest(b"")


class Needs:
    """The token requests of all routes, for every tenant and caller there may be."""

    def __init__(self, templates: Iterable[TokenRequest], rule: TenantRule | None) -> None:
        self._rule = rule
        self._templates: defaultdict[TokenRequest, list[TokenRequest]] = defaultdict(list)
        self._by_name = {template.name: template for template in templates}
        for template in self._by_name.values():
            self._templates[_outline(template)].append(template)

    def current(self, request: TokenRequest) -> TokenRequest | None:
        """Return the request under the name it has in this configuration, or None if no route can make it."""
        if self._rule is not None and not self._rule.serves(request.tenant):
            return None
        own = self._by_name.get(request.name)
        if own is not None and self._made(own, request.tenant) == request:
            return request
        wanted = _of_any_caller(request)
        names = {
            template.name
            for template in self._templates.get(_outline(request), ())
            if _of_any_caller(self._made(template, request.tenant)) == wanted
        }
        if not names:
            return None
        return request if request.name in names else replace(request, name=min(names))

    def _made(self, template: TokenRequest, tenant: str) -> TokenRequest:
        return for_tenant(template, tenant) if self._rule is not None else template


def _outline(request: TokenRequest) -> TokenRequest:
    """Return the part that all tenants' and callers' requests of a template share."""
    request = _of_any_caller(request)
    servers = replace(request, tenant="", token_endpoint="", issuer="", audience="")
    return replace(servers, assertion_file="", private_key=None)


def _of_any_caller(request: TokenRequest) -> TokenRequest:
    return replace(request, name="", subject=_by_anybody(request.subject), actor=_by_anybody(request.actor))


def _by_anybody(presented: Presented | None) -> Presented | None:
    """Return the presented token as it is for every caller; one in a file is that already."""
    if presented is None or isinstance(presented.where, SecretFile):
        return presented
    return replace(presented, where=_ANY_CALLER, identity="")
