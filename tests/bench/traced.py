"""Many small requests while all telemetry is on: the log, metrics pushed, one request in a hundred traced.

Beside Envoy with its log and statistics, as everywhere here. Where ours is sent, requests are only swallowed.
"""

from collections.abc import Iterator
from contextlib import ExitStack

from tests.bench.cells import CONNECTIONS, TRACED
from tests.bench.figures import Measurement
from tests.bench.load import ask
from tests.bench.plan import Plan
from tests.bench.proxies import OURS, PEER, envoy, sidecar
from tests.bench.upstreams import Upstreams


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Warm both up, then measure in turns."""
    upstream = upstreams.small["plain"]
    if not (cells := plan.wanted(TRACED, "plain")):
        return
    with ExitStack() as running:
        proxies = []
        if OURS in plan.proxies:
            ours = sidecar(plan.proxy_core, upstream, plan.folder, telemetry=upstream.url)
            proxies.append(running.enter_context(ours))
        if PEER in plan.proxies:
            proxies.append(running.enter_context(envoy(plan.proxy_core, upstream, plan.folder)))
        for proxy in proxies:
            ask(proxy, "200B", max(CONNECTIONS))
        for cell, proxy in plan.turns(cells, proxies):
            for _ in range(plan.seconds):
                yield Measurement(cell.name, proxy.name, ask(proxy, cell.answer, cell.connections))
