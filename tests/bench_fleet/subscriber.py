"""What hearing costs by itself: `python -m tests.bench_fleet.subscriber PORT CHANNEL` prints a line a message."""

import asyncio
import os
import sys
from datetime import UTC, datetime

import uvloop
from redis.asyncio import Redis

from sidecar.adapters.system import SystemClock


async def hear(port: int, channel: str) -> None:
    """Nothing but redis-py on the sidecar's event loop, clock and protocol: no pings, checks or log thread.

    The moment is taken before anything else is done, and told as the sidecar's log tells it.
    """
    clock = SystemClock()
    async with Redis(port=port, protocol=2, driver_info=None).pubsub() as pubsub:
        await pubsub.subscribe(channel)
        async for message in pubsub.listen():
            moment = datetime.fromtimestamp(clock.now(), UTC).isoformat(timespec="milliseconds")
            os.write(1, b'{"ts":"%s","event":"%s"}\n' % (moment.encode(), message["type"].encode()))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(hear(int(sys.argv[1]), sys.argv[2]))
