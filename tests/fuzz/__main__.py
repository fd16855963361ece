"""`make fuzz`: each target for some minutes, with atheris; prints executions and coverage.

What a target has found stays in `build/fuzz/NAME/inputs`, so that the next run begins with it. An input that fails is
in `build/fuzz/NAME`; exits with 1 then.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tests.fuzz.runs import Outcome, run
from tests.fuzz.target import JUDGED


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=10.0, help="minutes for each target (default: 10)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count(),
        help="number of targets at a time (default: number of CPUs)",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"targets to run (default: {' '.join(JUDGED)})"
    )
    given = parser.parse_args(arguments)
    unknown = sorted(set(given.names) - set(JUDGED))
    if unknown:
        parser.error(f"unknown target {unknown[0]}; targets are {', '.join(JUDGED)}")
    with ThreadPoolExecutor(given.jobs) as pool:
        outcomes = list(pool.map(partial(reported, minutes=given.minutes), given.names or JUDGED))
    failed = [outcome.name for outcome in outcomes if outcome.failure]
    for name in failed:
        print(f"fuzz: an oracle of {name} failed; its input is in build/fuzz/{name}", file=sys.stderr)
    return 1 if failed else 0


def reported(name: str, *, minutes: float) -> Outcome:
    """Run a target and print its line."""
    outcome = run(name, minutes)
    print(outcome.line, flush=True)
    if outcome.failure:
        print(outcome.failure, file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
