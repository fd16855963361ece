"""`make bench`: this sidecar and Envoy side by side, CPU per request and latency.

Each proxy has one core, `wrk` and the upstream (nginx) share another. Both inject a bearer token, which the
upstream checks, write a JSON access log to /dev/null and keep statistics. Rounds are interleaved, so that
whatever else the machine does touches both; the figures are medians over rounds. `wrk` waits for each answer
before it asks again, so at full load the latency says how fast the proxy is rather than how long it queues.
Loopback only, two minutes.

Exit code 1: a target is missed. 2: it cannot run here. The samples are left in build/bench.json.

To profile the sidecar, keep it under load and attach to the pid that is printed:
    python -m tests.bench --only sidecar --connections 32 --rounds 1 --seconds 60
    perf record -g -p PID -- sleep 10 && perf report     # C: llhttp, uvloop, the kernel
    py-spy record -p PID -d 10 -o build/profile.svg      # Python (pip install py-spy)
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from tests.bench.figures import CPU_TARGETS, Sample, compare, summarise, table
from tests.bench.processes import BenchmarkError, Proxy, envoy, sidecar, tool, upstream

PROXIES = {"sidecar": sidecar, "envoy": envoy}
WARM_UP_SECONDS = 2
RESULT = Path("build/bench.json")
SCRIPT = Path(__file__).with_name("report.lua")
BUSY = 0.9


def load(proxy: Proxy, *, core: int, connections: int, seconds: int) -> Sample:
    """Ask as fast as the proxy answers. Raises `BenchmarkError` if any answer was not the upstream's 200."""
    command = [tool("taskset", "util-linux"), "--cpu-list", str(core), tool("wrk", "wrk")]
    command += ["--threads=1", f"--connections={connections}", f"--duration={seconds}s", f"--script={SCRIPT}"]
    before = proxy.cpu_seconds()
    wrk = subprocess.run([*command, proxy.url], capture_output=True, text=True, check=False)
    cpu_seconds = proxy.cpu_seconds() - before
    figures = wrk.stdout.partition("figures ")[2]
    if not figures:
        raise BenchmarkError(f"wrk against {proxy.name} failed:\n{wrk.stdout}{wrk.stderr}")
    measured = json.loads(figures)
    refused, broken = measured.pop("refused"), measured.pop("broken")
    if refused or broken or not measured["requests"]:
        raise BenchmarkError(
            f"{proxy.name} at {connections} connections: {measured['requests']} answers, {refused} of them "
            f"refused, {broken} connections broken or timed out"
        )
    return Sample(proxy=proxy.name, connections=connections, cpu_seconds=cpu_seconds, **measured)


def rounds(proxies: Sequence[Proxy], core: int, options: argparse.Namespace) -> Iterator[Sample]:
    """Warm everything up, then measure in turns."""
    for proxy in proxies:
        load(proxy, core=core, connections=max(options.connections), seconds=WARM_UP_SECONDS)
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        for connections in options.connections:
            for proxy in proxies:
                yield load(proxy, core=core, connections=connections, seconds=options.seconds)


def measure(options: argparse.Namespace) -> list[Sample]:
    """Start everything, run all rounds, stop everything."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("the proxy and the load need a core each, and this machine gives us one")
    proxy_core, load_core = cores[:2]
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        url = running.enter_context(upstream(load_core, folder))
        names = [options.only] if options.only else list(PROXIES)
        proxies = [running.enter_context(PROXIES[name](proxy_core, url, folder)) for name in names]
        print(*(f"{proxy.name} has pid {proxy.pid}" for proxy in proxies), sep=", ", file=sys.stderr)
        return list(rounds(proxies, load_core, options))


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure this sidecar and Envoy."
    )
    parser.add_argument("--only", choices=PROXIES, help="measure one proxy; there is no verdict then")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5, help="of load in each round")
    parser.add_argument("--connections", type=int, nargs="+", default=list(CPU_TARGETS), choices=CPU_TARGETS)
    parser.add_argument("--quick", action="store_true", help="one round of 3 s each: a first impression")
    options = parser.parse_args(argv)
    if options.quick:
        options.rounds, options.seconds = 1, 3
    return options


def main(argv: Sequence[str]) -> int:
    options = arguments(argv)
    try:
        samples = measure(options)
    except BenchmarkError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps([asdict(sample) for sample in samples], indent=1))
    summaries = summarise(samples)
    comparisons = compare(summaries, "sidecar", "envoy")
    print(table(summaries, comparisons))
    for row in summaries:
        if row.busy < BUSY:
            print(f"{row.proxy} had {row.busy:.0%} of a core at {row.connections}: other work held it back")
    return 1 if any(row.missed for row in comparisons) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
