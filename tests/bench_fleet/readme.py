"""Writes the last run's table into README.md: `python -m tests.bench_fleet.readme`."""

import sys
from pathlib import Path

from tests.bench.readme import replaced
from tests.bench_fleet.figures import FILE, caption, read, table

README = Path("README.md")
MARK = "<!-- bench-fleet -->\n"


def main() -> int:
    if not FILE.exists():
        print(f"bench-fleet: there is no {FILE}; run `make bench-fleet` first", file=sys.stderr)
        return 2
    last = read()
    generated = f"{caption(last.facts)}\n\n{table(last.figures)}\n"
    README.write_text(replaced(README.read_text(), generated, MARK))
    return 0


if __name__ == "__main__":
    sys.exit(main())
