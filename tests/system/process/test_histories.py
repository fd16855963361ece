"""Short histories of real fleets. `make histories` makes long ones, and plants all faults.

They take seconds, because each starts three processes.
"""

from pathlib import Path

import pytest

from tests.histories.checker import excerpt
from tests.histories.faults import FAULTS, planted
from tests.histories.runs import Result, run

pytestmark = pytest.mark.unmeasured

SEED = 1
EVERYTHING = ("burst", "late", "overlap", "forge", "gap", "refuse", "fail", "select", "restart", "burst")


def shown(result: Result) -> list[str]:
    return [line for violation in result.violations for line in excerpt(result.history, violation)]


async def test_b25_b43_b46_b48_a_history_of_a_real_fleet_breaks_no_invariant() -> None:
    """Late refusals, forged and missed busts, a cool-down, a failing token server, a bust by label, a killed Redis."""
    result = await run(EVERYTHING, SEED)
    assert shown(result) == []
    assert result.bugs == []
    assert result.keys == 1
    assert result.operations == len(EVERYTHING)


async def test_b43_the_checker_finds_a_fault_that_is_planted(tmp_path: Path) -> None:
    """In a fleet that accepts any signature, a forged bust drops a token."""
    (fault,) = (each for each in FAULTS if each.name == "signature")
    result = await run(("burst",) * 4 + ("forge",) * 4, SEED, [planted(fault, tmp_path)])
    assert {violation.invariant for violation in result.violations} == {fault.breaks}
