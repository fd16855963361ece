"""The tables of histories on the page "How the fleet agrees"."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from tests.histories.faults import Fault
from tests.histories.history import Asked, Busted, Event, Fetched, Joined, Lost, Selected, Sent
from tests.histories.runs import Result

COUNTED: Mapping[type[Event], str] = {
    Asked: "Requests of clients",
    Sent: "Requests that reached the upstream",
    Fetched: "Token requests",
    Busted: "Busts",
    Selected: "Busts by label",
    Joined: "Pods started",
    Lost: "Losses of all data in Redis",
}


def faults(found: Mapping[Fault, Result]) -> str:
    """Return the table of the planted faults: the invariant that broke, and after how many operations."""
    head = "| Guard removed from the code | Broken invariant | Operations |\n| --- | --- | --- |\n"
    return head + "".join(
        f"| {fault.text} (`{fault.name}`) | {broken(result, fault)} | {result.operations} |\n"
        for fault, result in found.items()
    )


def broken(result: Result, fault: Fault) -> int:
    """Return the fault's invariant if it is among those that broke, else the one that broke first; 0 if all hold."""
    numbers = [violation.invariant for violation in result.violations]
    return fault.breaks if fault.breaks in numbers else next(iter(numbers), 0)


def figures(results: Sequence[Result]) -> str:
    """Return the table of what happened in histories of the unchanged code."""
    counts = Counter(type(event) for result in results for event in result.history)
    rows = {
        "Histories": len(results),
        "Operations": sum(result.operations for result in results),
        **{text: counts[kind] for kind, text in COUNTED.items()},
        "Violations": sum(len(result.violations) for result in results),
    }
    return "| | |\n| --- | --- |\n" + "".join(f"| {text} | {count:,} |\n" for text, count in rows.items())


def listed(text: str) -> Sequence[tuple[str, int]]:
    """Return the faults in the page's table, each with the invariant that broke."""
    rows = re.findall(r"\(`([a-z_]+)`\) \| (\d+) \| \d+ \|", text)
    return [(name, int(number)) for name, number in rows]
