"""Runs: make a history of a new fleet, and judge it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests import ROOT
from tests.histories.checker import judge
from tests.histories.driver import fleet
from tests.histories.facts import Violation
from tests.histories.history import History
from tests.histories.operations import Operations


@dataclass(frozen=True, slots=True)
class Result:
    """A history, and what the checker found."""

    operations: int
    """Number of operations after which the history ended."""
    history: History
    violations: Sequence[Violation]
    bugs: Sequence[str]
    """Faults of the program that pods logged."""
    keys: int
    """Number of different Redis keys for one token request: 1 if all pods calculate the same."""


async def run(
    kinds: Sequence[str], seed: int, packages: Sequence[Path] = (ROOT,), *, eager: bool = False
) -> Result:
    """Make a history of these operations; `seed` selects pods and keys.

    `eager` judges after each operation, and ends with the first violation.
    """
    done, found = 0, list[Violation]()
    with tempfile.TemporaryDirectory(prefix="histories-") as folder:
        async with fleet(Path(folder), Random(seed), packages) as made:
            operations = Operations(made)
            for done, kind in enumerate(kinds, 1):  # noqa: B007  the number is part of the result
                await operations.perform(kind)
                if eager:
                    await made.seen()
                    if found := judge(made.history()):
                        break
            if not found:
                await made.recover()
            await made.seen()
        history = made.history()
    keys = max((len(each) for each in made.monitor.keys.values()), default=0)
    return Result(done, history, found or judge(history), made.bugs, keys)
