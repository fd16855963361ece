"""The rules of a fleet: generations, clocks that differ, when to stop using a store, the content of a value."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.backoff import Setback
from sidecar.core.secret import Secret
from sidecar.fleet.breaker import LIMIT, SETTLING, Breaker
from sidecar.fleet.clock_offset import ClockOffset, better, measure
from sidecar.fleet.generations import following
from sidecar.fleet.outage import Outage, Side
from sidecar.fleet.stored_value import read_setback, read_token, write_setback, write_token
from sidecar.oauth.token import bearer
from sidecar.telemetry.fleet_events import StoreDown, StoreUp
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal

MOMENTS = st.floats(1.6e9, 2.6e9)
ERRORS = st.floats(-0.1, 0.1)
EXACT = ClockOffset(0.0, 0.0, 0.0)


class TestGenerations:
    """What a bust moves a key to."""

    @given(st.integers(0, 2**52), MOMENTS)
    def test_they_only_move_on(self, known: int, now: float) -> None:
        """Whatever the clock says; and past what any pod lost, for the time is in it."""
        moved = following(known, now)
        assert moved > known
        assert moved >= int(now * 1000)

    def test_two_in_a_millisecond_differ(self) -> None:
        """The second counts on from the first."""
        first = following(0, 1_800_000_000.0)
        assert following(first, 1_800_000_000.0) == first + 1


class TestOutage:
    """What the log has of an outage."""

    async def test_it_lasts_from_the_first_loss_to_the_last_return(self) -> None:
        """Whichever side noticed first, and whichever comes back first."""
        clock, journal = FakeClock(), RecordingJournal()
        outage = Outage(clock, journal)
        outage.lost("bus", "no answer in time")
        outage.lost("store", "Connection refused")
        await clock.advance(3.0)
        outage.back("bus")
        assert journal.events == [StoreDown("no answer in time", "busts of other pods")]
        await clock.advance(2.0)
        outage.back("store")
        assert journal.events == [
            StoreDown("no answer in time", "busts of other pods"),
            StoreUp(5.0, "busts of other pods"),
        ]

    @given(st.lists(st.tuples(st.sampled_from(["lost", "back"]), st.sampled_from(["store", "bus"]))))
    def test_one_line_each_way(self, notes: Sequence[tuple[str, Side]]) -> None:
        """However often which side is noted: the lines take turns, and the last is true."""
        journal = RecordingJournal()
        outage = Outage(FakeClock(), journal)
        lost: set[str] = set()
        for what, side in notes:
            if what == "lost":
                outage.lost(side, "Connection refused")
                lost.add(side)
            else:
                outage.back(side)
                lost.discard(side)
        names = [event.name for event in journal.events]
        assert names == (["store_down", "store_up"] * len(names))[: len(names)]
        assert bool(lost) == (len(names) % 2 == 1)


class TestBreaker:
    """The table at the head of the module."""

    def test_the_third_failure_in_a_row_opens_it_once(self) -> None:
        """Those that come in later, from questions asked before, are no news."""
        breaker = Breaker()
        assert [breaker.failed(0.0) for _ in range(LIMIT + 2)] == [False] * (LIMIT - 1) + [True, False, False]
        assert breaker.open

    def test_an_answer_in_between_starts_the_count_anew(self) -> None:
        """A lost packet now and then is no outage."""
        breaker = Breaker()
        for _ in range(10):
            assert not any(breaker.failed(0.0) for _ in range(LIMIT - 1))
            breaker.succeeded()
        assert not breaker.open

    def test_only_a_probe_closes_it(self) -> None:
        """A straggler's answer does not; and afterwards it counts from nothing."""
        breaker = Breaker()
        for _ in range(LIMIT):
            breaker.failed(0.0)
        breaker.succeeded()
        assert breaker.open
        breaker.close(0.0)
        assert not breaker.open
        assert not breaker.failed(0.0)

    def test_i7_it_has_settled_some_seconds_after_the_last_failure_or_outage(self) -> None:
        """A single question without an answer is enough for pods to differ."""
        breaker = Breaker()
        assert breaker.settled(0.0)
        breaker.failed(100.0)
        breaker.succeeded()
        assert (breaker.settled(100.0), breaker.settled(99.9 + SETTLING)) == (False, False)
        assert breaker.settled(100.0 + SETTLING)
        for _ in range(LIMIT):
            breaker.failed(200.0)
        assert not breaker.settled(300.0)
        breaker.close(400.0)
        assert (breaker.settled(400.0), breaker.settled(400.0 + SETTLING)) == (False, True)


