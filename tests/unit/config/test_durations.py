"""Durations."""

import pytest

from sidecar.config import durations


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0.0), ("500ms", 0.5), ("30s", 30.0), ("5m", 300.0), ("1h", 3600.0)]
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Each unit has its length."""
    assert durations.seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "-5s", "1.5s", "5S", "5d", "5s\n", "٣s", "1234567890s", "1m30s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Nothing is guessed: one whole number, one unit."""
    with pytest.raises(ValueError, match="such as 30s"):
        durations.seconds(text)


def test_a_span_is_longer_than_nothing() -> None:
    """A life of 0s would cache nothing at all."""
    assert durations.span("1ms") == 0.001
    with pytest.raises(ValueError, match="longer than 0s"):
        durations.span("0ms")


@pytest.mark.parametrize(
    ("text", "share"),
    [("all", 1.0), ("errors", 0.0), ("1%", 0.01), ("0.1%", 0.001), ("100%", 1.0), ("12.5%", 0.125)],
)
def test_a_share_of_the_requests(text: str, share: float) -> None:
    """In percent, or in a word."""
    assert durations.share(text) == pytest.approx(share)


@pytest.mark.parametrize(
    "text", ["", "1", "0%", "0.000%", "101%", "-1%", "1 %", "1e1%", "none", "1%\n", "٣%", ".5%"]
)
def test_what_is_no_share_is_refused(text: str) -> None:
    """None of them is `errors`: that is said with the word."""
    with pytest.raises(ValueError, match="all, errors, or a percentage"):
        durations.share(text)
