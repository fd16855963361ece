"""Detect changes of the configuration, and survive any fault in it."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from sidecar.system import files, threads
from sidecar.telemetry.events import Failed
from sidecar.telemetry.ports import Journal

WATCH_EVERY = 2.0
"""Seconds between two checks."""
SOURCE_LIMIT = 1 << 20
"""Bytes of a source. The content of a longer one cannot be used, so it does not matter."""

Sources = Callable[[], tuple[Path, ...]]


async def watch(
    sources: Sources, asked: asyncio.Event, seen: str, reload: Callable[[], Awaitable[None]], journal: Journal
) -> None:
    """Reload, until cancelled, at each request and when the content of the files differs from `seen`."""
    while True:
        try:
            async with asyncio.timeout(WATCH_EVERY):
                await asked.wait()
        except TimeoutError:
            pass
        try:
            found = await _look(sources)
            if asked.is_set() or found != seen:
                asked.clear()
                seen = found
                await reload()
        except Exception as bug:  # noqa: BLE001  the next change must still be noticed
            asked.clear()
            journal.tell(Failed.of("watch", bug))


async def _look(sources: Sources) -> str:
    try:
        return await threads.beside("watch", lambda: contents(sources()))
    except OSError as error:  # no answer; once it is back, the content counts as another one
        return str(error)


def contents(paths: Iterable[Path]) -> str:
    """Return a name for the files' content; a mounted file may be replaced without its time or size changing."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            content = files.read(path, SOURCE_LIMIT)
        except (OSError, ValueError) as error:
            content = str(error).encode()
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
