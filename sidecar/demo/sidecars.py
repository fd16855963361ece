"""Sidecars, their start and their logs."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from sidecar.core.secret import Secret
from sidecar.demo.errors import Unexpected
from sidecar.demo.screen import Line
from sidecar.demo.servers import CLIENT_ID
from sidecar.fleet.settings import RedisSettings


class Running(Protocol):
    """A sidecar that was started."""

    @property
    def address(self) -> str:
        """Return the address for applications, `host:port`."""

    @property
    def admin_address(self) -> str:
        """Return the address for operators."""

    async def stop(self) -> None:
        """Finish what is in flight and stop, within a bound."""


class Start(Protocol):
    """Starts a sidecar on the running loop."""

    async def __call__(
        self,
        *,
        upstream: str,
        token_endpoint: str,
        client_id: str,
        client_secret: Secret,
        redis: RedisSettings | None,
        output: int,
    ) -> Running:
        """Start one on loopback ports of its own choice that relays every path to `upstream` with a token.

        With a Redis it is one of the fleet there. Its log goes, as JSON, to the file descriptor `output`.
        May raise any SidecarError.
        """


class Log:
    """A sidecar's own log lines, as they are written."""

    def __init__(self, reader: asyncio.StreamReader, patience: float) -> None:
        self._reader = reader
        self._patience = patience

    async def line(self) -> Line:
        """Return the next line. Raises Unexpected after the last."""
        text = await self._reader.readline()
        if not text:
            raise Unexpected("the sidecar stopped")
        line: Line = json.loads(text)
        return line

    async def until(self, *events: str) -> list[Line]:
        """Return the lines up to each of these events, an event named twice counted twice. Raises Unexpected."""
        missing = Counter(events)
        lines: list[Line] = []
        try:
            async with asyncio.timeout(self._patience):
                while missing:
                    lines.append(await self.line())
                    missing -= Counter([str(lines[-1]["event"])])
        except TimeoutError:
            waited = f"but within {self._patience:g} s it did not"
            raise Unexpected(f"the log must contain `{next(iter(missing))}`, {waited}") from None
        return lines


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A sidecar on the stage; URLs here and below have no slash at their end."""

    url: str
    admin_url: str
    log: Log
    name: str = ""
    """Its name within its fleet; "" for a standalone one."""


@asynccontextmanager
async def started(
    start: Start,
    *,
    upstream: str,
    token_endpoint: str,
    client_secret: Secret,
    patience: float,
    redis: RedisSettings | None = None,
    name: str = "",
) -> AsyncIterator[Sidecar]:
    """Start a sidecar, stop it at the end; its log is waited for `patience` seconds. May raise any SidecarError."""
    async with _pipe() as (reader, output):
        running = await start(
            upstream=upstream,
            token_endpoint=token_endpoint,
            client_id=CLIENT_ID,
            client_secret=client_secret,
            redis=redis,
            output=output,
        )
        try:
            urls = f"http://{running.address}", f"http://{running.admin_address}"
            yield Sidecar(*urls, Log(reader, patience), name)
        finally:
            await running.stop()


@asynccontextmanager
async def _pipe() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """Give the reader of a pipe and the descriptor to write to."""
    reading, writing = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
    )
    try:
        yield reader, writing
    finally:
        os.close(writing)
        transport.close()
