"""Which figures say more about the machine or the load than about the proxy."""

from collections.abc import Iterator, Sequence
from statistics import median

from tests.bench.cells import matches
from tests.bench.figures import Measurement
from tests.bench.proxies import OURS, PEER

WAITED = 0.1
"""A proxy should hardly ever be ready to run and find its core taken."""
BUSY = 0.9
"""At many connections a proxy should never be waiting for the load."""


def doubts(measurements: Sequence[Measurement]) -> Iterator[str]:
    """One line for each cell of ours or the peer's that other work or the load held back."""
    for cell, proxy in dict.fromkeys((each.cell, each.proxy) for each in measurements):
        samples = [each.figures for each in measurements if (each.cell, each.proxy) == (cell, proxy)]
        if proxy not in (OURS, PEER) or not matches(cell, ["load/*", "calls/*", "streams/*"]):
            continue
        waited, busy = (median(sample[name] for sample in samples) for name in ("waited", "busy"))
        if waited > WAITED:
            yield f"{cell}: {proxy} waited for its core {waited:.0%} of the time; something else is running there"
        elif busy < BUSY and not matches(cell, ["load/*/1", "calls/1-stream*"]):
            yield f"{cell}: {proxy} used only {busy:.0%} of its core; the load was slower"
