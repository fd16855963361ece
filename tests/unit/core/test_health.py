"""How those we depend on are."""

from sidecar.core.health import Health, Pulse


def test_the_last_question_counts_and_the_first_of_its_kind_dates_it() -> None:
    """What was wrong last is still told when it is over."""
    pulse = Pulse(1.0)
    told = [pulse.health]
    pulse.miss(2.0, "refused")
    pulse.miss(3.0, "timed out")
    told.append(pulse.health)
    pulse.beat(4.0)
    pulse.beat(5.0)
    told.append(pulse.health)
    assert told == [Health("unknown", 1.0), Health("down", 2.0, "timed out"), Health("up", 4.0, "timed out")]
