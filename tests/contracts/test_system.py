"""The clocks and the randomness the sidecar is given keep what the ports promise."""

import time

import pytest

from sidecar.core.ports import Clock, Randomness
from sidecar.system.clock import SystemClock, SystemRandomness
from tests.support.clock import FakeClock
from tests.support.randomness import FixedRandomness


@pytest.mark.parametrize("clock", [SystemClock(), FakeClock()], ids=["system", "fake"])
def test_a_clock_never_goes_back(clock: Clock) -> None:
    """Readings are epoch seconds in order."""
    readings = [clock.now() for _ in range(1000)]
    assert readings == sorted(readings)
    assert readings[0] > 1_700_000_000


def test_the_system_clock_starts_at_wall_time() -> None:
    """Its moments look like dates to people."""
    assert SystemClock().now() == pytest.approx(time.time(), abs=1)


def test_s3_the_system_clocks_date_is_the_hosts() -> None:
    """Read again each time."""
    clock = SystemClock()
    before = time.time()
    assert before <= clock.wall() <= time.time()


async def test_s3_the_fake_clocks_date_is_stepped_apart_from_its_moments() -> None:
    """Both go on together, from wherever a step has left them."""
    clock = FakeClock(1000.0)
    clock.step(-100.0)
    await clock.advance(5.0)
    assert (clock.now(), clock.wall()) == (1005.0, 905.0)


async def test_sleeping_takes_the_time_asked_for() -> None:
    """`sleep` returns no earlier than promised, on the clock's own scale."""
    clock = SystemClock()
    began = clock.now()
    await clock.sleep(0.01)
    assert clock.now() - began >= 0.009


@pytest.mark.parametrize("randomness", [SystemRandomness(), FixedRandomness()], ids=["system", "fake"])
def test_randomness_keeps_to_its_bounds_and_never_repeats(randomness: Randomness) -> None:
    """Bytes come in the length asked for and differ; jitter stays between its ends."""
    assert len({randomness.token_bytes(16) for _ in range(100)}) == 100
    assert all(len(randomness.token_bytes(n)) == n for n in (1, 12, 32))
    assert all(2.0 <= randomness.uniform(2.0, 3.0) <= 3.0 for _ in range(100))
