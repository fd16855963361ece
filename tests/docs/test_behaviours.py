"""The published behaviours and the tests' names have the same numbers."""

import re

from tests import ROOT


def published() -> list[str]:
    """Return the numbers of the page, in its order."""
    return re.findall(r"^\| (B\d\d) \|", (ROOT / "docs/explanation/behaviours.md").read_text(), re.MULTILINE)


def proved() -> set[str]:
    """Return the numbers in the names of all tests."""
    names = (
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^\s*(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
    )
    return {number.upper() for name in names for number in re.findall(r"(?<=_)b\d\d(?=_|$)", name)}


def test_every_behaviour_has_a_test_and_every_number_is_published() -> None:
    """A number on the page is in the name of a test, and a number in a name is on the page."""
    assert set(published()) == proved()


def test_the_behaviours_are_in_order_and_unique() -> None:
    """A number names one behaviour."""
    assert published() == sorted(set(published()))
