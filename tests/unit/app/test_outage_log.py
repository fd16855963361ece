"""Which outages of an upstream are logged."""

from dataclasses import replace

import pytest

from sidecar.app.upstreams import OutageLog
from sidecar.core.health import Pulse
from sidecar.telemetry.events import Event, UpstreamDown, UpstreamUp
from tests.support.journal import RecordingJournal

URL = "https://ledger.test"


def logged(results: str, apart: float) -> list[Event]:
    """Return the events of an upstream that fails (x) or answers (o), so many seconds after each other."""
    journal = RecordingJournal()
    log, pulse = OutageLog(URL, journal), Pulse(0.0)
    for number, result in enumerate(results):
        before = pulse.health
        if result == "x":
            pulse.miss(number * apart, "Connection refused")
        else:
            pulse.beat(number * apart)
        if result == "x" or before.state != "up":
            log.changed(before, pulse.health)
    return [
        replace(each, seconds=round(each.seconds, 3)) if isinstance(each, UpstreamUp) else each
        for each in journal.events
    ]


def down(outages: int = 1) -> Event:
    """An outage, and how many there were since the last that was logged."""
    return UpstreamDown(URL, "Connection refused", outages)


def up(seconds: float) -> Event:
    """Its end."""
    return UpstreamUp(URL, seconds)


@pytest.mark.parametrize(
    ("results", "apart", "events"),
    [
        ("oooo", 1, []),
        ("xxxx", 1, [down()]),
        ("xxxo", 1, [down(), up(3)]),
        ("oxxxoo", 30, [down(), up(90)]),
        ("xoxo", 60, [down(), up(60), down(), up(60)]),
        ("xoxoxo", 1, [down(), up(1)]),
        ("xo" * 31, 1, [down(), up(1), down(30), up(1)]),
        ("xo" * 3000, 0.02, [down(), up(0.02), down(1500), up(0.02)]),
        ("xo" + "x" * 58, 1, [down(), up(1)]),
        ("xo" + "x" * 59, 1, [down(), up(1), down()]),
        ("xo" + "x" * 98 + "o", 1, [down(), up(1), down(), up(98)]),
        ("xo" + "xxo" * 33, 1, [down(), up(1), down(20), up(2)]),
    ],
)
def test_o4_a_flapping_upstream_is_logged_once_a_minute(
    results: str, apart: float, events: list[Event]
) -> None:
    """Each logged outage has its end, and one that lasts is logged with a failure within a minute."""
    assert logged(results, apart) == events


def test_o4_however_often_it_flaps_the_log_is_bounded() -> None:
    """Two lines a minute, at a hundred changes a second."""
    hour = logged("xo" * 180_000, 0.01)
    assert len(hour) == 2 * 60
