"""The pages of the documentation: their links and their sizes."""

import re
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.pages import GENERATED, PAGES

LONGEST = 400
"""Lines of a page. Generated reference pages may have more."""


def anchors(page: Path) -> set[str]:
    """Return what can follow the # of a link to the page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Every link of a page is to a file or a folder of the project, or to a heading of one."""
    page = ROOT / name
    broken = []
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", page.read_text()):
        target = (page.parent / path).resolve() if path else page
        if target in GENERATED and not target.exists():
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append((path, anchor))
    assert broken == []


@pytest.mark.parametrize(
    "name", [name for name in PAGES if name.startswith("docs/") and "/reference/" not in name]
)
def test_a_page_is_short_enough_to_be_read(name: str) -> None:
    """A page has one purpose."""
    assert len((ROOT / name).read_text().splitlines()) <= LONGEST


def test_every_make_target_is_listed() -> None:
    """The table for developers is what the Makefile offers."""
    targets = (ROOT / "Makefile").read_text().split(".PHONY:")[1].splitlines()[0].split()
    listed = re.findall(r"^\| `(make [a-z-]+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(f"make {name}" for name in targets)
