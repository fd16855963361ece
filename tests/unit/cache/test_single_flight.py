"""SingleFlight: one load, many callers."""

import asyncio
import gc
from typing import Any

import pytest

from sidecar.cache.single_flight import SingleFlight, wait, within
from sidecar.core.errors import TokenUnavailable
from tests.support.clock import FakeClock, settle

NEVER = float("-inf")


class Load:
    """Work that ends when `done` is set."""

    def __init__(self) -> None:
        self.runs = 0
        self.done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.runs += 1
        return await asyncio.shield(self.done)


async def test_a_flight_is_found_until_it_ends_and_then_never() -> None:
    """A later caller starts another one."""
    flights: SingleFlight[str] = SingleFlight(FakeClock(), limit=10)
    load = Load()
    task = flights.start("k", load)
    assert flights.find("k", newer_than=NEVER) is task
    assert flights.find("other", newer_than=NEVER) is None
    load.done.set_result("x")
    assert await task == "x"
    assert flights.find("k", newer_than=NEVER) is None
    assert load.runs == 1


async def test_a_flight_counts_only_for_those_it_began_after() -> None:
    """At the very moment is not after."""
    clock = FakeClock()
    flights: SingleFlight[str] = SingleFlight(clock, limit=10)
    task = flights.start("k", Load())
    assert flights.find("k", newer_than=clock.now() - 0.001) is task
    assert flights.find("k", newer_than=clock.now()) is None
    await flights.close()


async def test_an_overtaken_flight_ends_for_its_own_and_leaves_the_newer_alone() -> None:
    """Its end does not take the newer one off the table."""
    flights: SingleFlight[str] = SingleFlight(FakeClock(), limit=10)
    old, new = Load(), Load()
    first, second = flights.start("k", old), flights.start("k", new)
    old.done.set_result("old")
    assert await first == "old"
    assert flights.find("k", newer_than=NEVER) is second
    await flights.close()


async def test_a_failure_nobody_waits_for_is_no_complaint_of_the_loop() -> None:
    """Renewals behind have no waiter."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    flights: SingleFlight[str] = SingleFlight(FakeClock(), limit=10)
    load = Load()
    load.done.set_exception(ValueError("no"))
    flights.start("k", load)
    await settle()
    del load
    gc.collect()
    assert complaints == []


async def test_too_many_flights_are_turned_away() -> None:
    """Overtaken ones count too: they hold connections."""
    flights: SingleFlight[str] = SingleFlight(FakeClock(), limit=2)
    flights.start("k", Load())
    flights.start("k", Load())
    with pytest.raises(TokenUnavailable, match="2 loads"):
        flights.start("l", Load())
    await flights.close()
    await settle()
    flights.start("l", Load())
    await flights.close()


async def test_waiting_ends_with_the_limit_and_the_task_goes_on() -> None:
    """The waiting caller gives up, the load does not."""
    clock = FakeClock()
    load = Load()
    task = asyncio.create_task(load())
    waiting = asyncio.create_task(wait(clock, task, 15))
    await clock.advance(15)
    with pytest.raises(TokenUnavailable, match="15 s"):
        await waiting
    load.done.set_result("x")
    assert await task == "x"


async def test_a_cancelled_load_does_not_look_like_a_cancelled_waiter() -> None:
    """At the end of the process callers get an error; they are not cancelled."""
    flights: SingleFlight[str] = SingleFlight(FakeClock(), limit=10)
    waiting = asyncio.create_task(wait(FakeClock(), flights.start("k", Load()), 15))
    await settle()
    await flights.close()
    with pytest.raises(TokenUnavailable):
        await waiting


async def test_work_over_its_limit_is_cancelled() -> None:
    """`within` owns what it starts."""
    clock = FakeClock()
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    limited = asyncio.create_task(within(clock, work(), 10))
    await clock.advance(10)
    with pytest.raises(TokenUnavailable, match="10 s"):
        await limited
    await settle()
    assert cancelled.is_set()
