"""A server as a process of its own: says where it listens, does what its standard input says, ends with it."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.support.upstream import Server

Obey = Callable[[list[str]], Awaitable[None]]


async def _serve(server: Server, obey: Obey, port: int) -> None:
    await server.start(port)
    say(f"listening {server.port}")
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        await obey(line.decode().split())
        say("done")
    await server.stop()


def run(server: Server, obey: Obey, port: int) -> None:
    """Serve on `port` and give each line of standard input, in words, to `obey`."""
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(server, obey, port))


def say(line: str) -> None:
    """Report to the soak; a line that is neither `listening` nor `done` is a complaint about the sidecar."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
