"""Recent events."""

import pytest

from sidecar.telemetry.events import Refused, Resent, SecretRead, TokenFetched, TokenFetchFailed
from sidecar.telemetry.fleet_events import StoreDown
from sidecar.telemetry.recent_events import APART, LENGTH, TOGETHER, EarlyRefusals, RecentEvents
from tests.support.clock import FakeClock


def refused(fp: str = "aa", request_id: str = "1") -> Refused:
    return Refused(request_id, "ledger", "acme", fp, 401, "invalid_token", "renew")


async def test_the_same_thing_again_counts_and_keeps_when_it_began() -> None:
    """A flood is one entry, however its requests differ; another token is another thing."""
    clock = FakeClock()
    timeline, began = RecentEvents(clock), clock.now()
    for number in range(3):
        timeline.tell(refused(request_id=str(number)))
        await clock.advance(APART)
    timeline.tell(refused("bb"))
    (other, same) = timeline
    assert (same.first, same.last, same.count) == (began, began + 2 * APART, 3)
    assert same.event == refused(request_id="2")
    assert (other.event, other.count) == (refused("bb"), 1)


async def test_after_a_minute_of_silence_it_happens_anew() -> None:
    """Two troubles of the same kind are two entries."""
    clock = FakeClock()
    timeline = RecentEvents(clock)
    timeline.tell(StoreDown("TimeoutError"))
    await clock.advance(APART + 1)
    timeline.tell(StoreDown("TimeoutError"))
    assert [(each.first, each.count) for each in timeline] == [(clock.now(), 1), (clock.now() - APART - 1, 1)]


async def test_what_happened_last_comes_first() -> None:
    """Also when it is an old thing that happened again."""
    timeline = RecentEvents(FakeClock())
    for fp in "abca":
        timeline.tell(refused(fp))
    assert [getattr(each.event, "fp", "") for each in timeline] == ["a", "c", "b"]


async def test_it_is_bounded_and_everyday_business_is_no_news() -> None:
    """The oldest entries are evicted; successful fetches are left out."""
    timeline = RecentEvents(FakeClock())
    timeline.tell(TokenFetched("t", "s", "acme", "ff", 300, 12, "aging"))
    timeline.tell(SecretRead("s", "acme", "secret", "AWSCURRENT", 3))
    assert list(timeline) == []
    for number in range(LENGTH + 5):
        timeline.tell(refused(str(number)))
    assert len(list(timeline)) == LENGTH
    timeline.tell(refused("0"))  # its entry is gone: it is a new one
    assert next(each.count for each in timeline) == 1


def test_t11_a_refusal_is_the_same_thing_whatever_ids_its_text_holds() -> None:
    """Servers name each request in their own text; a flood is still one entry."""
    timeline = RecentEvents(FakeClock())
    for number in range(3):
        text = f"AADSTS7000215: wrong secret. Trace ID: {number}"
        timeline.tell(TokenFetchFailed("t", "s", "acme", "refused", "refused", 1.0, 0.0, text))
    (entry,) = timeline
    assert (entry.count, entry.event.values()["error_description"]) == (3, text)


def healed(fp: str, route: str = "ledger") -> Resent:
    return Resent("1", route, fp, "healed")


@pytest.mark.parametrize(
    ("fps", "apart", "count", "early"),
    [
        ("ab", 1, 2, False),
        ("abc", 1, 3, True),
        ("aaaaaa", 1, 1, False),
        ("abababab", 1, 2, False),
        ("abc", TOGETHER / 2 - 1, 3, True),
        ("abc", TOGETHER / 2, 3, False),
        ("abcdefgh", TOGETHER / 3, 8, True),
        ("abcdefgh", TOGETHER, 1, False),
    ],
)
async def test_o7_several_tokens_replaced_within_ten_minutes_are_early(
    fps: str, apart: float, count: int, early: bool
) -> None:
    """A token counts once, however many requests it was sent in; the first of the series dates it."""
    clock = FakeClock()
    series = EarlyRefusals(clock)
    for fp in fps:
        moment = clock.now()
        series.tell(refused(fp))
        series.tell(healed(fp))
        await clock.advance(apart)
    [found] = series
    assert (found.route, found.cause, found.count) == ("ledger", "401 invalid_token", count)
    assert found.is_early(moment) is early


async def test_o7_the_first_of_a_series_dates_it_for_hours() -> None:
    """However many events there were since; ten minutes without one end it."""
    clock = FakeClock()
    began, series = clock.now(), EarlyRefusals(clock)
    for number in range(3000):
        series.tell(healed(f"fp-{number}"))
        await clock.advance(10)
    [found] = series
    assert (found.since, found.count) == (began, 3000)
    assert found.is_early(clock.now())
    await clock.advance(TOGETHER)
    assert not found.is_early(clock.now())
    series.tell(healed("new"))
    [found] = series
    assert (found.since, found.count) == (clock.now(), 1)


def test_o7_only_tokens_that_were_replaced_are_early() -> None:
    """Those of another route are another series; a new token that is refused too cools down."""
    series = EarlyRefusals(FakeClock())
    for number in range(3):
        series.tell(healed(f"fp-{number}", f"route-{number}"))
        series.tell(Resent("1", "ledger", f"fp-{number}", "refused"))
        series.tell(Resent("1", "ledger", f"fp-{number}", "failed"))
    assert sorted((each.route, each.count) for each in series) == [(f"route-{each}", 1) for each in range(3)]
