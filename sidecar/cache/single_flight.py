"""One load that several callers share."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from sidecar.core.errors import TokenUnavailable
from sidecar.core.ports import Clock

T = TypeVar("T")


@dataclass(eq=False, slots=True)
class _Flight(Generic[T]):
    began: float
    task: asyncio.Task[T] | None = None


class SingleFlight(Generic[T]):
    """At most `limit` flights, one current for each key.

    A flight has no owner: it outlives the caller that began it. Its failure goes to every waiting caller; without one,
    the event loop does not report it.
    """

    def __init__(self, clock: Clock, *, limit: int) -> None:
        self._clock = clock
        self._limit = limit
        self._current: dict[str, _Flight[T]] = {}
        self._tasks: set[asyncio.Task[T]] = set()

    def find(self, key: str, *, newer_than: float) -> asyncio.Task[T] | None:
        """Return the flight for `key` that began after `newer_than`, if one is under way."""
        flight = self._current.get(key)
        return flight.task if flight is not None and flight.began > newer_than else None

    def start(self, key: str, work: Callable[[], Coroutine[None, None, T]]) -> asyncio.Task[T]:
        """Begin the flight for `key`; an older one continues for its callers, and no further caller joins it.

        Raises TokenUnavailable when too many flights are under way.
        """
        if len(self._tasks) >= self._limit:
            raise TokenUnavailable(f"{self._limit} loads of tokens are under way already", 1.0)
        flight = _Flight[T](self._clock.now())
        flight.task = task = asyncio.create_task(self._fly(key, flight, work))
        self._current[key] = flight
        self._tasks.add(task)
        task.add_done_callback(self._landed)
        return task

    async def close(self) -> None:
        """Cancel every flight and wait until all have ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _fly(self, key: str, flight: _Flight[T], work: Callable[[], Coroutine[None, None, T]]) -> T:
        try:
            return await work()
        finally:
            if self._current.get(key) is flight:  # before the next caller, so not in a callback
                del self._current[key]

    def _landed(self, task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        retrieve(task)


async def wait(clock: Clock, task: asyncio.Task[T], seconds: float) -> T:
    """Return what `task` returns, waiting at most `seconds` on `clock`; the task goes on either way.

    Raises TokenUnavailable when the time is up or the task was cancelled, else what the task raises.
    """
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait({task, alarm}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        alarm.cancel()
    if not task.done():
        raise TokenUnavailable(f"no token within {seconds:g} s", 1.0)
    if task.cancelled():  # not ours to pass on: it would look as if the caller had been cancelled
        raise TokenUnavailable("the load of the token was given up", 1.0)
    return task.result()


async def within(clock: Clock, work: Coroutine[None, None, T], seconds: float) -> T:
    """Do the work in at most `seconds` on `clock`, then cancel it. Raises as `wait` does."""
    task = asyncio.create_task(work)
    task.add_done_callback(retrieve)
    try:
        return await wait(clock, task, seconds)
    finally:
        task.cancel()


async def side_by_side(works: Iterable[Coroutine[None, None, None]]) -> None:
    """Do all of it at the same time, begun one by one."""
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)
            await asyncio.sleep(0)  # there may be thousands


def retrieve(task: asyncio.Task[T]) -> None:
    """Retrieve the task's exception, so that the loop does not report it as never retrieved."""
    if not task.cancelled():
        task.exception()
