"""What `make fuzz` reads in the fuzzer's output, and writes for it."""

import pytest

from tests.fuzz.runs import Outcome, dictionary, edges_in, executions_in, failure_in
from tests.fuzz.target import Target

DONE = """INFO: Seed: 5
#2	INITED cov: 7 ft: 9 corp: 1/1b
#90	NEW    cov: 12 ft: 20 corp: 3/9b
#100	DONE   cov: 13 ft: 20 corp: 3/9b
stat::number_of_executed_units: 1234
"""
FAILED = DONE + "\n === Uncaught Python exception: ===\nAssertionError: other content\n"


def test_the_fuzzers_output_is_read() -> None:
    """The last number of edges counts."""
    assert (executions_in(DONE), edges_in(DONE)) == (1234, 13)
    assert (executions_in(""), edges_in("")) == (0, 0)


def test_a_finding_is_shown_without_the_lines_of_progress() -> None:
    """They would hide it."""
    assert failure_in(FAILED).split("\n")[-1] == "AssertionError: other content"
    assert "cov:" not in failure_in(FAILED)


def test_words_are_written_as_libfuzzer_reads_them() -> None:
    """Every octet in hexadecimal."""
    target = Target(lambda data: None, seeds=(), words=(b'a"\r', b"\xff"))
    assert dictionary(target) == '"\\x61\\x22\\x0d"\n"\\xff"\n'


@pytest.mark.parametrize(("failure", "state"), [("", "ok"), ("AssertionError", "FAILED")])
def test_the_line_of_a_run_shows_how_it_ended(failure: str, state: str) -> None:
    """Beside executions and coverage."""
    words = Outcome("challenges", 1_234_567, 130, 12, "98 %", failure).line.split()
    assert words[:4] == ["challenges", state, "1,234,567", "executions,"]
    assert words[-2:] == ["98", "%"]
