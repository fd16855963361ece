"""How those we depend on are."""

import pytest

from sidecar.core.health import Health, Pulse, together


def test_the_last_question_counts_and_the_first_of_its_kind_dates_it() -> None:
    """The last failure is still shown when it is over."""
    pulse = Pulse(1.0)
    told = [pulse.health]
    pulse.miss(2.0, "refused")
    pulse.miss(3.0, "timed out")
    told.append(pulse.health)
    pulse.beat(4.0)
    pulse.beat(5.0)
    told.append(pulse.health)
    down, up = Health("down", 2.0, "timed out", 3.0), Health("up", 4.0, "timed out", 3.0)
    assert told == [Health("unknown", 1.0), down, up]


@pytest.mark.parametrize(
    ("notes", "state", "since"),
    [
        ([("beat", 5.0), ("miss", 5.0), ("beat", 5.0)], "up", 5.0),
        ([("beat", 5.0), ("miss", 5.0)], "down", 5.0),
        ([("miss", 5.0), ("beat", 5.0)], "up", 5.0),
        ([("miss", 5.0), ("beat", 5.1), ("beat", 5.2)], "up", 5.1),
        ([("beat", 5.0), ("miss", 5.1), ("miss", 5.2)], "down", 5.1),
        ([("beat", 5.0), ("miss", 5.1), ("beat", 5.2), ("miss", 5.3)], "down", 5.3),
    ],
)
def test_h6_the_last_note_counts_however_close_the_moments_are(
    notes: list[tuple[str, float]], state: str, since: float
) -> None:
    """And the first of its kind dates it."""
    pulse = Pulse(1.0)
    for kind, at in notes:
        if kind == "beat":
            pulse.beat(at)
        else:
            pulse.miss(at, "lost")
    assert (pulse.health.state, pulse.health.since) == (state, since)


UNKNOWN, UP, LATE = Health("unknown", 1.0), Health("up", 2.0, "once"), Health("up", 6.0, "lately")
DOWN, LONG_DOWN = Health("down", 5.0, "answered 500"), Health("down", 3.0, "no answer in time")


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([UNKNOWN, UNKNOWN], UNKNOWN),
        ([UNKNOWN, UP], UP),
        ([UP, LATE], LATE),
        ([DOWN, UP], DOWN),
        ([LATE, DOWN], DOWN),
        ([UNKNOWN, DOWN], DOWN),
        ([DOWN, LONG_DOWN], Health("down", 3.0, "answered 500")),
        ([LONG_DOWN, DOWN], LONG_DOWN),
    ],
)
def test_o5_it_is_down_since_the_first_part_of_it_failed(parts: list[Health], whole: Health) -> None:
    """And up since all of it is, as far as it was used."""
    assert together(parts) == whole
