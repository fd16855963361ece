"""A demonstration of the sidecar on this machine: `sidecar demo`.

An authorization server that can revoke its tokens, an upstream that answers only to a valid one, real sidecars before
it, and a real Redis if one is installed, all on this machine. The script prints each action, checks its effect, and
shows the log lines about it. Tokens appear only as their fingerprints, as in the sidecar's log.
"""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable

from sidecar.core.errors import SidecarError
from sidecar.demo.errors import Unexpected
from sidecar.demo.redis import redis_server
from sidecar.demo.screen import Screen
from sidecar.demo.script import perform, watch
from sidecar.demo.sidecars import Start
from sidecar.demo.stage import Pace, Stage, build

__all__ = ["Start", "main", "play"]


def main(start: Start, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> int:
    """Play the demo on stdout and return the exit code: 0, or 1 when something did not happen as it should.

    Where stdin is a terminal everything stays up until Ctrl-C. `start` starts a sidecar on the loop that
    `loop_factory` makes.
    """
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    screen = Screen(sys.stdout, colour=colour, width=shutil.get_terminal_size().columns)
    redis = redis_server()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` makes it ignored
        for number in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C, so that no Redis keeps running
            loop.add_signal_handler(number, signal.raise_signal, signal.SIGINT)
        if sys.stdin is None or not sys.stdin.isatty():
            return runner.run(play(start, screen, None, redis))
        interrupted = asyncio.Event()
        loop.add_signal_handler(signal.SIGINT, interrupted.set)
        return runner.run(play(start, screen, interrupted, redis))


async def play(
    start: Start,
    screen: Screen,
    stay_until: asyncio.Event | None,
    redis: str | None,
    pace: Pace | None = None,
) -> int:
    """Play the demo, leave everything up until the event, if there is one, and return the exit code.

    The event ends the play at any time. `redis` is the program to start; without one only the rest is shown.
    """
    try:
        async with build(start, redis, pace or Pace()) as stage:
            if stay_until is None:
                await perform(stage, screen)
            else:
                await _until(stay_until, _stay(stage, screen))
    except (Unexpected, SidecarError) as error:
        screen.failed(str(error))
        return 1
    return 0


async def _stay(stage: Stage, screen: Screen) -> None:
    await perform(stage, screen)
    await watch(stage, screen)


async def _until(event: asyncio.Event, work: Awaitable[None]) -> None:
    """Do the work, but no longer than until the event."""
    working = asyncio.ensure_future(work)
    waiting = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
    if not working.cancelled():
        working.result()
