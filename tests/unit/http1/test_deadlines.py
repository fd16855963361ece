"""One tick for all: never early, never much too late."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from sidecar.http1.deadlines import NEVER, TICK, Deadlines
from tests.support.clock import FakeClock, settle


class Patient:
    """Notes when its deadline passed."""

    def __init__(self, clock: FakeClock) -> None:
        self.deadline = NEVER
        self.passed: list[float] = []
        self._clock = clock

    def deadline_passed(self) -> None:
        self.deadline = NEVER
        self.passed.append(self._clock.now())


@given(st.floats(0, 2), st.floats(0, 5))
def test_a_deadline_passes_in_time(begins: float, patience: float) -> None:
    """Not before the patience is over, and at most two ticks later."""

    async def wait() -> None:
        clock = FakeClock(1000.0)
        deadlines = Deadlines(clock)
        ticking = asyncio.create_task(deadlines.run())
        patient = Patient(clock)
        deadlines.watch(patient)
        await clock.advance(begins)
        start = clock.now()
        patient.deadline = deadlines.next_tick + patience
        await clock.advance(patience + 3 * TICK)
        (passed,) = patient.passed
        assert patience - 1e-9 <= passed - start <= patience + 2 * TICK + 1e-9
        ticking.cancel()

    asyncio.run(wait())


async def test_a_deadline_passes_once_and_only_while_watched() -> None:
    """Without a new one there is no second call; after `forget` there is none at all."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    told, forgotten, never = Patient(clock), Patient(clock), Patient(clock)
    for patient in (told, forgotten, never):
        deadlines.watch(patient)
    told.deadline = forgotten.deadline = clock.now()
    deadlines.forget(forgotten)
    deadlines.forget(forgotten)
    deadlines.tick()
    deadlines.tick()
    assert [len(patient.passed) for patient in (told, forgotten, never)] == [1, 0, 0]


async def test_whoever_is_told_may_forget_others() -> None:
    """Closing a connection closes its partner too, in the same tick."""
    clock = FakeClock()
    deadlines = Deadlines(clock)

    class Leaver(Patient):
        def deadline_passed(self) -> None:
            super().deadline_passed()
            for one in everybody:
                deadlines.forget(one)

    everybody = [Leaver(clock), Leaver(clock)]
    for one in everybody:
        one.deadline = clock.now()
        deadlines.watch(one)
    deadlines.tick()
    deadlines.tick()
    await settle()
    assert all(len(one.passed) <= 1 for one in everybody)
