"""Which log lines are wanted."""

import pytest

from sidecar.cli.log_filter import LogFilter, statuses

LINE = {
    "level": "warning",
    "event": "request",
    "tenant": "acme",
    "route": "ledger",
    "request_id": "a-1",
    "status": 404,
}


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (LogFilter(), True),
        (LogFilter(tenant="acme", route="ledger", request_id="a-1"), True),
        (LogFilter(tenant="acme", route="other"), False),
        (LogFilter(request_id="a"), False),
        (LogFilter(statuses=statuses("404")), True),
        (LogFilter(statuses=statuses("5xx, 400-403")), False),
        (LogFilter(events=frozenset({"refused", "request"})), True),
        (LogFilter(events=frozenset({"refused"})), False),
        (LogFilter(level="warning"), True),
        (LogFilter(level="debug"), True),
        (LogFilter(level="error"), False),
    ],
)
def test_a_line_fits_when_each_filter_fits(wanted: LogFilter, fits: bool) -> None:
    """Those not given fit all."""
    assert wanted.fits(LINE) is fits


@pytest.mark.parametrize("value", [None, [], {}, 1, 404.5, "404"])
def test_a_line_without_the_field_does_not_fit(value: object) -> None:
    """Nor one in which it is something odd."""
    odd = dict.fromkeys(LINE, value)
    for wanted in (
        LogFilter(tenant="acme"),
        LogFilter(statuses=statuses("4xx")),
        LogFilter(events=frozenset({"request"})),
        LogFilter(level="debug"),
    ):
        assert not wanted.fits(odd)
        assert not wanted.fits({})


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("404", 404, 404), ("5xx", 500, 599), ("400-499", 400, 499), (" 404 ", 404, 404)],
)
def test_statuses_are_read(text: str, least: int, most: int) -> None:
    """One, a class, or from one to another."""
    [found] = statuses(text)
    assert (min(found), max(found)) == (least, most)


@pytest.mark.parametrize("text", ["", "6xx", "99", "4x", "x", "404,", "404-", "-404"])
def test_odd_statuses_are_told(text: str) -> None:
    """With what to write."""
    with pytest.raises(ValueError, match="write statuses as 404, 5xx or 400-499"):
        statuses(text)
