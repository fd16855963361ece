"""A client that does not read one of its streams: what that does to its other streams, and to memory.

The stream's window is never returned, so the proxy holds what the upstream sent and stops there. Meanwhile other
streams of the connection call as fast as they are answered. Loads with such a stream and without it take turns.
"""

import sys
from collections.abc import Iterator
from statistics import quantiles

import uvloop

from tests.bench.calls import SECONDS, START, pair
from tests.bench.cells import SLOW, SLOW_READERS, matches
from tests.bench.figures import MIB, Measurement
from tests.bench.plan import Plan
from tests.bench.proxies import Proxy
from tests.bench.stream_client import Call, going_on
from tests.bench.stream_frames import DEFAULT_WINDOW, SIZE
from tests.bench.streams import LOOK_SECONDS, answered, connected, reached
from tests.bench.upstreams import Upstreams

UNARY = Call(sent=1, replies=1)
STREAMS = 10
"""Of other calls, on the same connection."""
READERS = 100
AT_REST = 10
"""Measurements in a row without growth, after which memory is at rest."""


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Alternate the order of the two loads; then measure the memory of each proxy, in a fresh process."""
    if matches(SLOW, plan.cells):
        with pair(plan, upstreams.streams) as proxies:
            for proxy in proxies:
                uvloop.run(p99(proxy, beside=False))
            for number in range(plan.rounds * plan.seconds):
                print(f"pair {number + 1} of {plan.rounds * plan.seconds}: {SLOW}", file=sys.stderr)
                for proxy in proxies:
                    order = (True, False) if number % 2 else (False, True)
                    took = {beside: uvloop.run(p99(proxy, beside=beside)) for beside in order}
                    figures = {
                        "slow_p99": took[True] / took[False],
                        "alone_ms": took[False],
                        "beside_ms": took[True],
                    }
                    yield Measurement(SLOW, proxy.name, figures)
    for name in START if matches(SLOW_READERS, plan.cells) else ():
        if name in plan.proxies:
            with START[name](plan, upstreams.streams) as proxy:
                yield Measurement(SLOW_READERS, name, uvloop.run(memory(proxy)))


async def p99(proxy: Proxy, *, beside: bool) -> float:
    """Return the milliseconds of the 99th percentile of calls, beside a stream that is not read or without it."""
    [client] = await connected(proxy, UNARY, 1, STREAMS, window=DEFAULT_WINDOW)
    if beside:
        client.begin_unread()
        await reached(proxy, [client], lambda: client.unread > DEFAULT_WINDOW - SIZE)
    client.took.clear()
    await going_on([client], SECONDS)
    client.stop()
    return quantiles(client.took, n=100)[98] * 1000


async def memory(proxy: Proxy) -> dict[str, float]:
    """Return how memory grows while each of many clients does not read its stream."""
    for client in await answered(proxy, READERS, 1):
        client.stop()
    before = proxy.process.resident()
    clients = await connected(proxy, UNARY, READERS, 0, window=DEFAULT_WINDOW)
    for client in clients:
        client.begin_unread()
    await reached(proxy, clients, lambda: all(client.unread > DEFAULT_WINDOW - SIZE for client in clients))
    most, at_rest = proxy.process.resident(), 0
    while at_rest < AT_REST:
        await going_on(clients, LOOK_SECONDS)
        now = proxy.process.resident()
        most, at_rest = max(most, now), 0 if now > most else at_rest + 1
    for client in clients:
        client.stop()
    return {"slow_mib": (most - before) / MIB, "slow_kib_each": (most - before) / READERS / 1024}
