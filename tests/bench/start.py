"""From the start of the process to its first good answer."""

from collections.abc import Iterator

from tests.bench.cells import START, matches
from tests.bench.figures import Measurement
from tests.bench.plan import Plan
from tests.bench.proxies import PROXIES
from tests.bench.upstreams import Upstreams

STARTS = 5


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Several starts of each, in turns, after one that does not count: it fills the file system's cache."""
    for number in range(STARTS + 1) if matches(START, plan.cells) else ():
        for name in plan.proxies:
            with PROXIES[name](plan.proxy_core, upstreams.small["plain"], plan.folder) as proxy:
                if number:
                    yield Measurement(START, name, {"ready_seconds": proxy.process.ready_seconds})
