"""CPU per request among many routes, tenants and tokens, as a multiple of that with one.

Two sidecars of our own, one with few and one with many, take turns on one core, so that whatever else the machine does
touches both. Every request differs from the one before, in both loads alike.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.cells import GROWTHS, Growth
from tests.bench.figures import Measurement
from tests.bench.load import ask
from tests.bench.plan import Plan
from tests.bench.processes import BenchmarkError
from tests.bench.proxies import OURS, Proxy, sidecar
from tests.bench.upstreams import Upstream, Upstreams

SPREAD = Path(__file__).with_name("spread.lua")
CONNECTIONS = 32


@dataclass(frozen=True)
class _Side:
    """A sidecar, and of how many routes and tenants the load sends requests."""

    proxy: Proxy
    routes: int
    tenants: int

    def cpu_us(self) -> float:
        """CPU time of one request, over one load."""
        spread = (str(self.routes), str(self.tenants))
        return ask(self.proxy, "", CONNECTIONS, SPREAD, spread)["cpu_us"]


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Each pair after a load that does not count; which of the two comes first changes each time."""
    upstream = upstreams.small["plain"]
    for cell in plan.wanted(GROWTHS, "plain") if OURS in plan.proxies else ():
        with _side(cell, 1, plan, upstream) as one, _side(cell, cell.many, plan, upstream) as many:
            for side in (one, many):
                side.cpu_us()
            for number in range(plan.rounds * plan.seconds):
                print(f"pair {number + 1} of {plan.rounds * plan.seconds}: {cell.name}", file=sys.stderr)
                sides = (many, one) if number % 2 else (one, many)
                took = {side: side.cpu_us() for side in sides}
                figures = {"growth": took[many] / took[one], "one_us": took[one], "many_us": took[many]}
                yield Measurement(cell.name, OURS, figures)


@contextmanager
def _side(cell: Growth, number: int, plan: Plan, upstream: Upstream) -> Iterator[_Side]:
    """Start a sidecar with this many routes, or with the tokens of this many tenants in memory."""
    folder = plan.folder / cell.name / str(number)
    folder.mkdir(parents=True)
    match cell.kind:
        case "routes":
            with sidecar(plan.proxy_core, upstream, folder, changes=_routes(number, upstream)) as proxy:
                yield _Side(proxy, number, 1)
        case "tenants" | "tokens":
            with sidecar(plan.proxy_core, upstream, folder, changes=_tenants(cell.many, upstream)) as proxy:
                _fetch_tokens(proxy, number)
                yield _Side(proxy, 1, number if cell.kind == "tenants" else 1)


def _routes(number: int, upstream: Upstream) -> Mapping[str, object]:
    route = {"upstream": upstream.url, "token": "bench", "strip_prefix": True}
    return {
        "routes": [{"name": f"r{n:04}", "match": {"prefix": f"/r{n:04}"}, **route} for n in range(number)]
    }


def _tenants(number: int, upstream: Upstream) -> Mapping[str, object]:
    rule = {"header": "X-Tenant", "allow": [_tenant(n) for n in range(number)]}
    cache = {"max_entries": 2 * number}  # each of this number may take 1 KiB, and a token takes somewhat more
    return {"tenant": rule, "cache": cache, **_routes(1, upstream)}


def _tenant(number: int) -> str:
    return f"t{number:05}"


def _fetch_tokens(proxy: Proxy, tenants: int) -> None:
    """Send a request of each tenant. Raises `BenchmarkError` if the answer is not the upstream's 200."""
    connection = HTTPConnection(urlsplit(proxy.url).netloc)
    try:
        for number in range(tenants):
            connection.request("GET", "/r0000/200B", headers={"X-Tenant": _tenant(number)})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise BenchmarkError(f"{proxy.name} answered tenant {number + 1} with {answer.status}")
    finally:
        connection.close()
