"""Memory of a sidecar that shares its tokens through a Redis, beside that of the peer, which shares nothing."""

from collections.abc import Iterator
from contextlib import AbstractContextManager

from tests.bench.cells import CONNECTIONS, FLEET, matches
from tests.bench.figures import MIB, Measurement
from tests.bench.load import ask
from tests.bench.plan import Plan
from tests.bench.proxies import OURS, PEER, Proxy, envoy, sidecar
from tests.bench.upstreams import Upstreams
from tests.support.redis_server import RedisServer
from tests.support.waiting import block_until


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Each once, in a fresh process: fresh is a sidecar that receives from its fleet, the peak that of all clients."""
    if not matches(FLEET, plan.cells):
        return
    with RedisServer(plan.folder) as redis:
        for name in (name for name in (OURS, PEER) if name in plan.proxies):
            with _start(name, plan, upstreams, redis) as proxy:
                if name == OURS:
                    block_until(lambda: _heard(redis))
                fresh = proxy.process.resident()
                ask(proxy, "200B", max(CONNECTIONS))
                figures = {"fleet_fresh_mib": fresh / MIB, "fleet_peak_mib": proxy.process.peak() / MIB}
                yield Measurement(FLEET, name, figures)


def _start(name: str, plan: Plan, upstreams: Upstreams, redis: RedisServer) -> AbstractContextManager[Proxy]:
    upstream = upstreams.small["plain"]
    if name == OURS:
        return sidecar(plan.proxy_core, upstream, plan.folder, redis.url)
    return envoy(plan.proxy_core, upstream, plan.folder)


def _heard(redis: RedisServer) -> bool:
    """Return whether a subscriber receives busts there."""
    with redis.client() as client:
        return bool(client.pubsub_channels())
