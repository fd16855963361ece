"""The tables of the page "How the fleet agrees"; what the page states must be what a run finds."""

import re
from collections.abc import Iterable, Mapping, Sequence

from tests import ROOT
from tests.protocol.runs import COVERAGE, Removal, Size
from tests.protocol.spin import Found

PAGE = ROOT / "docs/explanation/how-the-fleet-agrees.md"


def sizes(found: Mapping[Size, Found]) -> str:
    """Return the table of the sizes that were searched."""
    head = (
        "| Size | Fetches of a key | Faults in one run | States | Search |\n| --- | --- | --- | --- | --- |\n"
    )
    return head + "".join(
        f"| {size.name} | {size.fetches} | {size.faults} | {states(size, each)} | {size.search} |\n"
        for size, each in found.items()
    )


def states(size: Size, found: Found) -> str:
    """Return the number of states; a search for coverage ends after a time, so that its number differs."""
    return "not counted" if size.options == COVERAGE else f"{found.states:,}"


def removals(found: Mapping[Removal, Found], kind: str) -> str:
    """Return the table of what was removed, with the invariant that broke and the steps of the counterexample."""
    head = f"| {kind} | Broken invariant | Steps |\n| --- | --- | --- |\n"
    return head + "".join(
        f"| {removal.text} (`{removal.macro}`) | {each.broken} | {each.steps} |\n"
        for removal, each in found.items()
    )


def replaced(text: str, mark: str, table: str) -> str:
    """Return the page with what is between its two marks replaced. Raises ValueError if they are missing."""
    marked = re.compile(rf"(?<=<!-- {mark} -->\n).*?(?=<!-- /{mark} -->\n)", re.DOTALL)
    page, count = marked.subn(lambda _: table, text)
    if count != 1:
        raise ValueError(f"the page needs <!-- {mark} --> and <!-- /{mark} -->, each on a line")
    return page


def macros(text: str) -> Sequence[str]:
    """Return the macros of the page's tables, in order."""
    return re.findall(r"\(`([A-Z_]+)`\) \|", text)


def invariants(text: str) -> Sequence[tuple[int, str]]:
    """Return the page's invariants: their numbers, and their text with the names of the tests."""
    section = text.split("## The invariants\n")[1].split("\n## ", maxsplit=1)[0]
    return [
        (int(number), " ".join(words.split()))
        for number, words in re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |\Z)", section, re.DOTALL | re.MULTILINE)
    ]


def named_tests(text: str) -> Iterable[str]:
    """Return the names of tests in a text."""
    return re.findall(r"`(test_\w+|Test\w+)`", text)
