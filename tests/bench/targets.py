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
    """A bound on one figure in some cells: on ours, or on our share of another proxy's."""

    cells: str
    figure: str
    other: str | None
    sense: Literal["≤", "≥"]
    bound: float

    def __str__(self) -> str:
        whose = f" of {self.other}" if self.other not in (None, PEER) else ""
        return f"{self.sense} {self.bound:g}{whose}"


TARGETS = (
    Target("load/plain/200B/32", "cpu_us", PEER, "≤", 0.6),
    Target("load/plain/200B/256", "cpu_us", PEER, "≤", 0.5),
    Target("load/plain/200B-unique/32", "cpu_us", PEER, "≤", 0.75),
    Target("load/plain/200B/32/traced", "cpu_us", PEER, "≤", 0.78),
    Target("load/plain/200B/256/traced", "cpu_us", PEER, "≤", 0.58),
    Target("load/tls/200B/32", "cpu_us", PEER, "≤", 0.82),
    Target("load/tls/200B/256", "cpu_us", PEER, "≤", 0.65),
    Target("load/plain/200B/32", "cpu_us", "nginx", "≤", 1.5),
    Target("calls/1-stream", "cpu_us", PEER, "≤", 0.8),
    Target("calls/10-streams", "cpu_us", PEER, "≤", 0.75),
    Target("calls/100-streams", "cpu_us", PEER, "≤", 0.6),
    Target("calls/10-streams/unique", "cpu_us", PEER, "≤", 0.9),
    Target("calls/1-stream/traced", "cpu_us", PEER, "≤", 0.85),
    Target("calls/10-streams/traced", "cpu_us", PEER, "≤", 0.8),
    Target("calls/100-streams/traced", "cpu_us", PEER, "≤", 0.65),
    Target("calls/*", "p99_ms", PEER, "≤", 1.1),
    Target("open-streams", "open_streams_mib", PEER, "≤", 0.8),
    Target("slow-reader", "slow_p99", None, "≤", 1.25),
    Target("slow-readers", "slow_mib", None, "≤", 16),
    Target("floods/*", "flood_mib", None, "≤", 4),
    Target("load/*/traced", "p99_ms", PEER, "≤", 1.2),
    Target("load/*", "p99_ms", PEER, "≤", 1.1),
    Target("load/*", "p50_ms", PEER, "≤", 1),
    Target("load/plain/*/256", "peak_mib", PEER, "≤", 0.64),
    Target("load/tls/*/256", "peak_mib", PEER, "≤", 0.8),
    Target("bulk/plain/*/sized", "mb_per_cpu_second", PEER, "≥", 0.9),
    Target("bulk/tls/*/sized", "mb_per_cpu_second", PEER, "≥", 0.75),
    Target("bulk/*", "growth_mib", None, "≤", 16),
    Target("fleet", "fleet_fresh_mib", PEER, "≤", 1),
    Target("fleet", "fleet_peak_mib", PEER, "≤", 1),
    Target("growth/*", "growth", None, "≤", 1.1),
    Target("start", "ready_seconds", None, "≤", 0.25),
)

REACHED: dict[str, Callable[[float, float], bool]] = {"≤": operator.le, "≥": operator.ge}


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured."""

    target: Target
    met: bool

    def __str__(self) -> str:
        return f"{self.target} {'met' if self.met else '**MISSED**'}"


def judge(row: Row) -> list[Verdict]:
    """For each proxy that we are compared with, the verdict of the first target that fits, if both were measured."""
    found: dict[str | None, Verdict | None] = {}
    for target in TARGETS:
        fits = row.figure.name == target.figure and matches(row.cell, [target.cells])
        if fits and target.other not in found:
            value = row.values.get(OURS) if target.other is None else row.ratio(OURS, target.other)
            met = value is not None and REACHED[target.sense](value, target.bound)
            found[target.other] = None if value is None else Verdict(target, met)
    return [verdict for verdict in found.values() if verdict is not None]
