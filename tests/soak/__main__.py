"""`make soak`: a sidecar under mixed load, for minutes, while everything around it fails in turn.

A real `sidecar run`, an upstream and a token endpoint, each a process on loopback. Many kinds of clients at once,
rude and slow ones among them; tokens are revoked, both servers fail, the configuration changes. Whatever a client
meets must be as expected or explained by a fault of that moment (`outcomes`). Then the load ends, what is kept for a
minute runs out, and nothing may be left of it (`verdict`).

Exit code 1: a bad verdict. Everything measured is left in build/soak.json;
`python -m tests.soak.page` writes the verdict of the last run into docs/explanation/soak.md.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

from sidecar.http1.pool import IDLE_TIMEOUT
from tests.soak.crowd import Crowd, Share
from tests.soak.faults import Config, Saboteur
from tests.soak.load import SHARES
from tests.soak.outcomes import HELD_UP, Fault, Outcome, Tally
from tests.soak.page import RESULT
from tests.soak.processes import Server, Sidecar
from tests.soak.verdict import EXIT_LIMIT, Results, Sample, block, checks, page

PULSE = 0.2
HOLD_UP = 1.0
"""Seconds by which a pulse of PULSE seconds may be late before the machine counts as held up."""
PROGRESS = 10
"""Seconds between two lines on the terminal."""
SETTLE = IDLE_TIMEOUT + 20
"""Seconds that what the load left behind may take to go: connections to the upstream are kept for a minute."""


class Soak:
    """One run."""

    def __init__(self, folder: Path, minutes: float, seed: int) -> None:
        self._minutes = minutes
        self._seed = seed
        self._complaints: list[str] = []
        self.tally = Tally()
        self._upstream = Server("upstream", self._complaints.append)
        self._endpoint = Server("authorization", self._complaints.append)
        self._config = Config(folder, self._upstream, self._endpoint)
        self.sidecar = Sidecar(self._config.path)
        self._samples: list[Sample] = []
        self._stop = asyncio.Event()

    async def run(self) -> Results:
        """Start, load, settle, end."""
        await asyncio.gather(self._upstream.start("0"), self._endpoint.start())
        self._config.write()
        await self.sidecar.start()
        idle = await self._idle()
        pulse = asyncio.create_task(self._pulse())
        await self._load()
        settled = await self._settle(idle)
        pulse.cancel()
        ending = await self.sidecar.stop(4 * EXIT_LIMIT)
        await asyncio.gather(self._upstream.kill(), self._endpoint.kill())
        log = self.sidecar.log
        return Results(
            minutes=self._minutes,
            seed=self._seed,
            idle=idle,
            samples=self._samples,
            settled=settled,
            tally=self.tally,
            events=log.events,
            failed=log.failed,
            leaked=log.leaked,
            stderr=self.sidecar.stderr.decode(errors="replace"),
            complaints=self._complaints,
            kinds=[share.name for share in SHARES],
            ending=ending,
        )

    async def _idle(self) -> Sample:
        """What it needs for itself: the least of some samples, for the first scrape, and its socket, are extra."""
        samples = [await self.sidecar.sample()]
        for _ in range(5):
            await asyncio.sleep(0.2)
            samples.append(await self.sidecar.sample())
        return min(samples, key=lambda sample: (sample.descriptors, sample.tasks))

    async def _load(self) -> None:
        crowd = Crowd(self.sidecar.address, self._tell, Random(self._seed))
        saboteur = Saboteur(
            self.tally.faults,
            Random(self._seed),
            upstream=self._upstream,
            endpoint=self._endpoint,
            sidecar=self.sidecar,
            config=self._config,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            tasks.create_task(saboteur.run(self._stop))
            for share in SHARES:
                for _ in range(share.clients):
                    tasks.create_task(self._client(share, crowd))
            await asyncio.sleep(self._minutes * 60)
            self._stop.set()

    async def _client(self, share: Share, crowd: Crowd) -> None:
        while not self._stop.is_set():
            await share.kind(crowd)
            await asyncio.sleep(crowd.dice.uniform(0, share.rest))

    def _tell(self, outcome: Outcome) -> None:
        if not self.tally.count(outcome) and outcome in self.tally.examples:
            self.sidecar.log.want(outcome.request_id)
            print(f"UNEXPLAINED {outcome}", file=sys.stderr)

    async def _watch(self) -> None:
        """Sample each second; a look that fails is an outcome like any other."""
        now = asyncio.get_running_loop().time
        began = now()
        for second in range(1, int(self._minutes * 60) + 1):
            await asyncio.sleep(max(0.0, began + second - now()))
            sample = await self._sample()
            if sample is not None:
                self._samples.append(sample)
            if second % PROGRESS == 0 and self._samples:
                self._progress(second)

    async def _sample(self) -> Sample | None:
        now = asyncio.get_running_loop().time
        began = now()
        try:
            return await self.sidecar.sample()
        except (OSError, TimeoutError) as error:
            self._tell(Outcome("sampling", "", began, now(), "no sample", repr(error)))
            return None

    async def _pulse(self) -> None:
        """Note when this process does not get to run: the sidecar, on the same machine, does not either."""
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            await asyncio.sleep(PULSE)
            if now() > began + PULSE + HOLD_UP:
                self.tally.faults.append(Fault(HELD_UP, began, now()))

    def _progress(self, second: int) -> None:
        tally, last = self.tally, self._samples[-1]
        explained = sum(counts.total() for counts in tally.explained.values())
        print(
            f"{second:>5} s  {tally.ok.total():>7} ok  {explained:>5} explained  {tally.unexplained.total():>3} "
            f"UNEXPLAINED  {last.descriptors:>4} descriptors  {last.tasks:>4} tasks  {last.resident:>5.1f} MiB  "
            f"{last.threads:>2} threads  {last.cpu:>6.1f} s CPU",
            file=sys.stderr,
        )

    async def _settle(self, idle: Sample) -> Sample:
        """Wait until all is as before, or long enough; the last sample."""
        print("the load has ended; waiting for what is kept to run out", file=sys.stderr)
        now = asyncio.get_running_loop().time
        end = now() + SETTLE
        last = self._samples[-1]
        while not _as_before(last, idle) and now() < end:
            await asyncio.sleep(1)
            last = await self._sample() or last
        return last


def _as_before(sample: Sample, idle: Sample) -> bool:
    more = sample.descriptors > idle.descriptors or sample.tasks > idle.tasks
    return not (more or sample.connections or sample.in_flight)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description="Soak this sidecar.")
    parser.add_argument("--minutes", type=float, default=10.0, help="of load; settling takes about one more")
    parser.add_argument(
        "--seed", type=int, default=1, help="of all dice: the same load, as far as time allows"
    )
    return parser.parse_args(argv)


async def soak(options: argparse.Namespace) -> tuple[Results, dict[str, list[str]]]:
    """Run it; the results, and the log lines about unexplained failures."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as ending:
        run = Soak(Path(folder), options.minutes, options.seed)
        ending.callback(run.sidecar.kill)
        results = await run.run()
        return results, run.sidecar.log.wanted


def main(argv: Sequence[str]) -> int:
    options = arguments(argv)
    results, lines = asyncio.run(soak(options))
    found = checks(results)
    RESULT.parent.mkdir(exist_ok=True)
    told = {"results": results, "checks": found, "log": lines, "verdict": block(results, found)}
    RESULT.write_text(json.dumps(told, indent=1, default=vars))
    print(page(results, found))
    for request_id, about in lines.items():
        print(*(about or [f"no log line names {request_id}"]), sep="\n")
    return 0 if all(row.good for row in found) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
