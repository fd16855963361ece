"""What requests are matched with: the routes of one configuration, their pools, and its tenants."""

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.core.cross_site import ICON, guard, refuse_icon
from sidecar.core.errors import RequestRefused
from sidecar.core.tenants import split_path
from sidecar.http1.message import Request, Response
from sidecar.http1.pool import OriginPool
from sidecar.http1.shared.exchange import Exchange
from sidecar.proxy.locations import put_right
from sidecar.proxy.router import Router, upstream_target
from sidecar.proxy.routes import Route
from sidecar.proxy.target import split
from sidecar.proxy.tenants import Tenants
from sidecar.proxy.unknown_tenants import path_shown, shown
from sidecar.telemetry.request_record import RequestRecord


@dataclass(frozen=True, slots=True)
class Table:
    """What a reload replaces as a whole."""

    router: Router
    pools: Mapping[str, OriginPool]
    """The connections of each route, by the route's name."""
    tenants: Tenants | None = None
    """None if requests cannot name a tenant."""

    def match(self, request: Request, record: RequestRecord) -> tuple[Route, bytes]:
        """Return the request's route, with its tenant's token, and the target for its upstream.

        A tenant that the caller's token names is known later, when that has been verified.
        Raises RequestRefused.
        """
        target = split(request.target)
        record.path = target.path.decode()
        router = self.router
        host = router.admit(request.host)
        if target.authority:
            host = router.admit(target.authority)
        notes = request.notes
        if b"origin" in notes or b"sec-fetch-site" in notes:
            guard(notes.get(b"sec-fetch-site"), notes.get(b"origin"), target.authority or request.host)
            if target.path == ICON:
                refuse_icon(notes.get(b"sec-fetch-site"), request.value(b"referer"))
        tenants = self.tenants
        named = None
        if tenants is not None and tenants.path:
            named, path = split_path(target.path)
            target = target._replace(path=path)
        route = router.match(host, target.path)
        if named is not None and (route is None or route.token is None):  # else `tenants.route` checks it
            record.path = path_shown(record.path, shown(named))
        if route is None:
            raise RequestRefused(404, f"no route matches {record.path}")
        record.route = route.name
        if tenants is not None and route.token is not None and not tenants.claim:
            named = request.value(tenants.header) if tenants.header else named
            route = tenants.route(route, route.token, named)
        return route, upstream_target(route, target)

    def put_right(self, answer: Response, relay: Exchange, route: Route) -> Response:
        """Return the answer with locations that lead back to the sidecar."""
        by_path = self.tenants is not None and self.tenants.path
        return put_right(answer, relay.request, route, self.router, by_path=by_path, rewrite=relay.relocated)
