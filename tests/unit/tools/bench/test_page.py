"""The benchmark's table in its page."""

import pytest

from tests import ROOT
from tests.bench.cells import NAMES
from tests.bench.figures import Measurement, rows
from tests.bench.page import GROWTH_MARK, HTTP2_MARK, MARK, PAGE, parted, replaced

SAMPLE = "before\n<!-- bench -->\nold | table\n<!-- bench -->\nafter\n"


def test_only_what_is_between_the_marks_is_replaced() -> None:
    """The page around stays, and a second time changes nothing more."""
    page = replaced(SAMPLE, "new \\1\n")
    assert page == "before\n<!-- bench -->\nnew \\1\n<!-- bench -->\nafter\n"
    assert replaced(page, "new \\1\n") == page


@pytest.mark.parametrize("page", ["no marks\n", "<!-- bench -->\nopen\n", SAMPLE + SAMPLE])
def test_a_page_without_its_marks_is_not_written(page: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="<!-- bench -->"):
        replaced(page, "new\n")


def test_our_page_has_its_marks() -> None:
    """The command finds where to write."""
    page = (ROOT / PAGE).read_text()
    assert "\nnew\n" in replaced(page, "new\n")
    assert "\nnew\n" in replaced(page, "new\n", GROWTH_MARK)
    assert "\nnew\n" in replaced(page, "new\n", HTTP2_MARK)


def test_each_row_has_its_table() -> None:
    """What HTTP/2 costs is not among the rows of HTTP/1.1."""
    found = parted(rows([Measurement(name, "sidecar", {"cpu_us": 1}) for name in NAMES]))
    cells = {mark: {row.cell.partition("/")[0] for row in part} for mark, part in found.items()}
    assert cells == {
        MARK: {"load", "bulk", "start", "idle", "fleet"},
        HTTP2_MARK: {"calls", "streams", "open-streams", "slow-reader", "slow-readers", "floods"},
        GROWTH_MARK: {"growth"},
    }
