"""`make bench-fleet`: what a fleet costs, and how fast its pods hear each other.

First 50 sidecars, each a process, on one Redis: cold starts, busts beside as many bare subscribers of redis-py, and
revocations under load. Upstream, token endpoint and clients are this process. Then pods without their servers,
many in this process, each with its own connections: how the questions to Redis grow with pods and with keys.
Loopback only, all on whatever cores there are, about four minutes.

Exit code 1: a target is missed. 2: it cannot run here. The raw results are left in build/bench-fleet.json;
`.venv/bin/python -m tests.bench_fleet.page` writes the table of the last run into docs/explanation/fleet-benchmark.md.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvloop

from tests.bench_fleet import cold, growth, propagation, revocations
from tests.bench_fleet.figures import FILE, Figure, Results, caption, table
from tests.bench_fleet.machine import facts
from tests.bench_fleet.stage import stage
from tests.support.processes import raise_descriptor_limit
from tests.support.redis_server import RedisServer

MIB = 1 << 20
HOT_REQUESTS = 40
"""To each sidecar."""


async def measure(options: argparse.Namespace, folder: Path) -> Results:
    """Processes first, then pods in this one."""
    figures: list[Figure] = []
    raw: dict[str, object] = {}

    def note(part: str, measured: tuple[list[Figure], dict[str, object]]) -> None:
        print(f"measured: {part}", file=sys.stderr)
        figures.extend(measured[0])
        raw[part] = measured[1]

    with RedisServer(folder) as redis:
        async with stage(redis, folder, options.processes + 1) as fleet:
            group = f"{options.processes} sidecars, each a process"
            note("cold", await cold.measure(fleet, group))
            note("propagation", await propagation.measure(fleet, group, options.rounds))
            note("hot", await propagation.hot(fleet, group, HOT_REQUESTS))
            note("revocations", await revocations.measure(fleet, group))
            resident = [each.resident() / MIB for each in fleet.sidecars]
            note(
                "memory", ([Figure(group, "Resident memory, most, MiB", [max(resident)])], {"mib": resident})
            )
            raw["events"] = [dict(each.events) for each in fleet.sidecars]
    with RedisServer(folder) as redis:
        note("pods", await growth.with_pods(redis, options.pods))
        note("keys", await growth.with_keys(redis, options.keys))
        return Results(facts(redis), figures, raw)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench_fleet", description="Measure a fleet.")
    parser.add_argument("--processes", type=int, default=50, help="sidecars, each a process")
    parser.add_argument("--rounds", type=int, default=40, help="busts whose propagation is measured")
    parser.add_argument("--pods", type=int, nargs="+", default=[10, 100, 1000], help="in one process")
    parser.add_argument("--keys", type=int, nargs="+", default=[1, 100, 10_000], help="in each of a few pods")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    options = arguments(argv)
    raise_descriptor_limit()
    try:
        with (
            TemporaryDirectory(prefix="bench-fleet-") as folder,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            results = runner.run(measure(options, Path(folder)))
    except pytest.fail.Exception as missing:
        print(f"bench-fleet: {missing}", file=sys.stderr)
        return 2
    results.write()
    print(table(results.figures))
    print(caption(results.facts), f"Raw results: {FILE}")
    judged = [figure.met for figure in results.figures if figure.bound is not None]
    print(f"{sum(judged)} of {len(judged)} targets met")
    return 0 if all(judged) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
