"""`python -m tests.support.beating FILE`: a sidecar whose event loop has a heartbeat, on one CPU.

SIGUSR2 logs the event `longest_stall`: the most CPU time, in milliseconds, that the whole process took between two
beats since the signal before. A thread that keeps the interpreter from the event loop counts like the loop itself,
what other processes take does not.
"""

import asyncio
import json
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import uvloop

from sidecar.app.serve import serve
from sidecar.cli.run import LONGEST_TURN
from sidecar.config.load import load

BEAT = 0.001


class Heart:
    def __init__(self) -> None:
        self._longest = 0.0

    async def beat(self) -> None:
        while True:
            before = time.process_time()
            await asyncio.sleep(BEAT)
            self._longest = max(self._longest, time.process_time() - before)

    def tell(self) -> None:
        line = {"event": "longest_stall", "milliseconds": self._longest * 1000}
        self._longest = 0.0
        os.write(1, json.dumps(line).encode() + b"\n")


async def main(path: str) -> int:
    heart = Heart()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, heart.tell)
    beating = loop.create_task(heart.beat())
    code = await serve(partial(load, path, os.environ), lambda: (Path(path),), lambda: False)
    beating.cancel()
    return code


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sys.setswitchinterval(LONGEST_TURN)
    sys.exit(uvloop.run(main(sys.argv[1])))
