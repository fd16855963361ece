"""How long a failure is the answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache.cooldown import FORGOTTEN_AFTER, PROBE_LIFE, CoolDowns
from sidecar.core.backoff import MAX_BACKOFF, Setbacks, doubling
from sidecar.core.errors import TokenRefused, TokenUnavailable

OUT = TokenUnavailable("out", 0)


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (5, 16), (6, 30), (10_000, 30)])
def test_windows_double_up_to_their_most(failures: int, seconds: float) -> None:
    """Also after a night of failures."""
    assert doubling(failures, MAX_BACKOFF) == seconds


@given(st.lists(st.floats(0, 100), max_size=20), st.floats(1, 1.25))
def test_an_outage_is_the_answer_for_exactly_its_window(pauses: list[float], jitter: float) -> None:
    """However the failures are spread, what `retry_after` says is when asking is allowed again."""
    setbacks = Setbacks(10)
    now = 0.0
    for pause in pauses:
        now += pause
        error = setbacks.unavailable("k", OUT, now, jitter)
        assert setbacks.error("k", now + error.retry_after * 0.999) is not None
        assert setbacks.error("k", now + error.retry_after * 1.001) is None
        assert error.retry_after <= MAX_BACKOFF * jitter + 1e-6


def test_a_refusal_comes_back_as_what_it_was() -> None:
    """Reason and code; and the doubling starts again."""
    setbacks = Setbacks(10)
    setbacks.unavailable("k", OUT, 0, 1)
    setbacks.refused("k", TokenRefused("no such scope", "invalid_scope"), 1)
    error = setbacks.error("k", 5.9)
    assert isinstance(error, TokenRefused)
    assert (str(error), error.code) == ("no such scope", "invalid_scope")
    assert setbacks.error("k", 6) is None
    assert setbacks.unavailable("k", OUT, 7, 1).retry_after == 1


def test_setbacks_are_bounded() -> None:
    """The oldest makes room."""
    setbacks = Setbacks(2)
    for key in "abc":
        setbacks.unavailable(key, OUT, 0, 1)
    assert [setbacks.error(key, 0) is not None for key in "abc"] == [False, True, True]


class TestCoolDowns:
    """An upstream that refuses fresh tokens."""

    def test_a_probe_nobody_reports_on_passes_to_another(self) -> None:
        """Its client disconnected: the key does not stay closed."""
        table = CoolDowns(10)
        table.refused("k", "a", 0, 1)
        assert [table.cooling("k", 1), table.cooling("k", 1)] == [False, True]
        assert table.cooling("k", 1 + PROBE_LIFE - 0.1)
        assert not table.cooling("k", 1 + PROBE_LIFE)

    def test_a_straggler_of_a_counted_round_opens_nothing(self) -> None:
        """It was sent with the token already counted, and answered after the window."""
        table = CoolDowns(10)
        assert table.refused("k", "a", 0, 1) == 1
        assert table.refused("k", "a", 5, 1) == 0
        assert table.refused("k", "b", 5, 1) == 2

    def test_a_probe_that_gets_the_same_token_counts(self) -> None:
        """An authorization server that repeats itself does not keep the window at a second."""
        table = CoolDowns(10)
        table.refused("k", "a", 0, 1)
        table.cooling("k", 2)
        assert table.refused("k", "a", 2.5, 1.25) == 2.5

    def test_the_fleets_window_is_taken_over(self) -> None:
        """A longer one than ours holds, a shorter one does not cut ours; healing forgets it."""
        table = CoolDowns(10)
        table.learn("k", 0, 5)
        assert table.cooling("k", 4)
        table.learn("k", 0, 3)
        assert table.cooling("k", 4)
        assert (table.healed("k"), table.healed("k")) == (True, False)
        assert not table.cooling("k", 4)

    def test_a_probe_the_fleet_gave_us_counts_as_one(self) -> None:
        """Refused, it opens the next window here as it does there."""
        table = CoolDowns(10)
        table.refused("k", "a", 0, 1)
        table.learn("k", 1, 30, probing=True)
        assert table.refused("k", "b", 2, 1) == 2

    def test_o5_the_first_refusal_dates_the_windows(self) -> None:
        """Up to two minutes without trouble; while a probe is under way there is no window."""
        table = CoolDowns(10)
        assert table.since("k", 0) is None
        for now, token in ((5, "a"), (7, "b"), (20, "c")):
            table.refused("k", token, now, 1)
            assert table.since("k", now + 0.5) == 5
        assert not table.cooling("k", 30)
        assert table.since("k", 30) is None
        table.refused("k", "d", 31, 1)
        assert table.since("k", 32) == 5
        again = 39 + FORGOTTEN_AFTER
        table.refused("k", "e", again, 1)
        assert table.since("k", again) == again
        table.learn("fleets", 50, 9)
        table.learn("fleets", 55, 9)
        assert table.since("fleets", 60) == 50

    def test_windows_end_at_a_minute_and_are_forgotten_in_peace(self) -> None:
        """Two minutes without trouble, and the next is a new one."""
        table = CoolDowns(10)
        now = 0.0
        for round_ in range(10):
            seconds = table.refused("k", str(round_), now, 1)
            now += seconds
        assert seconds == 60
        assert not table.cooling("k", now + FORGOTTEN_AFTER)
        assert table.refused("k", "new", now + FORGOTTEN_AFTER, 1) == 1


def test_t11_the_servers_own_text_outlives_the_setback() -> None:
    """A caller that gets the remembered failure can still report its reason."""
    setbacks = Setbacks(9)
    setbacks.refused("k", TokenRefused("refused", "invalid_scope", description="no such scope"), 1)
    setbacks.unavailable("j", TokenUnavailable("out", 0, description="maintenance"), 1, jitter=1.0)
    found = [setbacks.error(key, 1.5) for key in ("k", "j")]
    assert [error.description for error in found if error is not None] == ["no such scope", "maintenance"]
    assert [str(error) for error in found] == ["refused", "out"]
