"""Clocks that differ, by the Date of an answer."""

from email.utils import formatdate

import pytest

from sidecar.oauth.refusals.clock_skew import Exchange, hint

SENT = 1_800_000_000.25


@pytest.mark.parametrize(
    ("written", "took", "skew"),
    [
        (SENT, 0.5, 0.0),
        (SENT - 0.25, 0.5, 0.0),
        (SENT + 9, 10.0, 0.0),
        (SENT + 600, 0.75, 599.0),
        (SENT + 600, 10.0, 589.75),
        (SENT - 600, 0.5, -599.25),
        (SENT - 600, 10.0, -599.25),
        (SENT + 2, 0.75, 1.0),
    ],
)
def test_o3_the_skew_is_what_no_travel_time_explains(written: float, took: float, skew: float) -> None:
    """The answer may have been written at any moment of the exchange, and its Date has no fractions."""
    date = formatdate(written, usegmt=True)
    assert Exchange(SENT, SENT + took).skew(date) == skew


@pytest.mark.parametrize("date", ["", "soon", "0", "2027-01-15T08:00:00Z", "Fri, 99 Jan 2027 08:00:00 GMT"])
def test_o3_what_is_no_date_says_nothing(date: str) -> None:
    """An answer without one, for example."""
    assert Exchange(SENT, SENT).skew(date) is None


@pytest.mark.parametrize(
    ("skew", "text"),
    [
        (None, ""),
        (0.0, ""),
        (30.0, ""),
        (-30.0, ""),
        (30.5, "the server's clock is 30 s ahead of this machine's; synchronize both clocks"),
        (-7200.0, "the server's clock is 7200 s behind this machine's; synchronize both clocks"),
    ],
)
def test_o3_a_small_skew_is_no_advice(skew: float | None, text: str) -> None:
    """Servers allow for it."""
    assert hint(skew) == text
