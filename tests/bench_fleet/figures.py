"""What was measured, what is good enough, and both as a Markdown table that also reads well on a terminal."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

FILE = Path("build/bench-fleet.json")


@dataclass(frozen=True)
class Figure:
    """One line of the table: a number, or several beside each other, none of which may be over the bound."""

    group: str
    title: str
    values: Sequence[float]
    bound: float | None = None
    decimals: int = 0

    @property
    def met(self) -> bool:
        """Whether it is good enough; what has no bound is."""
        return self.bound is None or max(self.values) <= self.bound

    @property
    def measured(self) -> str:
        """As it is written."""
        return " / ".join(f"{value:,.{self.decimals}f}" for value in self.values)

    @property
    def verdict(self) -> str:
        """The target and whether it was reached; "" without one."""
        return "" if self.bound is None else f"≤ {self.bound:g} {'met' if self.met else '**MISSED**'}"


@dataclass(frozen=True)
class Results:
    """One run."""

    facts: Mapping[str, str]
    """With what and where it was measured."""
    figures: Sequence[Figure]
    raw: Mapping[str, object]
    """What the figures were made of."""

    def write(self) -> None:
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(asdict(self), indent=1))


def read() -> Results:
    """The last run's."""
    saved = json.loads(FILE.read_text())
    return Results(saved["facts"], [Figure(**each) for each in saved["figures"]], saved["raw"])


def caption(facts: Mapping[str, str]) -> str:
    """With what it was measured."""
    return (
        f"Redis {facts['redis']}, redis-py {facts['redis-py']}, Python {facts['python']}; {facts['cores']} cores of "
        f"{facts['processor']}."
    )


def table(figures: Sequence[Figure]) -> str:
    """One line for each figure, under its group's name."""
    lines = [("", "Measured", "Target"), *_lines(figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(3)]
    first, second, third = widths
    lines.insert(1, ("-" * first, "-" * (second - 1) + ":", "-" * (third - 1) + ":"))
    return "\n".join(
        f"| {' | '.join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])} |"
        for line in lines
    )


def _lines(figures: Sequence[Figure]) -> Iterator[tuple[str, str, str]]:
    for group, members in groupby(figures, lambda figure: figure.group):
        yield f"**{group}**", "", ""
        for figure in members:
            yield figure.title, figure.measured, figure.verdict
