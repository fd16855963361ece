"""`python -m tests.fuzz.replay NAME [FILE...]`: checks files again, without atheris.

If no file is named, it checks all inputs of earlier runs, and prints the coverage of the judged modules.
"""

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

from coverage import Coverage

from tests.fuzz.runs import BUILD
from tests.fuzz.target import JUDGED, load


def main() -> None:
    name, *files = sys.argv[1:]
    if files:
        check(name, map(Path, files))
    else:
        print(f"{coverage(name):.0f} %")


def coverage(name: str) -> float:
    """Check the inputs of earlier runs; return the share of lines and branches that they reach."""
    judged = [spec.origin for spec in map(find_spec, JUDGED[name]) if spec is not None and spec.origin]
    counted = Coverage(data_file=None, config_file=False, branch=True, messages=False, include=judged)
    with counted.collect():
        check(name, (BUILD / name / "inputs").iterdir())
    return counted.report(file=StringIO())


def check(name: str, files: Iterable[Path]) -> None:
    """Check the files."""
    target = load(name)
    for file in files:
        target.check(file.read_bytes())


if __name__ == "__main__":
    main()
