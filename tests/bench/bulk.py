"""One large body at a time: how much a second of CPU time moves, and what it costs in memory.

Up over TLS we move less than three quarters of what Envoy does, where OpenSSL is 3.0: 43 % of our CPU time is the
kernel's (no more than Envoy's in seconds), 32 % encryption, 16 % copying, 5 % Python. AES-GCM for AVX-512 came with
OpenSSL 3.1 (here 6.8 GB/s instead of 4.2); Envoy's BoringSSL has its own. The cipher is the same for both, and AES-128
would be 3 % faster. Python's `ssl` encrypts from memory to memory: two copies more than Envoy makes. Writes of another
size, and a buffer lent to the event loop in place of a new one for each read, differ by no more than the noise.
"""

import socket
import time
from collections.abc import Iterator
from http.client import HTTPException, parse_headers
from io import BufferedReader
from urllib.parse import urlsplit

from tests.bench import bodies
from tests.bench.cells import BULKS, UPSTREAMS, Bulk
from tests.bench.figures import MIB, Measurement
from tests.bench.plan import Plan
from tests.bench.processes import BenchmarkError
from tests.bench.proxies import Proxy
from tests.bench.upstreams import Upstreams

SILENCE_SECONDS = 60


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Fresh proxies; memory grows, if it does, from what each had after its first small transfer."""
    for kind in UPSTREAMS:
        if not (cells := plan.wanted(BULKS, kind)):
            continue
        with plan.started(upstreams.bulk[kind]) as proxies:
            resident = {}
            for proxy in proxies:
                transfer(proxy, Bulk(kind, "down", "sized"), MIB)
                resident[proxy.name] = proxy.process.resident()
            for cell, proxy in plan.turns(cells, proxies):
                proxy.process.forget_peak()
                before, begun = proxy.process.cpu_seconds(), time.monotonic()
                transfer(proxy, cell, plan.bulk_bytes)
                cpu_seconds, seconds = proxy.process.cpu_seconds() - before, time.monotonic() - begun
                figures = {
                    "mb_per_cpu_second": plan.bulk_bytes / 1e6 / cpu_seconds,
                    "growth_mib": (proxy.process.peak() - resident[proxy.name]) / MIB,
                    "busy": cpu_seconds / seconds,
                    "seconds": seconds,
                }
                yield Measurement(cell.name, proxy.name, figures)


def transfer(proxy: Proxy, cell: Bulk, size: int) -> None:
    """Move one body. Raises `BenchmarkError` unless the status is 200 and every byte came through."""
    host = urlsplit(proxy.url).netloc
    if cell.direction == "down":
        head = f"GET /{cell.framing}/{size} HTTP/1.1\r\nHost: {host}\r\n\r\n"
    else:
        field, value = bodies.framing(cell.framing, size)
        head = f"POST /up HTTP/1.1\r\nHost: {host}\r\n{field}: {value}\r\n\r\n"
    try:
        status, got = _exchange(host, head, cell, size)
    except (OSError, HTTPException, ValueError) as error:
        raise BenchmarkError(f"{proxy.name}, {cell.name}: {error!r}") from error
    if status != 200 or got != size:
        raise BenchmarkError(f"{proxy.name}, {cell.name}: status {status}, {got} bytes of {size}")


def _exchange(host: str, head: str, cell: Bulk, size: int) -> tuple[int, int]:
    """The answer's status, and how many bytes of body reached the other end."""
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), SILENCE_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head.encode())
        if cell.direction == "up":
            bodies.send(connection.sendall, cell.framing, size)
        with BufferedReader(connection.makefile("rb", 0), MIB) as stream:
            status = int(stream.readline().split()[1])
            fields = parse_headers(stream)
            if cell.direction == "up":
                return status, int(stream.read(int(fields["Content-Length"])))
            return status, bodies.receive(stream, fields)
