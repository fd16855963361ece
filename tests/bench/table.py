"""The figures as a Markdown table that also reads well on a terminal: ratios and targets beside them."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from tests.bench.cells import label
from tests.bench.figures import Row
from tests.bench.proxies import OURS, PEER, PROXIES
from tests.bench.targets import judge

TITLES = {"sidecar": "Sidecar", "envoy": "Envoy"}


def table(rows: Sequence[Row]) -> str:
    """One line for each row, under its figure's title."""
    proxies = [name for name in PROXIES if any(name in row.values for row in rows)]
    head = ["", *(TITLES.get(name, name) for name in proxies), "Ratio to Envoy", "Target"]
    lines = [head, *_lines(rows, proxies)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join(
        f"| {' | '.join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])} |"
        for line in lines
    )


def _lines(rows: Sequence[Row], proxies: Sequence[str]) -> Iterator[list[str]]:
    for figure, group in groupby(rows, lambda row: row.figure):
        members = list(group)
        if label(members[0].cell):
            yield [f"**{figure.title}**", *[""] * (len(proxies) + 2)]
        for row in members:
            yield [label(row.cell) or f"**{figure.title}**", *_cells(row, proxies)]


def _cells(row: Row, proxies: Sequence[str]) -> Iterator[str]:
    for name in proxies:
        yield f"{row.values[name]:.{row.figure.decimals}f}" if name in row.values else ""
    ratio = row.ratio(OURS, PEER)
    yield "" if ratio is None else f"{ratio:.2f}"
    yield ", ".join(map(str, judge(row)))
