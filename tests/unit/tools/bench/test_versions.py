"""Two versions of the sidecar: what may grow, and by how much."""

import pytest

from tests.bench.versions import QUANTITIES, verdict

SAME = dict.fromkeys(QUANTITIES, 100.0)


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"ready_seconds": 105.0}, True),
        ({"ready_seconds": 105.1}, False),
        ({"ready_mib": 102.1}, False),
        ({"loaded_mib": 102.1}, False),
        ({"cpu_us": 103.1}, False),
        ({"ready_mib": 50.0, "cpu_us": 1.0}, True),
    ],
)
def test_the_new_version_may_grow_by_the_limits(change: dict[str, float], good: bool) -> None:
    """Each quantity has its own."""
    lines, met = verdict([SAME] * 3, [{**SAME, **change}] * 3)
    assert met is good
    assert len(lines) == len(QUANTITIES)
    assert sum("MISSED" in line for line in lines) == (not good)


def test_one_disturbed_turn_changes_nothing() -> None:
    """Start and memory are medians, CPU is the least."""
    assert verdict([SAME] * 3, [SAME, SAME, dict.fromkeys(QUANTITIES, 900.0)])[1]
