"""What hearing costs by itself: `python -m tests.bench_fleet.subscriber PORT CHANNEL` prints a line a message."""

import asyncio
import os
import sys

import uvloop
from redis.asyncio import Redis

from sidecar.system.clock import SystemClock
from sidecar.telemetry.sinks.log_writer import PAUSE


async def hear(port: int, channel: str) -> None:
    """Nothing but redis-py on the sidecar's event loop, clock and protocol: no pings, checks or log thread.

    The moment is taken before anything else is done, and printed as late as by the sidecar's log: a process that writes
    at once delays those that have not yet received it.
    """
    clock, loop = SystemClock(), asyncio.get_running_loop()
    async with Redis(port=port, protocol=2, driver_info=None).pubsub() as pubsub:
        await pubsub.subscribe(channel)
        async for message in pubsub.listen():
            line = b"%s %.6f\n" % (message["type"].encode(), clock.now())
            loop.call_later(PAUSE, os.write, 1, line)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(hear(int(sys.argv[1]), sys.argv[2]))
