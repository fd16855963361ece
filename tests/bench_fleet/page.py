"""Write the last run's table into the page of the benchmark: `python -m tests.bench_fleet.page`."""

import sys
from pathlib import Path

from tests.bench.page import replaced
from tests.bench_fleet.figures import FILE, caption, read, table

PAGE = Path("docs/explanation/fleet-benchmark.md")
MARK = "<!-- bench-fleet -->\n"


def main() -> int:
    if not FILE.exists():
        print(f"bench-fleet: there is no {FILE}; run `make bench-fleet` first", file=sys.stderr)
        return 2
    last = read()
    generated = f"{caption(last.facts)}\n\n{table(last.figures)}\n"
    PAGE.write_text(replaced(PAGE.read_text(), generated, MARK))
    return 0


if __name__ == "__main__":
    sys.exit(main())
