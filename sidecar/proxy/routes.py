"""A route as configured."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sidecar.core.header_names import Hidden
from sidecar.core.origin import Origin
from sidecar.oauth.token import TokenRequest

On401 = Literal["lenient", "strict", "ignore"]
Isolation = Literal["none", "tenant", "caller"]


@dataclass(frozen=True, slots=True)
class Route:
    """One route through the sidecar. Time-outs in seconds, 0 for none."""

    name: str
    origin: Origin
    host: str = ""
    """Lower-case host to match, "" for any."""
    prefix: str = "/"
    """Path prefix to match, on segment bounds."""
    base_path: str = ""
    """The upstream's own path, without a trailing slash, put before the relayed one."""
    strip_prefix: bool = False
    rewrite_location: bool = False
    """Whether redirects to the origin lead the client back to the sidecar."""
    token: TokenRequest | None = None
    """None relays the client's own credentials unchanged."""
    hidden: Hidden | None = None
    """The client's fields that the upstream does not get; None: it gets all."""
    on_401: On401 = "lenient"
    refused_statuses: frozenset[int] = frozenset({401})
    idle_timeout: float = 60.0
    """Longest silence of the upstream (or of a sending client) within one exchange."""
    total_timeout: float = 0.0
    isolate: Isolation = "none"
    """Which callers have their own connections."""
    owner: str = ""
    """Owner of the connections that it uses; "" for the shared ones."""


def with_token(route: Route, token: TokenRequest) -> Route:
    """Return the route with the token of one tenant or caller, and with its own connections if it has any."""
    presented = (each.identity for each in (token.subject, token.actor) if each is not None)
    owners: Mapping[Isolation, tuple[str, ...]] = {
        "none": (),
        "tenant": (token.tenant,),
        "caller": (token.tenant, *presented),
    }
    owner = owners[route.isolate]
    return replace(route, token=token, owner=" ".join((route.isolate, *owner)) if owner else "")
