"""The pools of upstreams: their outages in the log, their connections in the metrics; and the table of routes."""

from collections import defaultdict
from collections.abc import Mapping

from sidecar.config.settings import Config
from sidecar.core.health import Health
from sidecar.core.origin import Origin
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.pool import Pool
from sidecar.proxy.proxy import Table
from sidecar.proxy.router import Router
from sidecar.proxy.tenants import Tenants
from sidecar.telemetry.events import UpstreamDown, UpstreamUp
from sidecar.telemetry.fan_out import Listener
from sidecar.telemetry.ports import PoolReadings


def new_pool(origin: Origin, deadlines: Deadlines, journal: Listener) -> Pool:
    """Return a new pool that logs when its upstream goes down and when it is up again."""

    def changed(before: Health, now: Health) -> None:
        if now.state == "down":
            journal.tell(UpstreamDown(url(origin), now.why))
        elif before.state == "down":
            journal.tell(UpstreamUp(url(origin), now.since - before.since))

    return Pool(origin, deadlines, changed)


def table(config: Config, listen: str, pools: Mapping[Origin, Pool]) -> Table:
    """Return the routes of the configuration; `listen` is the listen address as configured or bound."""
    tenants = Tenants(config.tenants, config.cache.max_entries) if config.tenants is not None else None
    by_route = {route.name: pools[route.origin] for route in config.routes}
    return Table(Router(config.routes, listen), by_route, tenants)


def url(origin: Origin) -> str:
    """Return the upstream's name, as in `health` of `/status`."""
    return f"{origin.scheme}://{origin.authority.decode()}"


def pool_readings(pools: Mapping[Origin, Pool]) -> dict[tuple[str, int], PoolReadings]:
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
