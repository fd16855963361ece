"""`make bench`: this sidecar beside Envoy, nginx and a plain aiohttp proxy.

Each proxy has one core; `wrk`, `h2load`, the clients and the upstreams share another. All put a bearer token on each
request, which the upstream checks. The sidecar, Envoy and nginx write a JSON access log to /dev/null. Rounds
are interleaved, so that other work on the machine affects all proxies; the figures are medians over rounds.
`growth/*` compares the sidecar with many routes, tenants or tokens to the sidecar with one.
A client waits for each answer before it sends the next request. So latency at full load shows the speed of the proxy,
not the length of its queue. Targets compare the sidecar with Envoy. nginx and aiohttp, measured in the first round
only, are a reference for both. Loopback only, about 15 minutes.

`python` is that of `.venv-bench` here, with PYTHONSAFEPATH=1: else the sources are measured, uncompiled. One part
alone: `python -m tests.bench --cells 'bulk/*' start` (shell patterns; a wrong one lists the cells).

Exit code 1: a target is missed. 2: it cannot run here. The raw results are left in build/bench.json;
`python -m tests.bench.page` writes the table of the last run into docs/explanation/benchmarks.md.

To profile the sidecar, keep it under load and attach to the pid that is printed:
    python -m tests.bench --only sidecar --cells load/plain/200B/32 --rounds 1 --seconds 60
    perf record -g -p PID -- sleep 10 && perf report     # C: llhttp, uvloop, the kernel
    py-spy record -p PID -d 10 -o build/profile.svg      # Python (pip install py-spy)
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tests.bench import bulk, calls, fleet, floods, growth, idle, load, slow_reader, start, streams, traced
from tests.bench.cells import NAMES, matches
from tests.bench.doubts import doubts
from tests.bench.figures import Measurement, rows
from tests.bench.machine import facts
from tests.bench.page import caption
from tests.bench.plan import Plan
from tests.bench.processes import BenchmarkError
from tests.bench.proxies import PROXIES
from tests.bench.results import FILE, Results
from tests.bench.table import table
from tests.bench.targets import judge
from tests.bench.upstreams import upstreams

BULK_BYTES = 1 << 30
PRIORITY = -10
"""Where it is allowed, all we start comes before the machine's own housekeeping, the proxies and the load alike."""


def measure(plan: Plan) -> Iterator[Measurement]:
    """Start the upstreams, then part by part."""
    with upstreams(plan.load_core, plan.folder) as origins:
        for part in (start, load, traced, calls, streams, slow_reader, floods, bulk, idle, fleet, growth):
            yield from part.measure(plan, origins)


def cores() -> tuple[int, int]:
    """One for the proxies, one for all else, us included."""
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < 2:
        raise BenchmarkError("the proxy and the load need a core each, and this machine gives us one")
    os.sched_setaffinity(0, ours[1:2])
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    return ours[0], ours[1]


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the proxies.")
    parser.add_argument("--only", choices=PROXIES, nargs="+", default=list(PROXIES), help="these proxies")
    parser.add_argument("--cells", nargs="+", default=["*"], metavar="PATTERN", help="such as 'load/tls/*'")
    parser.add_argument("--rounds", type=int, default=5, help="of load and of large bodies")
    parser.add_argument(
        "--seconds", type=int, default=2, help="of load in each cell and round, one load each"
    )
    parser.add_argument("--quick", action="store_true", help="one short round: a first impression")
    options = parser.parse_args(argv)
    if not any(matches(name, options.cells) for name in NAMES):
        parser.error("no such cell; there are\n" + "\n".join(NAMES))
    if options.quick:
        options.rounds, options.seconds = 1, 1
    return options


def run(options: argparse.Namespace) -> Results:
    """Measure and keep the raw results."""
    proxy_core, load_core = cores()
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            cells=options.cells,
            proxies=options.only,
            rounds=options.rounds,
            seconds=options.seconds,
            bulk_bytes=BULK_BYTES,
            proxy_core=proxy_core,
            load_core=load_core,
            folder=Path(folder),
        )
        measurements = list(measure(plan))
    results = Results(
        {**facts(), "duration": f"rounds: {options.rounds}, of {options.seconds} s"}, measurements
    )
    results.write()
    return results


def main(argv: Sequence[str]) -> int:
    try:
        results = run(arguments(argv))
    except BenchmarkError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    found = rows(results.measurements)
    print(table(found))
    print(caption(results.facts), f"Raw results: {FILE}")
    for line in doubts(results.measurements):
        print(line)
    verdicts = [verdict for row in found for verdict in judge(row)]
    missed = sum(not verdict.met for verdict in verdicts)
    print(f"{len(verdicts) - missed} of {len(verdicts)} targets met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
