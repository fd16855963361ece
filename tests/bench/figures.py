"""What was measured: one figure of all proxies in a row, the median over rounds, and our ratio to the peer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

MIB = 1 << 20


@dataclass(frozen=True)
class Measurement:
    """What one proxy did once in one cell."""

    cell: str
    proxy: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Figure:
    """A column of figures in the measurements, how several rounds become one, and how it is written."""

    name: str
    title: str
    decimals: int
    over_rounds: Callable[[Iterable[float]], float] = median
    in_page: bool = True


FIGURES = (
    Figure("cpu_us", "CPU per request, µs", 1),
    Figure("message_us", "CPU per message of a stream, µs", 2),
    Figure("p99_ms", "99th percentile of latency, ms", 2),
    Figure("p50_ms", "Median latency, ms", 2, in_page=False),
    Figure("per_second", "Requests per second", 0, in_page=False),
    Figure("peak_mib", "Resident memory at its highest, MiB", 1),
    Figure("after_mib", "Resident memory after the run, MiB", 1, in_page=False),
    Figure("mb_per_cpu_second", "1 GiB on one connection, MB per CPU second", 0),
    Figure("growth_mib", "Most growth of memory meanwhile, MiB", 1, over_rounds=max),
    Figure("ready_seconds", "From start to ready, s", 2),
    Figure("idle_mib", "Resident memory with 10 000 idle clients, MiB", 1),
    Figure("open_streams_mib", "Resident memory with 1,000 open HTTP/2 streams, MiB", 1),
    Figure("fleet_fresh_mib", "Resident memory of one of a fleet before its first request, MiB", 1),
    Figure("fleet_peak_mib", "Resident memory of one of a fleet at 256 connections, MiB", 1),
    Figure("slow_p99", "99th percentile beside a slow reader, as a multiple of that without it", 2),
    Figure("slow_mib", "Growth of memory with 100 slow readers, MiB", 1),
    Figure("flood_ms", "CPU until the connection of a flood ends, ms", 0, over_rounds=max),
    Figure("flood_mib", "Growth of memory until the connection of a flood ends, MiB", 1, over_rounds=max),
    Figure("growth", "CPU per request, as a multiple of that with one", 2),
)
"""In the order of the table. Whatever else a measurement holds is for the raw results only."""


@dataclass(frozen=True)
class Row:
    """One figure in one cell."""

    figure: Figure
    cell: str
    values: Mapping[str, float]
    """By proxy."""

    def ratio(self, ours: str, peer: str) -> float | None:
        """Ours divided by the peer's; None unless both were measured."""
        mine, theirs = self.values.get(ours), self.values.get(peer)
        return mine / theirs if mine is not None and theirs else None


def rows(measurements: Sequence[Measurement]) -> list[Row]:
    """One row for each figure of each cell, figure by figure, cells as they were first measured."""
    cells = dict.fromkeys(each.cell for each in measurements)
    found = [_row(figure, cell, measurements) for figure in FIGURES for cell in cells]
    return [row for row in found if row.values]


def _row(figure: Figure, cell: str, measurements: Sequence[Measurement]) -> Row:
    samples: dict[str, list[float]] = {}
    for each in measurements:
        if each.cell == cell and figure.name in each.figures:
            samples.setdefault(each.proxy, []).append(each.figures[figure.name])
    return Row(figure, cell, {proxy: figure.over_rounds(values) for proxy, values in samples.items()})
