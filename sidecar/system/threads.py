"""Blocking work beside the event loop.

Reading a file may never end if its file system hangs. So each piece of work has a thread of its own, for which neither
its caller (beyond a limit) nor the end of the process waits. Each name has few of them, and all names together have a
limit too, because clients may choose names: hanging threads cannot accumulate.
"""

import asyncio
import errno
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar
from weakref import WeakValueDictionary

READ_LIMIT = 5.0
"""Limit: time to read a file (seconds). Beyond: its content counts as unavailable."""
MOST_AT_ONCE = 4
"""Threads at a time for one name."""
MOST_IN_ALL = 64
"""Limit: files that are read at a time (number). Beyond: further reads wait, as long as one read may take."""

_Result = TypeVar("_Result")
_free: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()


async def beside(name: str, work: Callable[[], _Result], within: float = READ_LIMIT) -> _Result:
    """Run blocking work beside the event loop. Raises what it raises, and OSError after `within` seconds.

    The work of one `name`, such as a path, waits while that of earlier callers still occupies all its threads.
    """
    loop = asyncio.get_running_loop()
    of_name = _free.setdefault(f"{id(loop)} {name}", asyncio.Semaphore(MOST_AT_ONCE))
    of_all = _free.setdefault(f"{id(loop)}", asyncio.Semaphore(MOST_IN_ALL))
    taken: list[asyncio.Semaphore] = []
    done: asyncio.Future[_Result] = loop.create_future()

    def give_back() -> None:
        for free in taken:
            free.release()

    def finish(outcome: Callable[[], None]) -> None:
        give_back()
        if not done.done():
            outcome()

    def run() -> None:
        outcome: Callable[[], None]
        try:
            found = work()
            outcome = lambda: done.set_result(found)  # noqa: E731
        except Exception as error:  # noqa: BLE001  raised where the result is awaited
            caught = error
            outcome = lambda: done.set_exception(caught)  # noqa: E731
        with suppress(RuntimeError):  # the loop has been closed: no caller waits any longer
            loop.call_soon_threadsafe(finish, outcome)

    try:
        async with asyncio.timeout(within):
            try:
                for free in (of_name, of_all):
                    await free.acquire()
                    taken.append(free)
                threading.Thread(target=run, name=f"beside {name}", daemon=True).start()
            except BaseException as error:
                give_back()
                if isinstance(error, RuntimeError):  # the system has no thread left
                    raise OSError(errno.EAGAIN, "no thread could be started") from error
                raise
            return await done
    except TimeoutError:
        raise OSError(errno.ETIMEDOUT, f"no answer within {within:g} s") from None
