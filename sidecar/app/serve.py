"""A sidecar as a process: its signals, its files, its end."""

import asyncio
import signal
from collections.abc import Callable
from functools import partial

from sidecar.app.process import keep_freed_memory, spare_the_collector
from sidecar.app.reload import Sources, contents, watch
from sidecar.app.sidecar import Sidecar
from sidecar.app.turns import Pauses, without_pauses
from sidecar.config.settings import Config


async def serve(
    load: Callable[[Callable[[], None]], Config], sources: Sources, hung_up: Callable[[], bool]
) -> int:
    """Run a sidecar until SIGTERM or SIGINT; reload on SIGHUP and when the content of a source changes.

    `load` calls its argument every millisecond or so, and pauses there while a sidecar runs beside it. `hung_up`
    returns whether there was a SIGHUP before this function took over the signals: then it reloads after the start. A
    second SIGTERM or SIGINT ends the wait for what is in flight. Returns the exit code. Raises ConfigError or
    ListenError when it cannot start.
    """
    seen = contents(sources())
    sidecar = Sidecar(load(without_pauses))
    loop = asyncio.get_running_loop()
    asked_to_stop = asyncio.Event()
    asked_to_reload = asyncio.Event()

    def asked() -> None:
        sidecar.hurry() if asked_to_stop.is_set() else asked_to_stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    loop.add_signal_handler(signal.SIGHUP, asked_to_reload.set)
    if hung_up():
        asked_to_reload.set()
    await sidecar.start()
    keep_freed_memory()
    spare_the_collector()
    reload = partial(sidecar.try_reload, lambda: load(Pauses()))
    watching = loop.create_task(watch(sources, asked_to_reload, seen, reload, sidecar.journal))
    await asked_to_stop.wait()
    watching.cancel()
    await sidecar.stop()
    return 0
