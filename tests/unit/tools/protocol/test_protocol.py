"""What `make protocol` reads in spin's output, and writes into its page."""

import pytest

from tests.protocol.page import macros, removals, replaced, sizes
from tests.protocol.runs import ASSUMPTIONS, GUARDS, SIZES, constants
from tests.protocol.spin import MODEL, Found, count, read

HOLDS = """
Full statespace search for:
State-vector 144 byte, depth reached 485, errors: 0
   103341 states, stored
"""
BROKEN = """pan:1: assertion violated (10011&&0) (at depth 56)
Warning: Search not completed
State-vector 144 byte, depth reached 56, errors: 1
      310 states, stored
"""
CYCLE = """pan:1: acceptance cycle (at depth 56)
Warning: Search not completed
State-vector 144 byte, depth reached 56, errors: 1
 1.31e+08 states, stored (2e+08 visited)
"""


@pytest.mark.parametrize(
    ("output", "found"),
    [
        (HOLDS, Found(103341, complete=True, broken=None, steps=0)),
        (f"error: max search depth too small\n{HOLDS}", Found(103341, complete=False, broken=None, steps=0)),
        (BROKEN, Found(310, complete=False, broken=11, steps=0)),
        (CYCLE, Found(131_000_000, complete=False, broken=0, steps=0)),
    ],
)
def test_the_checkers_output_is_read(output: str, found: Found) -> None:
    """The invariant's number follows 100 in the text of the assertion."""
    assert read(output, 0) == found


@pytest.mark.parametrize(
    "output",
    [
        "",
        HOLDS.replace("errors: 0", "errors: 1"),
        BROKEN.replace("10011", "q_len(bus[0])"),
        "pan: out of memory\n",
    ],
)
def test_what_the_checker_does_not_say_is_an_error(output: str) -> None:
    """An error of another kind, such as a full channel, is never taken for a result."""
    with pytest.raises(ValueError, match="cannot read"):
        read(output, 0)


def test_steps_are_the_rules_that_a_trace_begins() -> None:
    """Not the statements in them, of which a rule has up to thirty."""
    rule = next(n for n, line in enumerate(MODEL.read_text().splitlines(), 1) if ":: d_step {" in line)
    statements = [(rule, 7), (rule, 8), (rule - 30, 9), (rule, 7)]
    trace = "".join(
        f" 31:\tproc  2 (Requests:1) fleet.pml:{line} (state {state})\t[(1)]\n" for line, state in statements
    )
    assert count(trace) == 2


def test_tables_say_what_was_found() -> None:
    """With the macro, so that a reader can repeat it."""
    found = Found(1234, complete=True, broken=3, steps=7)
    assert "| 3 | 7 |" in removals({GUARDS[0]: found}, "Guard removed")
    assert "| 1,234 |" in sizes({SIZES[0]: found})
    assert macros(removals(dict.fromkeys(GUARDS, found), "")) == [guard.macro for guard in GUARDS]


def test_a_page_without_its_marks_is_an_error() -> None:
    """Nothing is written beside it."""
    assert replaced("<!-- a -->\nold\n<!-- /a -->\n", "a", "new\n") == "<!-- a -->\nnew\n<!-- /a -->\n"
    with pytest.raises(ValueError, match="page needs"):
        replaced("<!-- a -->\n", "a", "new\n")


def test_a_removal_allows_faults_that_the_model_has() -> None:
    """Together they are all that it has."""
    faults = {"REVOKE", "BREAK", "GAP", "OUTAGE", "FLUSH", "CRASH", "FAIL", "SLOW", "LAPSE"}
    assert {fault for removal in (*GUARDS, *ASSUMPTIONS) for fault in removal.faults} <= faults
    assert sum(constants()[fault] for fault in faults) == constants()["ALLOWED"]
