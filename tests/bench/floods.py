"""Floods of HTTP/2 against the sidecar: CPU and memory until it ends the connection, and whether it serves the next.

Each flood is one client that sends as fast as it can, to a fresh process.
"""

import select
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

import uvloop

from sidecar.http2.frames import ErrorCode
from tests.bench.calls import START
from tests.bench.cells import FLOODS, matches
from tests.bench.figures import MIB, Measurement
from tests.bench.plan import Plan
from tests.bench.processes import BenchmarkError
from tests.bench.proxies import OURS, Proxy
from tests.bench.stream_frames import GOAWAY, PREFACE, SETTINGS, frame
from tests.bench.streams import answered
from tests.bench.upstreams import Upstreams
from tests.support import http2_floods

AT_ONCE = 50
"""Frames, or pairs of them, in a write."""
PATIENCE = 60.0
"""Seconds until the connection has ended."""
READ = 1 << 16


def variants(kind: str) -> Sequence[str]:
    """Return the names of the floods of that kind."""
    word = {"empty-data": "DATA", "unknown": "unknown frames"}.get(kind, kind.replace("-", " "))
    names = [name for name in http2_floods.FLOODS if word.casefold() in name.casefold()]
    return names if kind == "made-you-reset" else [name for name in names if not name.startswith("made you")]


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Each flood once, against the sidecar only: other proxies have other limits."""
    for kind in FLOODS if OURS in plan.proxies else ():
        cell = f"floods/{kind}"
        for name in variants(kind) if matches(cell, plan.cells) else ():
            print(f"flood: {name}", file=sys.stderr)
            with START[OURS](plan, upstreams.streams) as proxy:
                serves_a_client(proxy)
                yield Measurement(cell, OURS, flooded(proxy, name))
                serves_a_client(proxy)


def serves_a_client(proxy: Proxy) -> None:
    """Exchange a message. Raises `BenchmarkError` if it does not come back."""

    async def exchange() -> None:
        for client in await answered(proxy, 1, 1):
            client.stop()

    uvloop.run(exchange())


def flooded(proxy: Proxy, name: str) -> dict[str, float]:
    """Flood it. Raises `BenchmarkError` unless the connection ends with ENHANCE_YOUR_CALM."""
    proxy.process.forget_peak()
    before, resident = proxy.process.cpu_seconds(), proxy.process.resident()
    code = flood(urlsplit(proxy.url).port, http2_floods.FLOODS[name])
    cpu_seconds = proxy.process.cpu_seconds() - before
    if code != ErrorCode.ENHANCE_YOUR_CALM:
        raise BenchmarkError(f"{proxy.name}: the connection of the flood {name!r} ended with {code}")
    return {"flood_ms": cpu_seconds * 1000, "flood_mib": (proxy.process.peak() - resident) / MIB}


def flood(port: int | None, frames: Callable[[int], bytes]) -> int | None:
    """Send frames until the other side closes; return the code of its GOAWAY, or None without one."""
    received, unsent = b"", PREFACE + frame(SETTINGS, 0, 0)
    numbers = iter(range(0, http2_floods.ENOUGH, AT_ONCE))
    end = time.monotonic() + PATIENCE
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
        while time.monotonic() < end:
            if not unsent and (number := next(numbers, None)) is not None:
                unsent = b"".join(map(frames, range(number, number + AT_ONCE)))
            readable, writable, _ = select.select([client], [client] if unsent else [], [], PATIENCE)
            try:
                if readable:
                    data = client.recv(READ)
                    received += data
                    if not data:
                        return code_of_goaway(received)
                elif writable:
                    unsent = unsent[client.send(unsent) :]
            except ConnectionError:
                return code_of_goaway(received)
    raise BenchmarkError("the sidecar does not end the connection of a flood")


def code_of_goaway(received: bytes) -> int | None:
    """Return the code of the first GOAWAY among these frames; None without one."""
    while len(received) >= 9:
        end = 9 + int.from_bytes(received[:3], "big")
        if received[3] == GOAWAY and len(received) >= end:
            return int.from_bytes(received[13:17], "big")
        received = received[end:]
    return None
