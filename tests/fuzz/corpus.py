"""The inputs of earlier runs that are kept in the repository: for each target a file, with an input a line in base64.

`python -m tests.fuzz.corpus [NAME...]` writes the files from the inputs in `build/fuzz`.
"""

import sys
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.runs import BUILD
from tests.fuzz.target import JUDGED

FOLDER = Path(__file__).parent / "kept"
MOST = 100
"""Inputs that are kept for a target: short and long ones."""
LONGEST = 400
"""Bytes of an input that is kept."""


def kept(name: str) -> Iterator[bytes]:
    """Return the inputs that are kept for a target."""
    file = FOLDER / f"{name}.txt"
    if file.exists():
        yield from map(b64decode, file.read_text().split())


def write(name: str) -> None:
    """Keep some of the inputs that each reach something new."""
    inputs = {file.read_bytes() for file in (BUILD / name / "inputs").iterdir()}
    ordered = sorted(
        (data for data in inputs if 0 < len(data) <= LONGEST), key=lambda data: (len(data), data)
    )
    every = max(1, len(ordered) // MOST)
    lines = [b64encode(data).decode() + "\n" for data in ordered[::every][:MOST]]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.txt").write_text("".join(lines))


if __name__ == "__main__":
    for each in sys.argv[1:] or JUDGED:
        write(each)
