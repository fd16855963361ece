"""A sidecar between an upstream and the client of one case."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.clients.upstream import ClientsUpstream, reset_of
from tests.support.processes import Child, File, Process, run
from tests.support.waiting import until

TIMEOUT = 60.0
"""Seconds that a client has for a case."""
PIPE = asyncio.subprocess.PIPE


class NotAsExpectedError(Exception):
    """The client or the sidecar did not do what the case expects."""


@dataclass(frozen=True)
class Setting:
    """What a case works with."""

    folder: Path
    upstream: ClientsUpstream
    sidecar: Process
    url: str
    """Of the sidecar; of the upstream itself in a control."""
    size: int
    """Bytes of a large body."""

    async def start(self, *command: str) -> Child:
        return await asyncio.create_subprocess_exec(*command, cwd=self.folder, stdout=PIPE, stderr=PIPE)

    async def output(self, *command: str) -> bytes:
        """Run a command to its end; return what it prints."""
        return await finished(await self.start(*command))

    async def drained_by(self, running: Awaitable[object]) -> None:
        """Stop the sidecar in the middle of the answer of `/halves`, and wait for both."""
        client = asyncio.ensure_future(running)
        try:
            await until(lambda: self.upstream.half.is_set() or client.done())
            self.sidecar.signal(signal.SIGTERM)
            await self.sidecar.logs("draining")
            self.upstream.go.set()
            await client
            code, _ = await self.sidecar.ends()
            expect("exit code of the sidecar", code, 0)
        finally:
            client.cancel()

    async def cancelled(self) -> None:
        """Wait until the upstream knows that the client of `/endless` has left."""
        expect("code of the reset", await reset_of(self.upstream, "/endless"), 8)


async def finished(child: Child) -> bytes:
    """Wait for the end of a command; return what it printed."""
    try:
        async with asyncio.timeout(TIMEOUT):
            printed, errors = await child.communicate()
    except TimeoutError:
        raise NotAsExpectedError(f"the client did not end within {TIMEOUT:g} s") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        reason = (errors or printed).decode(errors="replace").strip()[-300:]
        raise NotAsExpectedError(f"exit code {child.returncode}: {' '.join(reason.split())}")
    return printed


def expect(what: str, got: object, want: object) -> None:
    """Raise NotAsExpectedError if something differs."""
    if got != want:
        raise NotAsExpectedError(f"{what} is {str(got)[:300]!r}, not {str(want)[:300]!r}")


def check(what: str, as_expected: object) -> None:
    """Raise NotAsExpectedError if it is not."""
    if not as_expected:
        raise NotAsExpectedError(f"{what}: not as expected")


Case = Callable[[Setting], Awaitable[None]]


@asynccontextmanager
async def setting(folder: Path, size: int, *, direct: bool = False) -> AsyncIterator[Setting]:
    """Start an upstream and a sidecar. Raise NotAsExpectedError if the upstream got what is malformed.

    If `direct`, the client is a control, which reaches the upstream without the sidecar.
    """
    async with ClientsUpstream() as upstream:
        document = {"name": "all", "match": {"prefix": "/"}, "upstream": upstream.url, "protocol": "http2"}
        async with run(File(folder / "config.yaml"), document) as sidecar:
            url = upstream.url if direct else f"http://{sidecar.address}"
            yield Setting(folder, upstream, sidecar, url, size)
        expect("what the upstream cannot read", upstream.malformed, [])
