"""The story of one stream, run by hand: callbacks resume it, and it is no task unless it has to be.

| state   | meaning                                                | resumed by                       |
| ------- | ------------------------------------------------------ | -------------------------------- |
| running | between two awaits                                     | -                                |
| waiting | for the next event of its exchange (`event`)           | `wake`                           |
| a task  | it waits for something of asyncio's, and does from now | the event loop; `wake` a future  |
| over    | it has returned                                        | -                                |

A task for each stream would cost more than the rest of a small call. So the story runs within the callback that brought
its event, as long as it waits for events of its own exchange only. These are the answer's head and its end. Before it
waits for anything else (a token, a connection, a time-out) it becomes a task, at `become_task`, and stays one.

What it raises ends this story only: the callback belongs to a connection that other stories share.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Final, TypeVar

_Result = TypeVar("_Result")


class _Pause:
    """What the story awaits while it is no task."""

    def __await__(self) -> Generator["_Pause", None, None]:
        yield self


_EVENT: Final = _Pause()
_TASK: Final = _Pause()


class _Rest:
    """The rest of a coroutine that has begun. `await` refuses the coroutine itself."""

    def __init__(self, coroutine: Coroutine[object, None, bool], *, cancelled: bool) -> None:
        self._coroutine = coroutine
        self._cancelled = cancelled

    def __await__(self) -> Generator[object, None, bool]:
        rest = self._coroutine.__await__()
        return _after_cancellation(rest) if self._cancelled else rest


def _after_cancellation(rest: Generator[object, None, bool]) -> Generator[object, None, bool]:
    try:
        awaited = rest.throw(asyncio.CancelledError())
    except StopIteration as end:
        return bool(end.value)
    yield awaited
    return (yield from rest)


class ByHand:
    """See the head of this module."""

    __slots__ = (
        "_begun",
        "_broken",
        "_cancelled",
        "_over",
        "_story",
        "_task",
        "_waiter",
        "_waiting",
    )

    def __init__(self) -> None:
        self._story: Coroutine[object, None, bool] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._waiting = False
        self._begun = False
        """Whether the task has begun to run."""
        self._cancelled = False
        """Whether a CancelledError is due at the next await."""
        self._over = False
        self._broken: Callable[[Exception], None] | None = None

    def run(self, story: Coroutine[object, None, bool], broken: Callable[[Exception], None]) -> None:
        """Run the story to its first await. Call `broken` with an exception that it raises."""
        self._story, self._broken = story, broken
        self._resume()

    def _resume(self, *, cancel: bool = False) -> None:
        story = self._story
        assert story is not None
        try:
            pause = story.throw(asyncio.CancelledError()) if cancel else story.send(None)
            while self._cancelled:
                self._cancelled = False
                pause = story.throw(asyncio.CancelledError())
        except (StopIteration, asyncio.CancelledError):
            self._end()
            return
        except Exception as error:  # noqa: BLE001  a bug in one story must not stop the others
            self._break(error)
            return
        if pause is _TASK:
            self._task = asyncio.get_running_loop().create_task(self._run_rest(story))
        else:
            assert pause is _EVENT, "the story awaits something without Exchange.waiting"
            self._waiting = True

    async def _run_rest(self, story: Coroutine[object, None, bool]) -> None:
        self._begun = True
        try:
            await _Rest(story, cancelled=self._cancelled)
        except Exception as error:  # noqa: BLE001  as above
            self._break(error)
        finally:
            self._end()

    def _break(self, error: Exception) -> None:
        broken = self._broken
        self._end()
        if broken is not None:
            broken(error)

    def _end(self) -> None:
        self._over = True
        self._story = self._task = self._broken = None

    def wake(self) -> None:
        """Resume the story if it waits for an event."""
        if self._waiting:
            self._waiting = False
            self._resume()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def cancel(self) -> None:
        """End the story with a CancelledError."""
        if self._over:
            return
        if self._waiting:
            self._waiting = False
            self._resume(cancel=True)
        elif self._begun and self._task is not None:
            self._task.cancel()
        else:
            self._cancelled = True

    # Called by the story

    async def event(self) -> None:
        """Wait until `wake` is called."""
        if self._task is None:
            await _EVENT
            return
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    async def become_task(self) -> None:
        """Be a task from here on."""
        if self._task is None:
            await _TASK

    async def waiting(self, work: Coroutine[object, None, _Result]) -> _Result:
        """Do work that may wait for anything, as a task."""
        try:
            await self.become_task()
        except BaseException:
            work.close()
            raise
        return await work
