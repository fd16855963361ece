"""Streams of 105-byte messages over HTTP/2, as gRPC sends them: CPU per message, and memory while many are open.

Server streaming sends a hundred messages as fast as windows allow. Both ways, each message waits for the one before to
come back.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

import uvloop

from tests.bench.calls import CONNECTIONS, SECONDS, START, pair
from tests.bench.cells import MANY_STREAMS, OPEN, STREAMS, Streams, matches
from tests.bench.figures import MIB, Measurement
from tests.bench.plan import Plan
from tests.bench.processes import BenchmarkError
from tests.bench.proxies import Proxy
from tests.bench.stream_client import Call, Connection, connect, going_on
from tests.bench.stream_frames import MOST, SIZE
from tests.bench.upstreams import Upstreams

CALLS: Mapping[str, Call] = {"server": Call(sent=1, replies=100), "bidi": Call(sent=100, replies=1)}
STAYING = Call(sent=1, replies=1, stays=True)
STREAMS_EACH = 100
"""Of the open streams, on each connection."""
LOOK_SECONDS = 0.02
LOOKS = 1500


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Warm both up and measure in turns; then the memory of each, in a fresh process."""
    if cells := plan.wanted(STREAMS, "plain"):
        with pair(plan, upstreams.streams) as proxies:
            for proxy in proxies:
                uvloop.run(flow(proxy, cells[0]))
            for cell, proxy in plan.turns(cells, proxies):
                for _ in range(plan.seconds):
                    yield Measurement(cell.name, proxy.name, uvloop.run(flow(proxy, cell)))
    for name in START if matches(OPEN, plan.cells) else ():
        if name in plan.proxies:
            with START[name](plan, upstreams.streams) as proxy:
                yield Measurement(OPEN, name, uvloop.run(hold(proxy)))


async def flow(proxy: Proxy, cell: Streams) -> dict[str, float]:
    """Stream as fast as the proxy does. Raises `BenchmarkError` if any call failed."""
    before, begun = proxy.process.usage(), time.monotonic()
    clients = await connected(proxy, CALLS[cell.kind], CONNECTIONS, cell.streams)
    await going_on(clients, SECONDS)
    seconds, used = time.monotonic() - begun, proxy.process.usage().since(before)
    messages = sum(client.received for client in clients) / SIZE
    for client in clients:
        client.stop()
    if not messages:
        raise BenchmarkError(f"{proxy.name} in {cell.name}: no message arrived")
    return {
        "message_us": used.cpu / messages * 1e6,
        "messages_per_second": messages / seconds,
        **used.shares(seconds),
    }


async def hold(proxy: Proxy) -> dict[str, float]:
    """Open all streams, and exchange a message on each. Raises `BenchmarkError` if one does not stay."""
    before = proxy.process.resident()
    clients = await answered(proxy, MANY_STREAMS // STREAMS_EACH, STREAMS_EACH)
    resident = proxy.process.resident()
    for client in clients:
        client.stop()
    return {
        "open_streams_mib": resident / MIB,
        "open_streams_kib_each": (resident - before) / MANY_STREAMS / 1024,
    }


async def answered(proxy: Proxy, connections: int, streams: int) -> list[Connection]:
    """Open streams that stay, and wait until a message has come back on each."""
    clients = await connected(proxy, STAYING, connections, streams)
    await reached(proxy, clients, lambda: sum(client.answered for client in clients) == connections * streams)
    return clients


async def reached(proxy: Proxy, clients: Sequence[Connection], condition: Callable[[], bool]) -> None:
    """Wait for it. Raises `BenchmarkError` if it does not come, or a call fails."""
    for _ in range(LOOKS):
        if condition():
            return
        await going_on(clients, LOOK_SECONDS)
    raise BenchmarkError(f"{proxy.name}: streams are not answered")


async def connected(
    proxy: Proxy, call: Call, connections: int, streams: int, *, window: int = MOST
) -> list[Connection]:
    """Open the connections, and as many streams on each."""
    async with asyncio.timeout(10):
        return await connect(urlsplit(proxy.url).netloc, call, connections, streams, window)
