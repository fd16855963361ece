"""The fleet's benchmark: what is a miss, and what the page says."""

import pytest

from tests import ROOT
from tests.bench.page import replaced
from tests.bench_fleet.figures import Figure, table
from tests.bench_fleet.page import MARK, PAGE
from tests.bench_fleet.propagation import percentiles


@pytest.mark.parametrize(
    ("values", "bound", "met"),
    [([1.0], 1.0, True), ([1.0, 1.01], 1.0, False), ([0.0, 0.0, 1.0], 0.0, False), ([99.0], None, True)],
)
def test_one_value_over_the_bound_is_a_miss(values: list[float], bound: float | None, met: bool) -> None:
    """Also where the others keep to it; without a bound nothing misses."""
    assert Figure("group", "title", values, bound).met is met


def test_the_table_says_what_was_missed() -> None:
    """Figures stand under their group, several sizes beside each other."""
    figures = [
        Figure("one", "calls", [1], 1),
        Figure("one", "ratio", [2.346], 2, decimals=2),
        Figure("two", "much", [1, 10_000]),
    ]
    assert table(figures).splitlines() == [
        "|         |   Measured |         Target |",
        "| ------- | ---------: | -------------: |",
        "| **one** |            |                |",
        "| calls   |          1 |        ≤ 1 met |",
        "| ratio   |       2.35 | ≤ 2 **MISSED** |",
        "| **two** |            |                |",
        "| much    | 1 / 10,000 |                |",
    ]


def test_percentiles_are_values_that_were_measured() -> None:
    """In milliseconds: the median, the 99th percentile, the most."""
    assert percentiles([number / 1000 for number in range(100, 0, -1)]) == [50, 99, 100]


def test_our_page_has_its_marks() -> None:
    """The command finds where to write."""
    page = (ROOT / PAGE).read_text()
    assert "\nnew\n" in replaced(page, "new\n", MARK)
