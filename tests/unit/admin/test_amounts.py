"""Durations, rates and shares as people read them."""

import pytest

from sidecar.admin.amounts import rate, share, span


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((-3.0, "0 s"), (0.4, "0 s"), (99.4, "99 s"), (99.6, "2 min"), (5999.0, "100 min"), (6000.0, "2 h")),
        *((172_799.0, "48 h"), (172_800.0, "2 d"), (9e9, "104167 d")),
    ],
)
def test_durations_are_in_one_unit(seconds: float, words: str) -> None:
    """As on the page."""
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("per_second", "words"),
    [
        (0.0, "0/s"),
        (0.05, "3.0/min"),
        (0.1, "0.1/s"),
        (9.94, "9.9/s"),
        (12.6, "13/s"),
        (1200.0, "1200/s"),
    ],
)
def test_rates_are_by_the_second_or_the_minute(per_second: float, words: str) -> None:
    """As on the page."""
    assert rate(per_second) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [(0, 0, "-"), (0, 5, "0 %"), (5, 5, "100 %"), (0.05, 20, "0.2 %"), (1, 20, "5.0 %"), (1, 3, "33 %")],
)
def test_a_share_of_nothing_is_none(part: float, whole: float, words: str) -> None:
    """Small ones have a decimal."""
    assert share(part, whole) == words
