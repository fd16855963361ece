"""Dates as HTTP writes them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.oauth.http_date import parse

TODAY = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[arg-type, misc]  # year to second


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", at(1994, 11, 6, 8, 49, 37)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", at(1994, 11, 6, 8, 49, 37)),
        ("Sun Nov  6 08:49:37 1994", at(1994, 11, 6, 8, 49, 37)),
        ("Sun Nov 6 08:49:37 1994", at(1994, 11, 6, 8, 49, 37)),
        ("Sun, 6 Nov 1994 08:49:37 GMT", at(1994, 11, 6, 8, 49, 37)),
        ("mon, 30 nov 2026 12:00:07 gmt", at(2026, 11, 30, 12, 0, 7)),
        ("Wed, 30 Nov 2026 12:00:07 GMT", at(2026, 11, 30, 12, 0, 7)),
        ("Mon Nov 30 12:00:07 2026", at(2026, 11, 30, 12, 0, 7)),
        ("Monday, 30-Nov-26 12:00:07 GMT", at(2026, 11, 30, 12, 0, 7)),
        ("Thu, 29 Feb 2024 23:59:59 GMT", at(2024, 2, 29, 23, 59, 59)),
        ("Sat, 31 Dec 2016 23:59:60 GMT", at(2017, 1, 1, 0, 0, 0)),
        ("Fri, 31 Dec 9999 23:59:60 GMT", at(9999, 12, 31, 23, 59, 59) + 1),
        ("Mon, 01 Jan 0001 00:00:00 GMT", at(1, 1, 1, 0, 0, 0)),
    ],
)
def test_t9_the_three_forms_are_read(text: str, moment: float) -> None:
    """With some licence in letters, blanks and the day of the week."""
    assert parse(text, TODAY.timestamp()) == moment


@pytest.mark.parametrize(
    ("today", "text", "year"),
    [
        (TODAY, "Monday, 30-Nov-76 12:00:00 GMT", 2076),
        (TODAY, "Monday, 30-Nov-76 12:00:01 GMT", 1976),
        (TODAY, "Tuesday, 01-Dec-76 00:00:00 GMT", 1976),
        (TODAY, "Thursday, 01-Oct-76 00:00:00 GMT", 2076),
        (TODAY, "Friday, 01-Jan-77 00:00:00 GMT", 1977),
        (TODAY, "Saturday, 01-Jan-00 00:00:00 GMT", 2000),
        (TODAY, "Friday, 01-Jan-99 00:00:00 GMT", 1999),
        (datetime(2099, 12, 31, 23, 59, 50, tzinfo=UTC), "Friday, 01-Jan-00 00:00:00 GMT", 2100),
        (datetime(2050, 6, 1, tzinfo=UTC), "Friday, 01-Jan-00 00:00:00 GMT", 2100),
        (datetime(2049, 6, 1, tzinfo=UTC), "Friday, 01-Jan-00 00:00:00 GMT", 2000),
    ],
)
def test_t9_a_year_of_two_digits_is_at_most_fifty_ahead(today: datetime, text: str, year: int) -> None:
    """What would be further ahead is in the past, to the second."""
    moment = parse(text, today.timestamp())
    assert moment is not None
    assert datetime.fromtimestamp(moment, UTC).year == year


@pytest.mark.parametrize(
    "text",
    [
        *["", " ", "soon", "Sun", "Sun, 06 Nov 1994", "08:49:37", "1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49 GMT"],
        *["Sun, 31 Feb 2026 08:49:37 GMT", "Sun, 29 Feb 2026 08:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT"],
        *["Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT"],
        *["Sun, 06 Nov 0000 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT"],
        *["Sun, 06 Nov 1994 08:49:37 PST", "Sun, 06 Nov 1994 08:49:37", "Sun Nov  6 08:49:37 1994 GMT"],
        *["Son, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nob 1994 08:49:37 GMT", "Sun, 06 Nov 19941 08:49:37 GMT"],
        *["Sun, ٠٦ Nov 1994 08:49:37 GMT", "Sunday, 29-Feb-26 08:49:37 GMT", "x" * 9999],
    ],
)  # fmt: skip
def test_t9_anything_else_is_no_date(text: str) -> None:
    """Impossible dates, other zones, other digits."""
    assert parse(text, TODAY.timestamp()) is None


SOONEST, LAST = datetime(1977, 1, 1, tzinfo=UTC), datetime(2076, 11, 1, tzinfo=UTC)


@given(st.integers(int(SOONEST.timestamp()), int(LAST.timestamp())))
def test_t9_all_forms_of_a_date_agree(moment: int) -> None:
    """As C writes them."""
    date = datetime.fromtimestamp(moment, UTC)
    for form in ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"):
        assert parse(date.strftime(form), TODAY.timestamp()) == moment
