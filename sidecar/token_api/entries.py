"""The entries of `tokens` that are handed out.

They are routes without an upstream, so that tenants and callers are found in the same way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sidecar.core.errors import NotListed
from sidecar.core.origin import Origin
from sidecar.http1.message import Request
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route
from sidecar.proxy.tenants import Tenants
from sidecar.token_api.calls import Call

NOWHERE = Origin("http", "", 0)
"""The upstream of an entry; the sidecar sends nothing to it."""


def entry(token: TokenRequest, routes: Iterable[Route]) -> Route:
    """Return the entry of this token request.

    It has a name that no route can have. Besides 401, the statuses are refusals that a route with this token lists.
    """
    statuses = (route.refused_statuses for route in routes if route.token == token)
    refused = frozenset({401}).union(*statuses)
    return Route(name=f"token_api/{token.name}", origin=NOWHERE, token=token, refused_statuses=refused)


@dataclass(frozen=True, slots=True)
class Served:
    """What a reload replaces as a whole."""

    entries: Mapping[str, Route]
    """Entries by their name in `tokens`."""
    authorize: bool = False
    """Whether proxies are served."""
    unix: bool = False
    """Whether clients come over a Unix socket."""
    tenants: Tenants | None = None
    """None if requests cannot name a tenant."""

    @property
    def tenant_in_path(self) -> bool:
        """Whether paths name the tenant."""
        return self.tenants is not None and self.tenants.path

    def of_tenant(self, entry: Route, call: Call, request: Request) -> Route:
        """Return the entry with the token of the request's tenant. Raises RequestRefused.

        A tenant that the caller's token names is known later, when that has been verified.
        """
        tenants = self.tenants
        if tenants is None or entry.token is None or tenants.claim:
            return entry
        named = request.value(tenants.header) if tenants.header else call.tenant
        return tenants.route(entry, entry.token, named)

    def entry(self, name: str) -> Route:
        """Return the entry of this name. Raises NotListed."""
        found = self.entries.get(name)
        if found is None:
            raise NotListed(
                f"the token API does not hand out {name}: add it to token_api.tokens, or fix the path"
            )
        return found
