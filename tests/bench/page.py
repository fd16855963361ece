"""Write the last run's table into the page of the benchmark: `python -m tests.bench.page`."""

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench import results
from tests.bench.figures import rows
from tests.bench.table import table

PAGE = Path("docs/explanation/benchmarks.md")
MARK = "<!-- bench -->\n"
GROWTH_MARK = "<!-- growth -->\n"


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


def main() -> int:
    if not results.FILE.exists():
        print(f"bench: there is no {results.FILE}; run `make bench` first", file=sys.stderr)
        return 2
    last = results.read()
    chosen = [row for row in rows(last.measurements) if row.figure.in_page]
    growth = [row for row in chosen if row.figure.name == "growth"]
    others = [row for row in chosen if row.figure.name != "growth"]
    for mark, part in ((MARK, others), (GROWTH_MARK, growth)):
        if part:
            PAGE.write_text(replaced(PAGE.read_text(), f"{caption(last.facts)}\n\n{table(part)}\n", mark))
    return 0


if __name__ == "__main__":
    sys.exit(main())
