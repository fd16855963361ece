"""`make histories`: real fleets under faults, judged by the checker; before that, faults planted in the code.

Exits with 1 if an invariant does not hold, or if a planted fault goes unnoticed. `--seed` repeats one history.
`--beside COMMIT` runs every second pod from another commit of this repository. `--write` writes the figures into the
page.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from time import monotonic

from tests import ROOT
from tests.histories.checker import excerpt
from tests.histories.faults import FAULTS, Fault, planted
from tests.histories.operations import plan
from tests.histories.page import broken, faults, figures
from tests.histories.runs import Result, run
from tests.protocol.page import PAGE, replaced

SEED = 1
OPERATIONS = 150
MOST = 1000
"""Operations after which a planted fault counts as unnoticed."""


def archived(commit: str, folder: Path) -> Path:
    """Return a folder with the package of that commit."""
    archive = subprocess.run(
        ["git", "archive", commit, "sidecar"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
    return folder


def find(fault: Fault) -> Result:
    """Run the copy that has the fault until the checker finds it."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        result = asyncio.run(run(plan(SEED, MOST), SEED, [planted(fault, Path(folder))], eager=True))
    found = f"invariant {broken(result, fault)} broken" if result.violations else "NOT FOUND"
    print(f"{fault.name:14} {found} after {result.operations} operations", flush=True)
    return result


def report(seed: int, result: Result) -> bool:
    """Print the result of a history; return whether it is as required."""
    good = not result.violations and not result.bugs and result.keys == 1
    verdict = "holds" if good else f"{len(result.violations)} violations"
    print(
        f"seed {seed:<6} {result.operations} operations, {len(result.history)} events: {verdict}", flush=True
    )
    for violation in result.violations[:3]:
        print(
            "\n".join(
                (f"seed {seed}, after {result.operations} operations:", *excerpt(result.history, violation))
            )
        )
    for bug in result.bugs[:3]:
        print(f"seed {seed}: a pod logged {bug}")
    if result.keys != 1:
        print(f"seed {seed}: pods use {result.keys} keys for one token request")
    return good


def histories(minutes: float, seeds: Sequence[int], packages: Sequence[Path]) -> tuple[list[Result], bool]:
    """Make histories until the time is over, or of these seeds; return whether all are as required."""
    ends = monotonic() + 60 * minutes
    results, good = list[Result](), True
    for seed in seeds or count(SEED):
        if not seeds and results and monotonic() >= ends:
            break
        results.append(asyncio.run(run(plan(seed, OPERATIONS), seed, packages)))
        good &= report(seed, results[-1])
    return results, good


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.histories")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument(
        "--seed", type=int, action="append", default=[], help="repeat the history of this seed only"
    )
    parser.add_argument(
        "--beside", metavar="COMMIT", default="", help="run every second pod from that commit"
    )
    parser.add_argument("--write", action="store_true", help="write the figures into the page")
    options = parser.parse_args()
    began, unnoticed = monotonic(), list[str]()
    found = dict[Fault, Result]()
    with ExitStack() as stack:
        packages = [ROOT]
        if options.beside:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="beside-"))
            packages.append(archived(options.beside, Path(folder)))
        elif not options.seed:
            found = {fault: find(fault) for fault in FAULTS}
            unnoticed = [
                fault.name for fault, result in found.items() if broken(result, fault) != fault.breaks
            ]
        left = options.minutes - (monotonic() - began) / 60
        results, good = histories(left, options.seed, packages)
    print(figures(results))
    for name in unnoticed:
        print(f"histories: the checker did not find the planted fault {name}", file=sys.stderr)
    if options.write and found:
        page = replaced(PAGE.read_text(), "faults", faults(found))
        PAGE.write_text(replaced(page, "histories", figures(results)))
    return 0 if good and not unnoticed else 1


if __name__ == "__main__":
    sys.exit(main())
