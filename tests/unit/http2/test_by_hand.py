"""The story of a stream: it runs within the callback that brings its event, and is a task only where it must."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sidecar.http2.by_hand import ByHand

Body = Callable[["Told"], Awaitable[None]]


class Told:
    """A hand, and what its story has noted."""

    def __init__(self) -> None:
        self.hand = ByHand()
        self.notes: list[str] = []
        self.go = asyncio.Event()
        self.broken: list[Exception] = []
        self._test = asyncio.current_task()

    def note(self, what: str) -> None:
        """Note it, and whether the story is a task."""
        self.notes.append(what if asyncio.current_task() is self._test else f"{what} in a task")

    async def work(self) -> str:
        """Wait for something that is no event of the story's."""
        await self.go.wait()
        return "worked"

    def begin(self, body: Body) -> None:
        self.hand.run(self._story(body), self.broken.append)

    async def _story(self, body: Body) -> bool:
        try:
            await body(self)
            self.note("returns")
        except asyncio.CancelledError:
            self.note("cancelled")
            raise
        finally:
            self.note("ends")
        return True


async def no_await(told: Told) -> None:
    told.note("runs")


async def two_events(told: Told) -> None:
    for number in (1, 2):
        await told.hand.event()
        told.note(f"event {number}")


async def event_work_event(told: Told) -> None:
    await told.hand.event()
    told.note("event 1")
    told.note(await told.hand.waiting(told.work()))
    await told.hand.event()
    told.note("event 2")


async def work_only(told: Told) -> None:
    told.note(await told.hand.waiting(told.work()))


async def turns() -> None:
    """Let all that is ready run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_story_without_awaits_runs_at_once() -> None:
    """Within `run`."""
    told = Told()
    told.begin(no_await)
    assert told.notes == ["runs", "returns", "ends"]


async def test_an_event_resumes_the_story_within_its_callback() -> None:
    """No turn of the event loop lies between."""
    told = Told()
    told.begin(two_events)
    assert told.notes == []
    told.hand.wake()
    assert told.notes == ["event 1"]
    told.hand.wake()
    assert told.notes == ["event 1", "event 2", "returns", "ends"]
    told.hand.wake()
    told.hand.cancel()
    assert len(told.notes) == 4


async def test_a_story_becomes_a_task_for_work_and_stays_one() -> None:
    """An event after that resumes it in the next turn."""
    told = Told()
    told.begin(event_work_event)
    told.hand.wake()
    assert told.notes == ["event 1"]
    told.hand.wake()  # it does not wait for an event
    await turns()
    told.go.set()
    await turns()
    assert told.notes == ["event 1", "worked in a task"]
    told.hand.wake()
    told.hand.wake()
    assert len(told.notes) == 2
    await turns()
    assert told.notes[2:] == ["event 2 in a task", "returns in a task", "ends in a task"]
    told.hand.wake()
    told.hand.cancel()
    await turns()


async def test_a_story_is_cancelled_at_an_event() -> None:
    """At once."""
    told = Told()
    told.begin(two_events)
    told.hand.wake()
    told.hand.cancel()
    assert told.notes == ["event 1", "cancelled", "ends"]
    told.hand.cancel()
    told.hand.wake()
    assert len(told.notes) == 3


async def test_a_story_is_cancelled_by_what_it_does_itself() -> None:
    """At its next await, as a task is."""
    told = Told()

    async def body(told: Told) -> None:
        told.hand.cancel()
        told.note("goes on")
        await told.hand.event()

    told.begin(body)
    assert told.notes == ["goes on", "cancelled", "ends"]


@pytest.mark.parametrize("begun", [False, True])
async def test_a_task_is_cancelled(*, begun: bool) -> None:
    """Before its first turn and after it; the work is given up."""
    told = Told()
    told.begin(work_only)
    if begun:
        await turns()
    told.hand.cancel()
    await turns()
    assert told.notes == ["cancelled in a task", "ends in a task"]


async def test_a_task_is_cancelled_at_an_event() -> None:
    """In its next turn."""
    told = Told()
    told.begin(event_work_event)
    told.hand.wake()
    told.go.set()
    await turns()
    told.hand.cancel()
    await turns()
    assert told.notes[2:] == ["cancelled in a task", "ends in a task"]


async def despite(told: Told) -> None:
    """Go on after a cancellation."""
    try:
        await told.hand.event()
    except asyncio.CancelledError:
        told.note("tidies up")
        await told.hand.event()
        told.note("tidied")


async def despite_work(told: Told) -> None:
    """Go on after a cancellation, and do work then."""
    try:
        await told.hand.event()
    except asyncio.CancelledError:
        told.note("tidies up")
        await told.hand.waiting(told.work())
        told.note("tidied")


async def despite_as_task(told: Told) -> None:
    """Return after a cancellation that came before the task had begun."""
    try:
        await told.hand.waiting(told.work())
    except asyncio.CancelledError:
        told.note("tidies up")


async def test_a_story_may_wait_once_more_when_it_is_cancelled() -> None:
    """For an event."""
    told = Told()
    told.begin(despite)
    told.hand.cancel()
    assert told.notes == ["tidies up"]
    told.hand.wake()
    assert told.notes == ["tidies up", "tidied", "returns", "ends"]


async def test_a_story_may_do_work_when_it_is_cancelled() -> None:
    """As a task."""
    told = Told()
    told.begin(despite_work)
    told.hand.cancel()
    told.go.set()
    await turns()
    assert told.notes == ["tidies up", "tidied in a task", "returns in a task", "ends in a task"]


@pytest.mark.parametrize("begun", [False, True])
async def test_a_task_may_return_when_it_is_cancelled(*, begun: bool) -> None:
    """Without an error."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    told = Told()
    told.begin(despite_as_task)
    if begun:
        await turns()
    told.hand.cancel()
    await turns()
    assert told.notes == ["tidies up in a task", "returns in a task", "ends in a task"]
    assert complaints == []


async def test_the_story_is_over_in_whatever_way_it_ends() -> None:
    """A coroutine that was never started for it is closed."""
    told = Told()

    async def body(told: Told) -> None:
        told.hand.cancel()
        await told.hand.waiting(told.work())

    told.begin(body)
    assert told.notes[-2:] == ["cancelled", "ends"]


async def fails_at_once(told: Told) -> None:
    raise KeyError("at once")


async def fails_at_an_event(told: Told) -> None:
    await told.hand.event()
    raise KeyError("at an event")


async def fails_as_a_task(told: Told) -> None:
    await told.hand.event()
    await told.hand.waiting(told.work())
    raise KeyError("as a task")


async def fails_when_cancelled(told: Told) -> None:
    try:
        await told.hand.event()
    except asyncio.CancelledError:
        raise KeyError("when cancelled") from None


@pytest.mark.parametrize("body", [fails_at_once, fails_at_an_event, fails_as_a_task, fails_when_cancelled])
async def test_what_a_story_raises_does_not_leave_its_hand(body: Body) -> None:
    """The callback that resumed it goes on: it belongs to a connection that other stories share."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    told = Told()
    told.begin(body)
    told.go.set()
    if body is fails_when_cancelled:
        told.hand.cancel()
    else:
        told.hand.wake()
    await turns()
    assert [type(error) for error in told.broken] == [KeyError]
    assert complaints == []
    told.hand.wake()
    told.hand.cancel()
    assert len(told.broken) == 1
