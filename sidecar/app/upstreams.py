"""The pools of upstreams: their outages in the log, their connections in the metrics; the table of routes; HTTP/2."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING

from sidecar.config.settings import Config
from sidecar.core.health import Health
from sidecar.core.origin import Origin
from sidecar.core.ports import Clock
from sidecar.core.rate_limit import EVERY
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.pool import OriginPool, Pool
from sidecar.http1.request_body import ReplayBudget
from sidecar.http1.shared.listener import TakeOver
from sidecar.proxy.proxy import Proxy
from sidecar.proxy.router import Router
from sidecar.proxy.routes import Route
from sidecar.proxy.table import Table
from sidecar.proxy.tenants import Tenants
from sidecar.telemetry.events import UpstreamDown, UpstreamUp
from sidecar.telemetry.fan_out import Listener
from sidecar.telemetry.ports import PoolReadings

if TYPE_CHECKING:
    from sidecar.http2.outgoing import Outbox


class Http2:
    """Make the parts of HTTP/2, which share one outbox.

    Its modules are loaded when the first route uses it: without one, the process neither loads nor holds any of them.
    """

    def __init__(self, deadlines: Deadlines, clock: Clock) -> None:
        self._deadlines = deadlines
        self.budget = ReplayBudget()
        """That of all requests, also over HTTP/1.1."""
        self._clock = clock
        self._outbox: Outbox | None = None

    def _shared(self) -> "Outbox":
        if self._outbox is None:
            from sidecar.http2.outgoing import Outbox  # noqa: PLC0415  see the docstring

            self._outbox = Outbox()
        return self._outbox

    def pool(self, origin: Origin, changed: Callable[[Health, Health], None]) -> OriginPool:
        """Return a pool of connections to an origin."""
        from sidecar.http2.pool import Pool  # noqa: PLC0415

        return Pool(origin, self._deadlines, self._shared(), changed)

    def take_over(self, routes: Iterable[Route], proxy: Proxy) -> TakeOver | None:
        """Return what serves clients over HTTP/2, or None if no route uses it."""
        if not any(route.origin.http2 for route in routes):
            return None
        from sidecar.grpc.relay import relays  # noqa: PLC0415
        from sidecar.http2.server import Service  # noqa: PLC0415

        parts = (self.budget, self._clock, self._shared())
        return Service(proxy.exchange, proxy.refused, *parts, broken=proxy.broken, relays=relays()).take_over


def new_pool(origin: Origin, deadlines: Deadlines, journal: Listener, http2: Http2) -> OriginPool:
    """Return a new pool that logs when its upstream goes down and when it is up again."""
    changed = OutageLog(url(origin), journal).changed
    return http2.pool(origin, changed) if origin.http2 else Pool(origin, deadlines, changed)


class OutageLog:
    """Log the outages of one upstream: each logged one with its end, and at most one in EVERY seconds.

    An upstream that fails and answers in turn would otherwise be logged as often as requests are sent. An outage that
    lasts is logged with the first failure after that time, if not before.
    """

    def __init__(self, upstream: str, journal: Listener) -> None:
        self._upstream = upstream
        self._journal = journal
        self._due = -inf
        self._outages = 0
        """Since the last that was logged."""
        self._is_logged = False
        """Whether the outage that lasts is logged."""

    def changed(self, before: Health, now: Health) -> None:
        """Note a failure, or the end of an outage, by the health before and after it."""
        if now.state != "down":
            if self._is_logged:
                self._journal.tell(UpstreamUp(self._upstream, now.since - before.since))
            self._is_logged = False
            return
        self._outages += before.state != "down"
        moment = now.last_failure or now.since
        if not self._is_logged and moment >= self._due:
            self._journal.tell(UpstreamDown(self._upstream, now.why, self._outages))
            self._due, self._outages, self._is_logged = moment + EVERY, 0, True


def table(config: Config, listen: str, pools: Mapping[Origin, OriginPool]) -> Table:
    """Return the routes of the configuration; `listen` is the listen address as configured or bound."""
    tenants = Tenants(config.tenants, config.cache.max_entries) if config.tenants is not None else None
    by_route = {route.name: pools[route.origin] for route in config.routes}
    silences: defaultdict[Origin, float] = defaultdict(float)
    for route in config.routes:
        silences[route.origin] = max(silences[route.origin], route.idle_timeout or inf)
    for origin, longest in silences.items():
        pools[origin].limit_silence(longest if longest < inf else 0.0)
    return Table(Router(config.routes, listen), by_route, tenants)


def url(origin: Origin) -> str:
    """Return the upstream's name, as in `health` of `/status`."""
    return f"{origin.scheme}://{origin.authority.decode()}"


def pool_readings(pools: Mapping[Origin, OriginPool]) -> dict[tuple[str, int], PoolReadings]:
    """Return the use of connections to each host and port, summed over all pools."""
    by_address: defaultdict[tuple[str, int], list[PoolReadings]] = defaultdict(list)
    for origin, pool in pools.items():
        by_address[origin.host, origin.port].append(pool.readings())
    return {
        address: PoolReadings(
            sum(reading.active for reading in readings),
            sum(reading.idle for reading in readings),
            sum(reading.waiting for reading in readings),
        )
        for address, readings in by_address.items()
    }
