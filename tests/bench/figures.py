"""What was measured, and whether it is good enough: medians over rounds and their ratio to the peer's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

CPU_TARGETS: Mapping[int, float] = {32: 0.75, 256: 0.65}
"""Connections → the CPU a request may cost, as a share of Envoy's."""
P99_TARGET = 1.0


@dataclass(frozen=True)
class Sample:
    """One run of the load against one proxy."""

    proxy: str
    connections: int
    requests: int
    seconds: float
    cpu_seconds: float
    p50_us: float
    p99_us: float

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per request."""
        return self.cpu_seconds / self.requests * 1e6

    @property
    def busy(self) -> float:
        """How much of its core the proxy used; well under 1 the load was the bottleneck."""
        return self.cpu_seconds / self.seconds


@dataclass(frozen=True)
class Summary:
    """The medians of one proxy's samples at one number of connections."""

    proxy: str
    connections: int
    cpu_us: float
    p50_us: float
    p99_us: float
    per_second: float
    busy: float


@dataclass(frozen=True)
class Comparison:
    """Our medians divided by the peer's."""

    connections: int
    cpu: float
    p99: float

    @property
    def missed(self) -> bool:
        """Whether a target is missed."""
        return self.cpu > CPU_TARGETS[self.connections] or self.p99 > P99_TARGET


def summarise(samples: Sequence[Sample]) -> list[Summary]:
    """One summary for each proxy and number of connections, in the order they were first measured."""
    groups: dict[tuple[int, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.connections, sample.proxy), []).append(sample)
    return [
        Summary(
            proxy=proxy,
            connections=connections,
            cpu_us=median(sample.cpu_us for sample in group),
            p50_us=median(sample.p50_us for sample in group),
            p99_us=median(sample.p99_us for sample in group),
            per_second=median(sample.requests / sample.seconds for sample in group),
            busy=median(sample.busy for sample in group),
        )
        for (connections, proxy), group in groups.items()
    ]


def compare(summaries: Sequence[Summary], ours: str, peer: str) -> list[Comparison]:
    """Our medians against the peer's, for each number of connections that both were measured at."""
    by_name = {(summary.proxy, summary.connections): summary for summary in summaries}
    return [
        Comparison(connections, mine.cpu_us / theirs.cpu_us, mine.p99_us / theirs.p99_us)
        for connections in CPU_TARGETS
        if (mine := by_name.get((ours, connections))) and (theirs := by_name.get((peer, connections)))
    ]


def table(summaries: Sequence[Summary], comparisons: Sequence[Comparison]) -> str:
    """The medians, then the ratios with their targets, for people."""
    lines = ["connections  proxy     CPU µs/request   p50 ms   p99 ms   requests/s   core busy"]
    lines += [
        f"{row.connections:>11}  {row.proxy:<8}  {row.cpu_us:>14.1f}  {row.p50_us / 1000:>7.2f}  "
        f"{row.p99_us / 1000:>7.2f}  {row.per_second:>11.0f}  {row.busy:>9.0%}"
        for row in summaries
    ]
    lines += [
        f"{row.connections:>11}  ratio     {row.cpu:>8.2f} ≤ {CPU_TARGETS[row.connections]:.2f}           "
        f"{row.p99:>7.2f} ≤ {P99_TARGET:.2f}   {'MISSED' if row.missed else 'met'}"
        for row in comparisons
    ]
    return "\n".join(lines)
