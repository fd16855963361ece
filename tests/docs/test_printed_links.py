"""Pages that the program and the chart name exist; see the tests of pages for links between pages."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ROOT

_PAGE = re.compile(r"(?<!\]\()(?<![\w/.-])((?:[\w.-]+/)*[\w.-]+\.md)(?:#([\w-]+))?")
"""Links of Markdown are for the reference pages, whose links have tests of their own."""
_SITE = re.compile(r"https?://([a-z0-9.-]+\.[a-z]{2,})", re.IGNORECASE)
STANDARDS = {"www.w3.org", "json-schema.org"}
"""Names of formats, which are no links."""


def sources() -> Iterator[Path]:
    """Everything whose text users may see: the program, the chart, its values and its notes."""
    for folder, ends in (("sidecar", {".py", ".html"}), ("helm", {".txt", ".tpl", ".yaml", ".json"})):
        paths = sorted(path for path in (ROOT / folder).rglob("*") if path.suffix in ends)
        yield from (path for path in paths if path.parent.name != "ci")


def anchors(page: Path) -> set[str]:
    """Return what can follow the # of a link to the page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing(text: str) -> list[str]:
    """Return the pages in the text that do not exist, or have no such heading."""
    return [
        found[0]
        for found in _PAGE.finditer(text)
        if not (ROOT / found[1]).is_file() or (found[2] and found[2] not in anchors(ROOT / found[1]))
    ]


def foreign(text: str) -> list[str]:
    """Return the sites in the text, without those that stand for others (RFC 2606)."""
    sites = _SITE.findall(text)
    return [site for site in sites if not re.search(r"(^|\.)example(\.(com|net|org))?$", site)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see docs/reference/limits.md", []),
        ("see docs/reference/limits.md#memory, and README.md", []),
        ("see docs/reference/limits.md#nowhere", ["docs/reference/limits.md#nowhere"]),
        ("see docs/reference/gone.md", ["docs/reference/gone.md"]),
        ("the table in reference/limits.md", ["reference/limits.md"]),
        ("CHANGES.md", ["CHANGES.md"]),
        ("one of [these](errors.md) or (gone.md)", ["gone.md"]),
        ("`docs/reference/configuration.md#tokensname`", []),
        ("no page, only .md and md", []),
    ],
)
def test_a_page_that_does_not_exist_is_found(text: str, found: list[str]) -> None:
    """With its heading, if there is one."""
    assert missing(text) == found


def test_a_page_that_is_printed_exists() -> None:
    """So does its heading."""
    assert {str(source): found for source in sources() if (found := missing(source.read_text()))} == {}


def test_no_other_site_is_printed() -> None:
    """A site may go away without a test that fails."""
    named = {site for source in sources() for site in foreign(source.read_text())}
    assert named <= STANDARDS