class TestOffset:
    """How far the server's clock is from ours."""

    @given(st.floats(-1e6, 1e6), st.floats(0, 1), st.floats(0, 1), MOMENTS)
    def test_what_is_measured_holds_within_its_uncertainty(
        self, truth: float, there: float, back: float, sent: float
    ) -> None:
        """However lopsided the way there and back."""
        offset = measure(sent, sent + there + back, sent + there + truth)
        assert abs(offset.seconds - truth) <= offset.uncertainty + 1e-6

    @given(st.floats(-1e6, 1e6), st.floats(0, 1), st.floats(-1, 1), MOMENTS)
    def test_no_moment_is_taken_for_later_than_it_was(
        self, truth: float, uncertainty: float, error: float, ours: float
    ) -> None:
        """There, and back at another pod with another error."""
        here = ClockOffset(truth + error * uncertainty, uncertainty, ours)
        assert here.earliest_there(ours) <= ours + truth + 1e-6
        assert here.latest_there(ours) >= ours + truth - 1e-6
        assert here.earliest_here(ours + truth) <= ours + 1e-6
        assert here.latest_here(ours + truth) >= ours - 1e-6

    def test_the_surer_measurement_counts_until_it_has_drifted(self) -> None:
        """A slow answer does not make us forget a quick one, but hours do."""
        quick, slow = measure(0, 0.001, 5), measure(10, 10.5, 15.3)
        assert better(None, slow) is slow
        kept = better(quick, slow)
        assert kept.seconds == quick.seconds
        assert kept.uncertainty == pytest.approx(0.0015, abs=1e-4)
        later = measure(20_000, 20_000.5, 20_005.3)
        assert better(kept, later) is later

    def test_a_clock_that_was_set_is_followed_at_once(self) -> None:
        """Both cannot be right, and the new one is."""
        assert better(measure(0, 0.001, 5), measure(1, 1.2, 9)).seconds == pytest.approx(7.9)


class TestEntries:
    """What a stored value says."""

    @given(MOMENTS, st.floats(1, 86_400), st.floats(0, 60), ERRORS, ERRORS)
    def test_a_token_comes_back_never_newer_nor_longer_lived(
        self, began: float, life: float, leeway: float, written: float, read: float
    ) -> None:
        """However wrong the two pods are about the server's clock, within what they know of it."""
        labels = frozenset({("tenant", "acme"), ("team", "a:b")})
        token = bearer(Secret("t"), fetch_began=began, life=life, leeway=leeway, labels=labels)
        writer, reader = (ClockOffset(100.0 + error, 0.1, began) for error in (written, read))
        found = read_token(write_token(token, writer), "f1", 7, reader)
        assert found is not None
        assert (found.secret, found.fingerprint, found.generation) == (token.secret, "f1", 7)
        assert (found.labels, found.source, found.authorization) == (labels, "store", token.authorization)
        for there, here in (
            (found.fetch_began, token.fetch_began),
            (found.fresh_until, token.fresh_until),
            (found.expires_at, token.expires_at),
        ):
            assert here - 0.4 - 1e-5 <= there <= here + 1e-5

    @given(MOMENTS, st.integers(0, 50), st.text(max_size=2000), st.none() | st.text(max_size=20))
    def test_a_setback_comes_back(self, until: float, failures: int, reason: str, code: str | None) -> None:
        """Its reason cut to what is fit for a log."""
        whose = {"of_caller": code is not None, "of_secret": failures == 0}
        setback = Setback(until, failures, reason, code, "AADSTS7000215", "check it", **whose)
        found = read_setback(write_setback(setback, EXACT), EXACT)
        assert found == replace(setback, reason=reason[:1000])

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff",
            b"[]",
            b"{}",
            b"[" * 100_000,
            b'{"token":"a","fetch_began":1,"fresh_until":2}',
            b'{"token":"a\\r\\nX: y","fetch_began":1,"fresh_until":2,"expires_at":3,"labels":[]}',
            b'{"token":"\xc3\xbc","fetch_began":1,"fresh_until":2,"expires_at":3,"labels":[]}',
            b'{"token":"a","fetch_began":NaN,"fresh_until":2,"expires_at":3,"labels":[]}',
            b'{"token":"a","fetch_began":true,"fresh_until":2,"expires_at":3,"labels":[]}',
            b'{"token":"a","fetch_began":1,"fresh_until":2,"expires_at":1e300,"labels":[]}',
            b'{"token":"a","fetch_began":1,"fresh_until":2,"expires_at":1%b,"labels":[]}' % (b"0" * 400),
            b'{"token":"a","fetch_began":1,"fresh_until":2,"expires_at":3,"labels":[["x","y"]]}',
            b'{"token":"a","fetch_began":1,"fresh_until":2,"expires_at":3,"labels":[["user"]]}',
            b'{"token":"a","fetch_began":1,"fresh_until":2,"expires_at":3,"labels":5}',
            b'{"until":1,"failures":"1","reason":"","code":null}',
            b'{"until":1,"failures":1,"reason":null,"code":null}',
            b'{"until":1,"failures":1,"reason":"","code":7}',
        ],
    )
    def test_anything_else_is_no_entry(self, content: bytes) -> None:
        """It never raises, and never gives half a token."""
        assert read_token(content, "f1", 0, EXACT) is None
        assert read_setback(content, EXACT) is None

    @given(st.binary(max_size=200))
    def test_no_bytes_raise(self, content: bytes) -> None:
        """Whatever was sealed."""
        read_token(content, "f1", 0, EXACT)
        read_setback(content, EXACT)

    def test_a_setback_never_ends_later_there_and_back(self) -> None:
        """The others wait no longer than we do."""
        offset = ClockOffset(3.0, 0.25, 0.0)
        found = read_setback(write_setback(Setback(10.0, 1, "out", None), offset), offset)
        assert found is not None
        assert math.isclose(found.until, 9.5)
