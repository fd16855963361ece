"""Memory with many clients connected that have asked once and now say nothing."""

import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

from tests.bench.cells import IDLE, matches
from tests.bench.figures import MIB, Measurement
from tests.bench.plan import Plan
from tests.bench.processes import BenchmarkError
from tests.bench.proxies import PROXIES, Proxy
from tests.bench.upstreams import Upstreams

CLIENTS = 10_000
DESCRIPTORS = CLIENTS + 500
"""What the load and each proxy need; the proxies inherit our limit."""
HEAD_BYTES = 8 * 1024


def allow_descriptors() -> None:
    """Raise our limit as far as we may. Raises `BenchmarkError` if that is too low."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < DESCRIPTORS:
        raise BenchmarkError(f"{CLIENTS} idle clients need `ulimit -Hn {DESCRIPTORS}`; here it is {most}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, most))


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Each proxy once, in a fresh process: memory does not depend on what else the machine does."""
    if not matches(IDLE, plan.cells):
        return
    allow_descriptors()
    for name in plan.proxies:
        with PROXIES[name](plan.proxy_core, upstreams.small["plain"], plan.folder) as proxy:
            before = proxy.process.resident()
            with ExitStack() as clients:
                _connect(proxy, clients)
                with_clients = proxy.process.resident()
            figures = {
                "idle_mib": with_clients / MIB,
                "idle_kib_each": (with_clients - before) / CLIENTS / 1024,
            }
            yield Measurement(IDLE, name, figures)


def _connect(proxy: Proxy, clients: ExitStack) -> None:
    """Connect all, each after the one before has its answer. Raises `BenchmarkError` if one does not stay."""
    url = urlsplit(proxy.url)
    request = f"GET /200B HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode()
    gone = select.poll()
    for number in range(CLIENTS):
        client = clients.enter_context(socket.create_connection((url.hostname, url.port), timeout=10))
        client.sendall(request)
        answer = b""
        while not answer.endswith(b'"}'):
            part = client.recv(HEAD_BYTES)
            answer += part
            if not part or not answer.startswith(b"HTTP/1.1 200 "[: len(answer)]):
                raise BenchmarkError(f"{proxy.name} answered client {number + 1} with {answer[:80]!r}")
        gone.register(client, select.POLLIN)
    if closed := len(gone.poll(0)):
        raise BenchmarkError(f"{proxy.name} closed {closed} of {CLIENTS} idle connections")
