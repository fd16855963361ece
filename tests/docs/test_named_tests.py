"""What is promised names the tests that hold it, and they exist."""

import re

import pytest

from tests import ROOT
from tests.protocol.page import PAGE, invariants, macros, named_tests
from tests.protocol.runs import ASSUMPTIONS, GUARDS, constants
from tests.protocol.spin import MODEL

PROMISING = ("docs/explanation/how-the-fleet-agrees.md", "docs/explanation/threat-model.md")

LIVENESS = 12
"""The number of the last invariant of the model."""


def existing() -> set[str]:
    """Return the names of all tests."""
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    functions = re.findall(r"^\s*(?:async )?def (test_\w+)", text, re.MULTILINE)
    return {*functions, *re.findall(r"^(?:class )?(Test\w+)", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PROMISING)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    """A test that was renamed is renamed there too."""
    named = set(named_tests((ROOT / page).read_text()))
    assert named
    assert named - existing() == set()


def test_every_promise_of_the_readme_names_its_tests() -> None:
    """The threat model has the same guarantees, in the same words, with the tests."""
    readme = (
        (ROOT / "README.md")
        .read_text()
        .split("## What it guarantees\n")[1]
        .split("\nThe details", maxsplit=1)[0]
    )
    guarantees = [" ".join(each.split()) for each in re.split(r"^\d+\. ", readme, flags=re.MULTILINE)[1:]]
    section = (
        (ROOT / PROMISING[1])
        .read_text()
        .split("## The guarantees of the README\n")[1]
        .split("\n## ", maxsplit=1)[0]
    )
    rows = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    assert [(number, promise) for number, promise, _ in rows] == [
        (str(number), promise) for number, promise in enumerate(guarantees, 1)
    ]
    assert [number for number, _, tests in rows if not list(named_tests(tests))] == []


def test_every_promise_of_the_threat_model_names_its_tests() -> None:
    """What is promised without a test is not promised."""
    section = (
        (ROOT / PROMISING[1]).read_text().split("## What is promised\n")[1].split("\n## ", maxsplit=1)[0]
    )
    rows = re.findall(r"^\| (P\d+) \| .* \| (.*?) \|$", section, re.MULTILINE)
    assert [number for number, _ in rows] == [f"P{number}" for number in range(1, len(rows) + 1)]
    assert len(rows) > 10
    assert [number for number, tests in rows if not list(named_tests(tests))] == []


def test_every_invariant_names_its_tests_and_is_in_the_model() -> None:
    """The last one of the model is the formula of liveness; the histories judge those after it too."""
    listed = invariants(PAGE.read_text())
    numbers = [number for number, _ in listed]
    assert numbers == list(range(1, len(listed) + 1))
    assert [number for number, words in listed if not list(named_tests(words))] == []
    asserted = {int(number) for number in re.findall(r"\bholds\((\d+),", MODEL.read_text())}
    assert asserted == set(range(1, LIVENESS))
    assert LIVENESS in numbers


def test_every_guard_of_the_model_is_removed_once() -> None:
    """So each invariant is known to be able to fail; the page lists what a run removes."""
    removals = [*GUARDS, *ASSUMPTIONS]
    assert sorted(each.macro for each in removals) == sorted(
        set(re.findall(r"with\(([A-Z_]+)\)", MODEL.read_text()))
    )
    assert {each.macro for each in removals} <= set(constants())
    assert {each.breaks for each in GUARDS} == set(range(1, LIVENESS))
    assert macros(PAGE.read_text()) == [each.macro for each in removals]
