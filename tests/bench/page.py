"""Write the last run's tables into the page of the benchmark: `python -m tests.bench.page`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench import results
from tests.bench.cells import matches
from tests.bench.figures import Row, rows
from tests.bench.table import table

PAGE = Path("docs/explanation/benchmarks.md")
MARK = "<!-- bench -->\n"
GROWTH_MARK = "<!-- growth -->\n"
HTTP2_MARK = "<!-- http2 -->\n"
PARTS: Mapping[str, Sequence[str]] = {
    GROWTH_MARK: ["growth/*"],
    HTTP2_MARK: ["calls/*", "streams/*", "open-streams", "slow-*", "floods/*"],
}
"""The cells of the tables that are no part of the first one, by their marks."""


def caption(facts: Mapping[str, str]) -> str:
    """With what, and for how long."""
    return (
        f"Sidecar {facts['sidecar']}, Envoy {facts['envoy']}, nginx {facts['nginx']}, aiohttp {facts['aiohttp']}, "
        f"Python {facts['python']}; {facts['processor']}, {facts['duration']}."
    )


def replaced(text: str, generated: str, mark: str = MARK) -> str:
    """The page with what is between its two marks replaced. Raises `ValueError` if they are missing."""
    if text.count(mark) != 2:
        raise ValueError(f"the page needs {mark.strip()} twice, each on a line")
    before, _, after = text.split(mark)
    return mark.join((before, generated, after))


def parted(chosen: Sequence[Row]) -> Mapping[str, list[Row]]:
    """The rows of each table, by its mark."""
    parts: dict[str, list[Row]] = {mark: [] for mark in (MARK, *PARTS)}
    for row in chosen:
        home = next((mark for mark, cells in PARTS.items() if matches(row.cell, cells)), MARK)
        parts[home].append(row)
    return parts


def main() -> int:
    if not results.FILE.exists():
        print(f"bench: there is no {results.FILE}; run `make bench` first", file=sys.stderr)
        return 2
    last = results.read()
    chosen = [row for row in rows(last.measurements) if row.figure.in_page]
    for mark, part in parted(chosen).items():
        if part:
            PAGE.write_text(replaced(PAGE.read_text(), f"{caption(last.facts)}\n\n{table(part)}\n", mark))
    return 0


if __name__ == "__main__":
    sys.exit(main())
