"""The pages of the documentation: their links and their sizes."""

import re
from pathlib import Path
from typing import cast

import pytest

from sidecar.admin.events_stream import LiveEvents
from sidecar.admin.ports import AdminState
from sidecar.admin.server import pages
from sidecar.config.restart import RESTART_KEYS
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


def test_the_readme_is_short() -> None:
    """A reader finds out in a minute whether to read on."""
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 220
    assert len(text.encode()) <= 12 * 1024
    assert [line for line in text.splitlines() if len(line) > 120] == []


@pytest.mark.parametrize(
    ("name", "heading", "count"),
    [("README.md", "## How it compares", 7), ("docs/explanation/comparison.md", "## Figures", 8)],
)
def test_figures_are_those_of_the_benchmarks(name: str, heading: str, count: int) -> None:
    """After a new run of a benchmark, the comparisons change too."""
    section = (ROOT / name).read_text().split(heading)[1].split("\n\n")[1]
    rows = section.split("\n", 2)[2]
    figures = re.findall(r"\d[\d.,]*(?= (?:µs|ms|MiB|s|requests)\b)", rows)
    pages = "".join(
        (ROOT / f"docs/explanation/{page}.md").read_text() for page in ("benchmarks", "fleet-benchmark")
    )
    assert len(figures) == count
    assert [figure for figure in figures if not re.search(rf"\| +{re.escape(figure)} \|", pages)] == []


def test_every_page_is_linked_from_the_readme() -> None:
    """A page that no link leads to is not found."""
    linked = set(re.findall(r"\]\((docs/[^)#]+)", (ROOT / "README.md").read_text()))
    read = {
        name for name in PAGES if name.startswith(("docs/tutorial/", "docs/how-to/", "docs/explanation/"))
    }
    assert read - linked == set()


def test_the_admin_paths_are_listed() -> None:
    """The table of the page is what the admin server serves."""
    state = cast(AdminState, None)  # asked for its paths only
    page = (ROOT / "docs/how-to/run.md").read_text()
    assert set(re.findall(r"^\| `(/[a-z]*)` \|", page, re.MULTILINE)) == set(pages(state, LiveEvents(state)))


def test_every_key_that_needs_a_restart_is_listed() -> None:
    """The sentence has each key that the schema marks so, and no other."""
    sentence = (
        (ROOT / "docs/how-to/run.md").read_text().split("**What needs a restart:**")[1].split("A file")[0]
    )
    assert sorted(re.findall(r"`([^`]+)`", sentence)) == sorted(RESTART_KEYS)


def test_every_make_target_is_listed() -> None:
    """The table for developers is what the Makefile offers."""
    targets = (ROOT / "Makefile").read_text().split(".PHONY:")[1].splitlines()[0].split()
    listed = re.findall(r"^\| `(make [a-z-]+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(f"make {name}" for name in targets)
