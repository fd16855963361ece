"""Many processes, and the moments of their output: every line has its own moment."""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast

from sidecar.core.ports import Clock
from tests import ROOT
from tests.support.resident_memory import resident

AT_A_TIME = 4
"""Processes being started; more would only wait for each other."""
PATIENCE = 30.0
CLOCKS_AGREE = 0.001
"""Seconds by which a moment from another process may be off."""
T = TypeVar("T")


class Child(asyncio.SubprocessProtocol):
    """A process that runs a module of Python until it is killed."""

    _transport: asyncio.SubprocessTransport

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        """The names in its log, but for `request`."""
        self._rest = b""
        self._word = b""
        self._awaited: asyncio.Future[bytes] | None = None

    @classmethod
    async def start(cls, module: Sequence[str], environ: Mapping[str, str]) -> "Child":
        loop = asyncio.get_running_loop()
        command = (sys.executable, "-m", *module)
        transport, child = await loop.subprocess_exec(
            cls, *command, cwd=ROOT, env={**os.environ, **environ}, stdin=None, stderr=None
        )
        child._transport = transport
        return child

    @property
    def pid(self) -> int:
        pid = self._transport.get_pid()
        assert pid is not None
        return pid

    def resident(self) -> int:
        """Bytes of memory it has now."""
        return resident(self.pid)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._transport.get_returncode() is None:
            self._transport.kill()

    def says(self, word: bytes) -> asyncio.Future[bytes]:
        """The next line with this word in it."""
        self._word, self._awaited = word, asyncio.get_running_loop().create_future()
        return self._awaited

    def moment(self, line: bytes) -> float:
        """Epoch seconds at which it says that it had something to say."""
        return float(line.split()[-1])

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._awaited is not None and not self._awaited.done() and self._word in line:
                self._awaited.set_result(line)
            if line.startswith(b"{") and b'"event":"request"' not in line:
                self.events[json.loads(line)["event"]] += 1

    def process_exited(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(RuntimeError("a process ended by itself"))


class Sidecar(Child):
    """`sidecar run` with a file."""

    def __init__(self) -> None:
        super().__init__()
        self.address = self.admin = ""

    @classmethod
    async def run(cls, config: Path, environ: Mapping[str, str]) -> "Sidecar":
        """Start one and wait until it listens."""
        child = cast(Sidecar, await cls.start(("sidecar", "run", "--config", str(config)), environ))
        fields = json.loads(await _soon(child.says(b'"event":"started"')))
        child.address, child.admin = fields["listen"], fields["admin"]
        return child

    def moment(self, line: bytes) -> float:
        """The same; what the log cuts off of the last millisecond is half of one on average."""
        return datetime.fromisoformat(json.loads(line)["ts"]).timestamp() + 0.0005


async def subscriber(port: int, channel: str) -> Child:
    """Start one of `tests.bench_fleet.subscriber` and wait until it receives messages."""
    child = await Child.start(("tests.bench_fleet.subscriber", str(port), channel), {})
    await _soon(child.says(b"subscribe"))
    return child


async def delays(
    children: Sequence[Child], word: bytes, clock: Clock, act: Callable[[], Awaitable[object]]
) -> list[float]:
    """Act, and return how many seconds later each of them noted the word, by the moment in its own line."""
    awaited = [child.says(word) for child in children]
    began = clock.now()
    await act()
    said = await _soon(asyncio.gather(*awaited))
    found = [child.moment(line) - began for child, line in zip(children, said, strict=True)]
    if min(found) < -CLOCKS_AGREE:
        raise RuntimeError("the clocks of the processes do not agree; was the machine's set meanwhile?")
    return found


async def in_turn(count: int, start: Callable[[], Awaitable[T]], at_a_time: int = AT_A_TIME) -> list[T]:
    """Start so many, a few at a time."""
    places = asyncio.Semaphore(at_a_time)

    async def one() -> T:
        async with places:
            return await start()

    return await asyncio.gather(*(one() for _ in range(count)))


async def _soon(awaited: Awaitable[T]) -> T:
    async with asyncio.timeout(PATIENCE):
        return await awaited
