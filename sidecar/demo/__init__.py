"""What the sidecar does, shown on this machine: `sidecar demo`.

An authorization server that can revoke its tokens, an upstream that answers only to a valid one, and a real
sidecar before it, all on loopback. The script says what it does, checks that it happened, and shows the log
lines that tell of it. Tokens appear only as the fingerprints the sidecar's log names them by.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable

from sidecar.core.errors import SidecarError
from sidecar.demo.screen import Screen
from sidecar.demo.script import Unexpected, perform, watch
from sidecar.demo.stage import Start, build

__all__ = ["Start", "main", "play"]


def main(start: Start, loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> int:
    """Play the demo on stdout and return the exit code: 0, or 1 when something did not happen as it should.

    Where stdin is a terminal everything stays up until Ctrl-C. `start` starts a sidecar on the loop that
    `loop_factory` makes.
    """
    screen = Screen(sys.stdout, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        if sys.stdin is None or not sys.stdin.isatty():
            return runner.run(play(start, screen, None))
        interrupted = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            runner.get_loop().add_signal_handler(number, interrupted.set)
        return runner.run(play(start, screen, interrupted))


async def play(start: Start, screen: Screen, stay_until: asyncio.Event | None) -> int:
    """Play the demo, leave everything up until the event, if there is one, and return the exit code."""
    try:
        async with build(start) as stage:
            await perform(stage, screen)
            if stay_until is not None:
                await watch(stage, screen, stay_until)
    except (Unexpected, SidecarError) as error:
        screen.failed(str(error))
        return 1
    return 0
