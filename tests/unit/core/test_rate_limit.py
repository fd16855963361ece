"""The ration: so much at once, then so much a second."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.rate_limit import RateLimit


def test_so_much_at_once_then_so_much_a_second() -> None:
    """And never more saved up than at first."""
    ration = RateLimit(burst=3, rate=2)
    assert [ration.take(100.0) for _ in range(5)] == [True, True, True, False, False]
    assert [ration.take(101.0) for _ in range(3)] == [True, True, False]
    assert [ration.take(1e9) for _ in range(4)] == [True, True, True, False]


def test_time_that_stands_still_gives_nothing_back() -> None:
    """Nor does a moment that was before."""
    ration = RateLimit(burst=1, rate=1)
    assert ration.take(100.0)
    assert not ration.take(50.0)
    assert not ration.take(100.5)
    assert ration.take(101.0)


def test_what_is_given_back_can_be_taken_again() -> None:
    """But there is never more than at first."""
    ration = RateLimit(burst=1, rate=0)
    ration.give_back()
    assert [ration.take(0.0), ration.take(0.0)] == [True, False]
    ration.give_back()
    assert [ration.take(0.0), ration.take(0.0)] == [True, False]


@given(st.lists(st.floats(0, 5), max_size=200))
def test_nobody_gets_more_than_the_ration(pauses: list[float]) -> None:
    """However the questions come."""
    ration, now, taken = RateLimit(burst=5, rate=2), 0.0, 0
    for pause in pauses:
        now += pause
        taken += ration.take(now)
    assert taken <= 5 + 2 * now + 1e-6
