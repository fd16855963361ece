"""Many small requests through `wrk`: CPU per request, latency, throughput, memory."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.cells import CONNECTIONS, LOADS, UPSTREAMS
from tests.bench.figures import MIB, Measurement
from tests.bench.plan import Plan
from tests.bench.processes import BenchmarkError, tool
from tests.bench.proxies import Proxy
from tests.bench.upstreams import Upstreams

SCRIPT = Path(__file__).with_name("report.lua")
SECONDS = 1
"""Of one load, the shortest there is: whatever else runs for a moment decides the 99th percentile of the whole
load it falls into, so many short ones and their median say more about the proxy than a few long ones."""
LONELY = 4
"""Times as many with a single connection, where a moment's wait is not hidden in a queue."""


def measure(plan: Plan, upstreams: Upstreams) -> Iterator[Measurement]:
    """Warm everything up, then measure in turns."""
    for kind in UPSTREAMS:
        if not (cells := plan.wanted(LOADS, kind)):
            continue
        with plan.started(upstreams.small[kind]) as proxies:
            for proxy in proxies:
                ask(proxy, "200B", max(CONNECTIONS))
            for cell, proxy in plan.turns(cells, proxies):
                for _ in range(plan.seconds * (LONELY if cell.connections == 1 else 1)):
                    yield Measurement(cell.name, proxy.name, ask(proxy, cell.answer, cell.connections))


def ask(
    proxy: Proxy, answer: str, connections: int, script: Path = SCRIPT, arguments: Sequence[str] = ()
) -> dict[str, float]:
    """Ask as fast as the proxy answers, as the script says. Raises `BenchmarkError` if any answer was no 200."""
    command = [tool("wrk", "wrk"), "--threads=1", f"--connections={connections}", f"--duration={SECONDS}s"]
    command += [f"--script={script}", f"{proxy.url}/{answer}", "--", *arguments]
    proxy.process.forget_peak()
    before = proxy.process.usage()
    wrk = subprocess.run(command, capture_output=True, text=True, check=False)
    used = proxy.process.usage().since(before)
    told = wrk.stdout.partition("figures ")[2]
    if not told:
        raise BenchmarkError(f"wrk against {proxy.name} failed:\n{wrk.stdout}{wrk.stderr}")
    figures: dict[str, float] = json.loads(told)
    if figures["refused"] or figures["broken"] or not figures["requests"]:
        raise BenchmarkError(
            f"{proxy.name} at {connections} connections: {figures['requests']} answers, {figures['refused']} "
            f"of them refused, {figures['broken']} connections broken or timed out"
        )
    measured = {
        "cpu_us": used.cpu / figures["requests"] * 1e6,
        "per_second": figures["requests"] / figures["seconds"],
        "p50_ms": figures["p50_us"] / 1000,
        "p99_ms": figures["p99_us"] / 1000,
        **used.shares(figures["seconds"]),
        "requests": figures["requests"],
    }
    if connections == max(CONNECTIONS):
        measured |= {
            "peak_mib": proxy.process.peak() / MIB,
            "after_mib": proxy.process.resident() / MIB,
        }
    return measured
