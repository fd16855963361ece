"""The raw results of a run, as JSON in build/bench.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.figures import Measurement

FILE = Path("build/bench.json")


@dataclass(frozen=True)
class Results:
    """One run."""

    facts: Mapping[str, str]
    """Versions, the processor, how many rounds and how long."""
    measurements: Sequence[Measurement]

    def write(self) -> None:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(asdict(self), indent=1))


def read() -> Results:
    """The last run's."""
    saved = json.loads(FILE.read_text())
    return Results(saved["facts"], [Measurement(**each) for each in saved["measurements"]])
