"""`make protocol`: checks the model of the fleet's protocol, and the figures of its page; ten minutes, up to 8 GB.

Exits with 1 if an invariant does not hold, if a removed guard goes unnoticed, or if the page states other figures;
`python -m tests.protocol --write` writes them into the page.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from tests.protocol.page import PAGE, removals, replaced, sizes
from tests.protocol.runs import ASSUMPTIONS, COVERAGE, GUARDS, SHORTEST, SIZES, Removal, Size
from tests.protocol.spin import Found, check


def timed(name: str, defines: Sequence[str], options: Sequence[str], arguments: Sequence[str]) -> Found:
    """Check the model, and print what was found."""
    began = monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = check(defines, options, arguments, Path(folder))
    result = "holds" if found.broken is None else f"invariant {found.broken} broken after {found.steps} steps"
    print(f"{name:24} {found.states:>12,} states  {result}, {monotonic() - began:.0f} s", flush=True)
    return found


def search(size: Size) -> Found:
    """Search one size of the model."""
    return timed(size.name, size.defines, size.options, size.arguments)


def remove(removal: Removal) -> Found:
    """Search for the shortest counterexample without the guard or assumption."""
    return timed(removal.macro, removal.defines, SHORTEST, ())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.protocol")
    parser.add_argument("--write", action="store_true", help="write the figures into the page")
    write = parser.parse_args().write
    guards = {removal: remove(removal) for removal in GUARDS}
    assumptions = {removal: remove(removal) for removal in ASSUMPTIONS}
    searched = {size: search(size) for size in SIZES}
    wrong = [
        f"{size.name}, {size.search}"
        for size, found in searched.items()
        if found.broken is not None or not (found.complete or size.options == COVERAGE)
    ]
    wrong += [each.macro for each, found in (guards | assumptions).items() if found.broken != each.breaks]
    text = PAGE.read_text()
    page = replaced(text, "guards", removals(guards, "Guard removed"))
    page = replaced(page, "assumptions", removals(assumptions, "Assumption removed"))
    page = replaced(page, "sizes", sizes(searched))
    if write:
        PAGE.write_text(page)
    elif page != text:
        wrong.append(f"{PAGE.name} (other figures: see --write)")
    for each in wrong:
        print(f"protocol: not as expected: {each}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
