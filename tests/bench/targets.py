"""What is good enough, and whether it was reached."""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.bench.cells import matches
from tests.bench.figures import Row
from tests.bench.proxies import OURS, PEER


@dataclass(frozen=True)
class Target:
    """A bound on one figure in some cells: on ours, or on our share of the peer's."""

    cells: str
    figure: str
    of: Literal["ours", "ratio"]
    sense: Literal["≤", "≥"]
    bound: float

    def __str__(self) -> str:
        return f"{self.sense} {self.bound:g}"


TARGETS = (
    Target("load/plain/200B/32", "cpu_us", "ratio", "≤", 0.75),
    Target("load/plain/200B/256", "cpu_us", "ratio", "≤", 0.65),
    Target("load/plain/200B/*/traced", "cpu_us", "ratio", "≤", 0.75),
    Target("load/tls/200B/32", "cpu_us", "ratio", "≤", 0.8),
    Target("load/tls/200B/256", "cpu_us", "ratio", "≤", 0.8),
    Target("load/*", "p99_ms", "ratio", "≤", 1),
    Target("load/*/256", "peak_mib", "ratio", "≤", 0.8),
    Target("bulk/plain/*/sized", "mb_per_cpu_second", "ratio", "≥", 0.9),
    Target("bulk/tls/*/sized", "mb_per_cpu_second", "ratio", "≥", 0.75),
    Target("bulk/*", "growth_mib", "ours", "≤", 16),
    Target("fleet", "fleet_fresh_mib", "ratio", "≤", 1),
    Target("fleet", "fleet_peak_mib", "ratio", "≤", 1),
    Target("growth/*", "growth", "ours", "≤", 1.1),
    Target("start", "ready_seconds", "ours", "≤", 0.4),
)

REACHED: dict[str, Callable[[float, float], bool]] = {"≤": operator.le, "≥": operator.ge}


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured."""

    target: Target
    met: bool

    def __str__(self) -> str:
        return f"{self.target} {'met' if self.met else '**MISSED**'}"


def judge(row: Row) -> Verdict | None:
    """None where there is no target, or nothing to judge because one of the two was not measured."""
    for target in TARGETS:
        if row.figure.name == target.figure and matches(row.cell, [target.cells]):
            value = row.values.get(OURS) if target.of == "ours" else row.ratio(OURS, PEER)
            return None if value is None else Verdict(target, REACHED[target.sense](value, target.bound))
    return None
