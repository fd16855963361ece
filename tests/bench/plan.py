"""What one run measures, where and for how long."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench.cells import Bulk, Calls, Growth, Load, Streams, matches
from tests.bench.proxies import OURS, PEER, PROXIES, Proxy
from tests.bench.upstreams import Upstream

BYSTANDERS_ROUNDS = 1
AnyCell = TypeVar("AnyCell", Load, Bulk, Calls, Streams, Growth)


@dataclass(frozen=True)
class Plan:
    """The choices of the command line, and the cores and folder there are."""

    cells: Sequence[str]
    """Shell patterns."""
    proxies: Sequence[str]
    rounds: int
    seconds: int
    """Of load, in each turn."""
    bulk_bytes: int
    proxy_core: int
    load_core: int
    folder: Path

    def wanted(self, cells: Sequence[AnyCell], upstream: str) -> list[AnyCell]:
        """Those cells of one kind of upstream that were asked for."""
        return [cell for cell in cells if cell.upstream == upstream and matches(cell.name, self.cells)]

    @contextmanager
    def started(self, upstream: Upstream) -> Iterator[list[Proxy]]:
        """All proxies freshly started, sharing a core; an idle one takes next to nothing of it."""
        with ExitStack() as running:
            proxies = [
                running.enter_context(PROXIES[name](self.proxy_core, upstream, self.folder))
                for name in self.proxies
            ]
            print(
                *(f"{proxy.name} has pid {proxy.process.pid}" for proxy in proxies), sep=", ", file=sys.stderr
            )
            yield proxies

    def turns(self, cells: Sequence[AnyCell], proxies: Sequence[Proxy]) -> Iterator[tuple[AnyCell, Proxy]]:
        """Round by round, so that whatever else the machine does touches all; the bystanders in the first only."""
        for number in range(self.rounds):
            for cell in cells:
                print(f"round {number + 1} of {self.rounds}: {cell.name}", file=sys.stderr)
                for proxy in proxies:
                    if number < BYSTANDERS_ROUNDS or proxy.name in (OURS, PEER):
                        yield cell, proxy
