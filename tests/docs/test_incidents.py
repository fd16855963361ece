"""The page of incidents is what the tests of incidents compare with."""

import re

import pytest

from tests import ROOT
from tests.support.incidents import INCIDENTS
from tests.support.programs.pages import incidents


def test_the_page_of_incidents_is_up_to_date() -> None:
    """After a change of an incident or of an alert's severity, run `make reference`."""
    assert incidents.PAGE.read_text() == incidents.text()


@pytest.mark.parametrize("name", INCIDENTS)
def test_each_incident_has_a_test(name: str) -> None:
    """Which causes it with real processes."""
    tests = "".join(path.read_text() for path in (ROOT / "tests/system/incidents").glob("test_*.py"))
    assert re.search(rf'"{name}"', tests)


def test_every_section_about_an_incident_is_in_the_table() -> None:
    """And the other way round, which the test of links checks."""
    text = (ROOT / "docs/how-to/troubleshoot.md").read_text()
    sections = text.split("\n## ")[1:]
    names = {re.sub(r"[^a-z0-9 -]", "", each.split("\n")[0].lower()).replace(" ", "-") for each in sections}
    inner = {
        re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-")
        for each in re.findall(r"^### (.*)$", text, re.M)
    }
    linked = {incident.section for incident in INCIDENTS.values()}
    divided = {"wrong-scope", "upstream-refuses-every-token"}
    assert linked == (names - {"start-here", "see-also"} - divided) | inner
