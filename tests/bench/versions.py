"""Two versions of the sidecar side by side, with one route of HTTP/1.1: start, memory, CPU per request.

Each is a virtual environment's Python with that version installed. They take turns on one core; start and memory are
medians over the turns. CPU is the least of all turns, because other work on the machine can only add to it.

Run with `python -m tests.bench.versions OLD/bin/python NEW/bin/python`. Exits 1 if the second exceeds a limit.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.bench.__main__ import cores
from tests.bench.figures import MIB
from tests.bench.load import ask
from tests.bench.processes import BenchmarkError
from tests.bench.proxies import sidecar
from tests.bench.upstreams import Upstream, upstreams

CONNECTIONS = 32


@dataclass(frozen=True)
class Quantity:
    """What is compared, and how much of the old version's figure the new version's may be."""

    title: str
    limit: float
    over_turns: Callable[[Sequence[float]], float] = median


QUANTITIES: Mapping[str, Quantity] = {
    "ready_seconds": Quantity("from start to ready, s", 1.05),
    "ready_mib": Quantity("resident memory when ready, MiB", 1.02),
    "loaded_mib": Quantity("resident memory after a load, MiB", 1.02),
    "cpu_us": Quantity("CPU per request, 32 connections, µs", 1.03, min),
}


def turn(python: str, core: int, upstream: Upstream, folder: Path) -> dict[str, float]:
    """Start one version, and send it a load."""
    with sidecar(core, upstream, folder, python=python) as proxy:
        ready = proxy.process.resident()
        cpu_us = ask(proxy, "200B", CONNECTIONS)["cpu_us"]
        return {
            "ready_seconds": proxy.process.ready_seconds,
            "ready_mib": ready / MIB,
            "loaded_mib": proxy.process.resident() / MIB,
            "cpu_us": cpu_us,
        }


def verdict(old: Sequence[Mapping[str, float]], new: Sequence[Mapping[str, float]]) -> tuple[list[str], bool]:
    """Return a line for each quantity, and whether all limits are met."""
    lines, good = [], True
    for name, quantity in QUANTITIES.items():
        before, after = (quantity.over_turns([figures[name] for figures in turns]) for turns in (old, new))
        ratio = after / before
        met = ratio <= quantity.limit
        lines.append(
            f"{quantity.title:<36} {before:9.2f} {after:9.2f}  ratio {ratio:.3f}, ≤ {quantity.limit:g} "
            f"{'met' if met else 'MISSED'}"
        )
        good = good and met
    return lines, good


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.versions",
        description="Compare start, memory and CPU of the sidecars in two environments.",
    )
    parser.add_argument("old", metavar="OLD", help="the Python of the old version")
    parser.add_argument("new", metavar="NEW", help="the Python of the new version")
    parser.add_argument(
        "--turns", type=int, default=10, help="turns of each version, after a first one that is not counted"
    )
    options = parser.parse_args(argv)
    old: list[dict[str, float]] = []
    new: list[dict[str, float]] = []
    try:
        proxy_core, load_core = cores()
        with tempfile.TemporaryDirectory() as name, upstreams(load_core, Path(name)) as origins:
            for number in range(options.turns + 1):
                for python, turns in ((options.old, old), (options.new, new))[:: -1 if number % 2 else 1]:
                    figures = turn(python, proxy_core, origins.small["plain"], Path(name))
                    if number:  # the first start fills the file system's cache
                        turns.append(figures)
    except BenchmarkError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    lines, good = verdict(old, new)
    print(*lines, sep="\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
