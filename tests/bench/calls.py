"""Small calls over HTTP/2 through `h2load`, as gRPC makes them: CPU per call, throughput, latency.

The sidecar and Envoy use HTTP/2 on both sides; the upstream is an nginx over HTTP/2. Four connections with some
streams each.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import quantiles

from tests.bench.cells import CALLS, MESSAGE, Calls
from tests.bench.figures import Measurement
from tests.bench.plan import Plan
from tests.bench.processes import BenchmarkError, tool
from tests.bench.proxies import OURS, PEER, Proxy, envoy, sidecar
from tests.bench.upstreams import Upstream, Upstreams

SECONDS = 1
"""Of one load, as in `load`."""
CONNECTIONS = 4
PATHS = 100_000
"""Different paths of calls that have one each: more than are called in SECONDS on one connection."""
_FINISHED = re.compile(r"finished in ([0-9.]+)(m?)s")
_REQUESTS = re.compile(
    r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout"
)


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Warm both up, then measure in turns; then the same with all telemetry on, as in `traced`."""
    for telemetry in ("", upstreams.small["plain"].url):
        if not (cells := plan.wanted([cell for cell in CALLS if cell.traced == bool(telemetry)], "plain")):
            continue
        with pair(plan, upstreams.calls, telemetry) as proxies:
            for proxy in proxies:
                call(proxy, cells[0], plan.folder)
            for cell, proxy in plan.turns(cells, proxies):
                for _ in range(plan.seconds):
                    yield Measurement(cell.name, proxy.name, call(proxy, cell, plan.folder))
                if not cell.unique:
                    yield Measurement(cell.name, proxy.name, latency(proxy, cell, plan.folder))


def _sidecar(plan: Plan, upstream: Upstream, telemetry: str = "") -> AbstractContextManager[Proxy]:
    return sidecar(plan.proxy_core, upstream, plan.folder, telemetry=telemetry, protocol="http2")


def _envoy(plan: Plan, upstream: Upstream, _: str = "") -> AbstractContextManager[Proxy]:
    return envoy(plan.proxy_core, upstream, plan.folder, http2=True)


START: Mapping[str, Callable[..., AbstractContextManager[Proxy]]] = {
    OURS: _sidecar,
    PEER: _envoy,
}
"""The proxies that use HTTP/2 on both sides."""


@contextmanager
def pair(plan: Plan, upstream: Upstream, telemetry: str = "") -> Iterator[list[Proxy]]:
    """Start those that the run measures. The sidecar sends metrics and some spans to the URL `telemetry`."""
    with ExitStack() as running:
        yield [
            running.enter_context(start(plan, upstream, telemetry))
            for name, start in START.items()
            if name in plan.proxies
        ]


def latency(proxy: Proxy, cell: Calls, folder: Path) -> dict[str, float]:
    """Call as fast as the proxy answers, while h2load logs each call: in a separate load, because logging costs CPU."""
    log = folder / "calls.log"
    log.unlink(missing_ok=True)
    figures = call(proxy, cell, folder, f"--log-file={log}")
    took = [int(line.split("\t")[2]) / 1000 for line in log.read_text().splitlines()]
    percentiles = quantiles(took, n=100)
    held_back = {name: figures[name] for name in ("busy", "waited")}
    return {"p50_ms": percentiles[49], "p99_ms": percentiles[98], **held_back}


def call(proxy: Proxy, cell: Calls, folder: Path, *options: str) -> dict[str, float]:
    """Call as fast as the proxy answers. Raises `BenchmarkError` if any call failed."""
    message = folder / "message"
    message.write_bytes(b"x" * MESSAGE)
    command = [tool("h2load", "nghttp2-client"), "--threads=1", f"--clients={CONNECTIONS}"]
    command += [f"--max-concurrent-streams={cell.streams}", f"--duration={SECONDS}", f"--data={message}"]
    command += [
        "--header=content-type: application/grpc",
        "--header=te: trailers",
        *options,
        *_target(proxy, cell, folder),
    ]
    before = proxy.process.usage()
    h2load = subprocess.run(command, capture_output=True, text=True, check=False)
    used = proxy.process.usage().since(before)
    finished, counted = _FINISHED.search(h2load.stdout), _REQUESTS.search(h2load.stdout)
    if finished is None or counted is None:
        raise BenchmarkError(f"h2load against {proxy.name} failed:\n{h2load.stdout}{h2load.stderr}")
    seconds = float(finished[1]) / (1000 if finished[2] else 1)
    done, succeeded, *faults = map(int, counted.groups())
    if not done or done != succeeded or any(faults):
        raise BenchmarkError(f"{proxy.name} in {cell.name}: not all calls succeeded: {counted[0]}")
    return {
        "cpu_us": used.cpu / done * 1e6,
        "per_second": done / seconds,
        **used.shares(seconds),
        "requests": done,
    }


def _target(proxy: Proxy, cell: Calls, folder: Path) -> list[str]:
    url = f"{proxy.url}/bench.Calls/Call"
    if not cell.unique:
        return [url]
    paths = folder / f"{proxy.name}.paths"
    if not paths.exists():
        paths.write_text("".join(f"{url}{number}\n" for number in range(PATHS)))
    return [f"--input-file={paths}"]
