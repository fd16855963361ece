"""Windows and allowances."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http2.frames import MAX_WINDOW
from sidecar.http2.limits import Allowance, Incoming, ResetStreams, exceeds


@pytest.mark.parametrize("most", [1, 2, 10, 1000])
def test_rule_3_an_allowance_is_spent(most: int) -> None:
    """So many at once, and none more at that time."""
    allowance = Allowance(most)
    assert [allowance.spend(5.0) for _ in range(most + 3)] == [True] * most + [False] * 3


def test_rule_3_an_allowance_grows_again() -> None:
    """By a tenth each second, up to where it began; what was in excess counts too."""
    allowance = Allowance(100)
    assert all(allowance.spend(1.0) for _ in range(100))
    assert not allowance.spend(1.0)
    assert [allowance.spend(1.5) for _ in range(5)] == [True] * 4 + [False]
    assert [allowance.spend(2.5) for _ in range(10)] == [True] * 9 + [False]
    assert [allowance.spend(1000.0) for _ in range(101)] == [True] * 100 + [False]


def test_rule_3_progress_refills_an_allowance() -> None:
    """One for each, up to where it began."""
    allowance = Allowance(10)
    assert all(allowance.spend(1.0) for _ in range(10))
    allowance.earned += 3
    assert [allowance.spend(1.0) for _ in range(4)] == [True] * 3 + [False]
    allowance.earned += 1000
    assert [allowance.spend(1.0) for _ in range(11)] == [True] * 10 + [False]


def test_rule_3_time_that_stands_still_or_steps_back_gives_nothing() -> None:
    """The clock of deadlines goes in ticks."""
    allowance = Allowance(2)
    assert [allowance.spend(at) for at in (9.0, 9.0, 9.0, 3.0, 9.0)] == [True, True, False, False, False]


@pytest.mark.parametrize(
    ("credit", "more", "too_much"),
    [
        (0, MAX_WINDOW, False),
        (1, MAX_WINDOW, True),
        (MAX_WINDOW, 1, True),
        (-1, MAX_WINDOW, False),
        (-5, 5, False),
    ],
)
def test_rule_7_credit_has_a_bound(credit: int, more: int, too_much: bool) -> None:
    """2^31-1; negative credit counts against it."""
    assert exceeds(credit, more) is too_much


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 65_535])
def test_rule_8_a_window_is_filled_to_its_last_byte(size: int) -> None:
    """One more exceeds it."""
    window = Incoming(size, size)
    assert window.arrive(size)
    assert window.arrive(0)
    assert not window.arrive(1)


def test_rule_9_credit_is_returned_at_half_a_window() -> None:
    """And all of it then."""
    window = Incoming(100, 100)
    assert window.arrive(100)
    assert [window.taken(20), window.taken(29), window.taken(1), window.taken(49), window.taken(1)] == [
        0,
        0,
        50,
        0,
        50,
    ]
    assert window.left == 100


def test_rule_9_a_window_of_one_byte_returns_each() -> None:
    """Else nothing would move any more."""
    window = Incoming(1, 1)
    for _ in range(3):
        assert window.arrive(1)
        assert window.taken(1) == 1


@given(st.integers(1, 500), st.lists(st.integers(0, 300), max_size=40))
def test_no_byte_of_credit_is_lost(size: int, steps: list[int]) -> None:
    """What the sender has, what was not taken and what was not returned are the window, always."""
    window = Incoming(size, size)
    sender, untaken, unreturned = size, 0, 0
    for step in steps:
        sent = min(step, sender)
        sender -= sent
        untaken += sent
        assert window.arrive(sent)
        took = untaken * step % (untaken + 1)
        untaken -= took
        returned = window.taken(took)
        unreturned += took - returned
        sender += returned
        assert (window.left, sender + untaken + unreturned) == (sender, size)
        assert unreturned < max(1, size // 2)


def odd(count: int) -> list[int]:
    """Return the numbers of a client's first streams."""
    return list(range(1, 2 * count, 2))


@pytest.mark.parametrize("count", [0, 1, 2, 999, 1000, 1001, 5000])
def test_a_reset_stream_stays_known(count: int) -> None:
    """However many follow it; a later stream is not taken for one."""
    resets = ResetStreams()
    for number in odd(count):
        resets.add(number)
    assert all(map(resets.may_have, odd(count)))
    assert not any(map(resets.may_have, [2 * count + 1, 2 * count + 3, 2**31 - 1]))


def test_a_stream_that_was_not_reset_is_not_taken_for_one() -> None:
    """As long as all of them are kept one by one, in whatever order they were reset."""
    resets = ResetStreams()
    for number in (9, 3, 2001, 7):
        resets.add(number)
    assert [number for number in odd(1010) if resets.may_have(number)] == [3, 7, 9, 2001]


def test_a_stream_below_one_that_is_no_longer_kept_may_have_been_reset() -> None:
    """It is no fault of the peer's then."""
    resets = ResetStreams()
    for number in [101, *range(1001, 3001, 2)]:
        resets.add(number)
    assert resets.may_have(1)
    assert resets.may_have(101)
    assert not resets.may_have(103)
    assert not resets.may_have(999)
