"""Processes pinned to one core, and what the kernel says they cost."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.resident_memory import forget_most_resident, most_resident, resident

START_SECONDS = 15
POLL_SECONDS = 0.001
CPUCLOCK_SCHED = 2


class BenchmarkError(Exception):
    """The benchmark cannot run here, or its figures would be worth nothing."""


@dataclass(frozen=True)
class Usage:
    """What a process has had of its core, in seconds."""

    cpu: float
    """User and system time of all its threads, to the nanosecond (see clock_getcpuclockid(3))."""
    waited: float
    """How long its threads were ready to run and did not, because their core was taken."""

    def since(self, before: "Usage") -> "Usage":
        """Return what was added since then."""
        return Usage(self.cpu - before.cpu, self.waited - before.waited)

    def shares(self, seconds: float) -> dict[str, float]:
        """Return both as shares of a time."""
        return {"busy": self.cpu / seconds, "waited": self.waited / seconds}


@dataclass(frozen=True)
class Process:
    """A running process that has answered."""

    name: str
    pid: int
    ready_seconds: float
    """From its start to its first good answer, in steps of `POLL_SECONDS`."""

    def usage(self) -> Usage:
        """What it has had so far. Raises `BenchmarkError` if it has died."""
        return Usage(self.cpu_seconds(), self.waited_seconds())

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        try:
            return time.clock_gettime(~self.pid << 3 | CPUCLOCK_SCHED)
        except OSError:
            raise BenchmarkError(f"{self.name} has died") from None

    def waited_seconds(self) -> float:
        """How long its threads have waited for their core so far."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[1]) for thread in threads) / 1e9

    def resident(self) -> int:
        """Bytes of memory it has now."""
        return self._asked(resident)

    def peak(self) -> int:
        """The most bytes it had since `forget_peak`."""
        return self._asked(most_resident)

    def forget_peak(self) -> None:
        """Reset the peak."""
        forget_most_resident(self.pid)

    def _asked(self, question: Callable[[int], int]) -> int:
        try:
            return question(self.pid)
        except OSError:
            raise BenchmarkError(f"{self.name} has died") from None


def tool(name: str, package: str) -> str:
    """The path of a program that the distribution brings."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        raise BenchmarkError(f"{name} is not installed; Debian and Ubuntu have it in the package {package}")
    return path


@contextmanager
def started(
    name: str, command: Sequence[str], *, core: int, ready: str, folder: Path, environ: Mapping[str, str]
) -> Iterator[Process]:
    """Run `command` on one core until the block ends; gives it once the URL `ready` is answered with 200."""
    log = folder / f"{name}.stderr"
    pinned = [tool("taskset", "util-linux"), "--cpu-list", str(core), *command]
    with log.open("wb") as stderr:
        begun = time.monotonic()
        process = subprocess.Popen(
            pinned,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, **environ},
        )
    try:
        while not _answers(ready):
            if process.poll() is not None or time.monotonic() > begun + START_SECONDS:
                raise BenchmarkError(f"{name} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(POLL_SECONDS)
        yield Process(name, process.pid, time.monotonic() - begun)
    finally:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    """Whether there is a 200."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=1)
    try:
        connection.request("GET", parts.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
