"""The soak's verdict: what explains a failure, and what a run must have left behind: nothing."""

import json
import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.soak.load import SHARES
from tests.soak.outcomes import (
    DOWN,
    EXAMPLES,
    HELD_UP,
    OUT,
    RELOAD,
    REVOKED,
    RULES,
    TOKENLESS,
    Fault,
    Outcome,
    Tally,
    explanation,
)
from tests.soak.page import PAGE, replaced
from tests.soak.verdict import TELLS, Ending, Results, Sample, block, checks, memory, page, slope

IDLE = Sample(
    at=0.0, descriptors=16, resident=40.0, threads=2, cpu=1.0, connections=0, in_flight=0, tasks=5, dropped=0
)
BUSY = replace(IDLE, descriptors=80, connections=50, in_flight=40, tasks=90)


def samples(*resident: float) -> list[Sample]:
    return [replace(BUSY, at=float(second), resident=mib) for second, mib in enumerate(resident)]


def results(**changes: object) -> Results:
    """Of a soak that went well, but for these changes."""
    good = Results(
        minutes=1.0,
        seed=1,
        idle=IDLE,
        samples=samples(*[50.0] * 60),
        settled=IDLE,
        tally=Tally(ok=Counter({"upload": 9})),
        events={},
        failed=[],
        leaked=0,
        stderr="",
        complaints=[],
        kinds=["upload"],
        ending=Ending(0, 0.3),
    )
    return replace(good, **changes)  # type: ignore[arg-type]


def failures(found: Results) -> list[str]:
    return [check.what for check in checks(found) if not check.good]


def outcome(trouble: str, ended: float, kind: str = "ordinary") -> Outcome:
    return Outcome(kind, "id", ended - 1, ended, trouble)


def test_a_clean_run_has_a_good_verdict() -> None:
    """Everything as before, nothing unexplained."""
    assert failures(results()) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"settled": replace(IDLE, descriptors=17)}, "Descriptors after the load"),
        ({"settled": replace(IDLE, tasks=6)}, "Tasks after the load"),
        ({"settled": replace(IDLE, connections=1)}, "Client connections after the load"),
        ({"settled": replace(IDLE, in_flight=1)}, "Requests in flight after the load"),
        ({"settled": replace(IDLE, dropped=1)}, "Log lines dropped"),
        ({"failed": ["{}"]}, "`failed` events"),
        ({"leaked": 1}, "Log lines with a secret"),
        ({"stderr": "Task exception was never retrieved\n"}, "Lines on standard error"),
        ({"complaints": ["upstream: came without our token"]}, "Complaints of upstream and token endpoint"),
        ({"ending": Ending(0, 5.1)}, "SIGTERM: exit code"),
        ({"ending": Ending(70, 0.1)}, "SIGTERM: exit code"),
        ({"ending": Ending(None, 20.0)}, "SIGTERM: exit code"),
        ({"kinds": ["upload", "download"]}, "Kinds of load that mostly failed"),
        ({"samples": samples(*range(200))}, "Growth of memory, second half"),
        ({"samples": []}, "Growth of memory, second half"),
    ],
)
def test_whatever_is_left_or_went_wrong_fails_the_soak(changes: dict[str, object], what: str) -> None:
    """One thing wrong is enough, and it is the one that is named."""
    assert failures(results(**changes)) == [what]


def test_fewer_than_before_is_no_leak() -> None:
    """What the start needed and the end does not may have gone."""
    assert failures(results(settled=replace(IDLE, descriptors=14, tasks=4))) == []


def test_one_unexplained_failure_is_enough() -> None:
    """However many went well."""
    tally = Tally(ok=Counter({"upload": 10**6}))
    assert not tally.count(outcome("wrong body", 5.0, "upload"))
    assert failures(results(tally=tally)) == ["Unexplained failures"]
    assert "wrong body" in page(results(tally=tally), [])


def test_a_kind_of_load_whose_failures_are_all_explained_still_has_to_work() -> None:
    """Rules explain single failures, not an outage of our own."""
    tally = Tally(faults=[Fault(DOWN, 0.0)], ok=Counter({"upload": 2}))
    for _ in range(2):
        assert tally.count(outcome("broken off", 5.0, "upload"))
    assert failures(results(tally=tally)) == ["Kinds of load that mostly failed"]


@pytest.mark.parametrize(
    ("fault", "trouble", "kind", "explained"),
    [
        (DOWN, "502 destination_unavailable", "ordinary", True),
        (DOWN, "broken off", "events", True),
        (DOWN, "401", "ordinary", False),
        (DOWN, "timed out", "ordinary", False),
        (DOWN, "500 proxy_internal_error", "ordinary", False),
        (REVOKED, "401", "upload", True),
        (REVOKED, "401", "ordinary", False),
        (REVOKED, "broken off", "upload", False),
        (TOKENLESS, "401", "ordinary", True),
        (TOKENLESS, "503 proxy_internal_response", "ordinary", True),
        (TOKENLESS, "503", "ordinary", False),
        (TOKENLESS, "502 destination_unavailable", "ordinary", False),
        (OUT, "503 proxy_internal_response", "always refused", True),
        (OUT, "503 proxy_internal_response", "ordinary", False),
        (TOKENLESS, "broken off", "half closed", True),
        (TOKENLESS, "broken off", "ordinary", False),
        (HELD_UP, "no sample", "sampling", True),
        (HELD_UP, "broken off", "ordinary", False),
        (RELOAD, "broken off", "ordinary", False),
    ],
)
def test_a_fault_explains_its_own_troubles_only(fault: str, trouble: str, kind: str, explained: bool) -> None:
    """A reload explains nothing at all."""
    found = explanation(outcome(trouble, 10.0, kind), [Fault(fault, 9.0, 11.0)])
    assert found == (fault if explained else "")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.fault)
@pytest.mark.parametrize(
    ("noticed", "explained"), [(-0.1, False), (0.0, True), (2.0, True), ("grace", True), ("later", False)]
)
def test_a_fault_explains_what_is_noticed_while_it_lasts_or_shortly_after(
    rule: object, noticed: float | str, explained: bool
) -> None:
    """A failure before it, or after its grace, has another cause."""
    [found] = [each for each in RULES if each is rule]
    grace = found.grace
    ended = {"grace": 2.0 + grace, "later": 2.1 + grace}.get(str(noticed))
    moment = float(noticed) if ended is None else ended
    kind = min(found.kinds, default="ordinary")
    happened = outcome(min(found.troubles), 100.0 + moment, kind)
    assert bool(explanation(happened, [Fault(found.fault, 100.0, 102.0)])) is explained


@pytest.mark.parametrize(("kind", "event"), TELLS.items())
def test_a_fault_the_sidecar_did_not_notice_proves_nothing(kind: str, event: str) -> None:
    """Its log has to speak of it."""
    tally = Tally(faults=[Fault(kind, 0.0, 1.0)], ok=Counter({"upload": 1}))
    assert failures(results(tally=tally)) == ["Faults the sidecar did not notice"]
    assert failures(results(tally=tally, events={event: 1})) == []


def test_a_fault_that_lasts_explains_until_it_ends() -> None:
    """It has no end yet."""
    assert explanation(outcome("broken off", 1e6), [Fault(DOWN, 5.0)]) == DOWN
    assert explanation(outcome("broken off", 4.9), [Fault(DOWN, 5.0)]) == ""


def test_rules_name_kinds_of_load_that_there_are() -> None:
    """A kind that was renamed would silently lose its rule."""
    assert {kind for rule in RULES for kind in rule.kinds} <= {share.name for share in SHARES}


def test_only_the_first_failures_are_kept() -> None:
    """A bad run must not fill the memory; all are counted."""
    tally = Tally()
    for second in range(3 * EXAMPLES):
        tally.count(outcome("timed out", float(second)))
    assert len(tally.examples) == EXAMPLES
    assert tally.unexplained.total() == 3 * EXAMPLES


@given(st.floats(-10, 10), st.floats(-100, 100), st.lists(st.integers(0, 1000), min_size=2, unique=True))
def test_the_slope_of_a_line_is_its_own(rise: float, base: float, xs: list[int]) -> None:
    """Wherever its points are."""
    assert slope([(x, base + rise * x) for x in xs]) == pytest.approx(rise, abs=1e-6)


@pytest.mark.parametrize("points", [[], [(1.0, 5.0)], [(1.0, 5.0), (1.0, 9.0)]])
def test_without_a_line_there_is_no_slope(points: list[tuple[float, float]]) -> None:
    """Nothing, one moment."""
    assert slope(points) == 0.0


def test_what_the_start_of_the_load_takes_is_not_growth() -> None:
    """Caches and buffers fill in the first half, or the first two minutes."""
    assert memory(samples(*range(200), *[200.0] * 200)).good
    assert memory(samples(*range(120), *[120.0] * 40)).good


def test_a_short_soak_does_not_speak_of_growth() -> None:
    """Everything it has seen is warm-up."""
    found = memory(samples(*range(140)))
    assert found.good
    assert "not told" in found.measured


def test_a_steady_climb_is_growth_however_noisy() -> None:
    """Ups and downs of 3 MiB hide no leak of 10 MiB over the half."""
    noisy = [50 + second / 12 + 3 * math.sin(second) for second in range(240)]
    assert not memory(samples(*noisy)).good
    assert memory(samples(*(50 + 3 * math.sin(second) for second in range(240)))).good


def test_a_burst_at_the_end_is_not_a_climb() -> None:
    """One large moment among many."""
    assert memory(samples(*[50.0] * 239, 60.0)).good


def test_the_page_gets_the_verdict_between_its_marks() -> None:
    """Nothing else of the page changes."""
    found = results(tally=Tally(faults=[Fault(DOWN, 0.0), Fault(DOWN, 1.0)], ok=Counter({"upload": 1200})))
    verdict = block(found, checks(found))
    before = "a\n<!-- soak -->\nold\n<!-- /soak -->\nb\n"
    assert replaced(before, verdict) == f"a\n<!-- soak -->\n{verdict}\n<!-- /soak -->\nb\n"
    assert "1,200 exchanges" in verdict
    assert f"{DOWN} 2 times" in verdict
    assert verdict in replaced(PAGE.read_text(), verdict)
    with pytest.raises(ValueError, match="needs one"):
        replaced("no marks", verdict)


def test_all_of_it_can_be_kept_as_json() -> None:
    """The raw results are a file."""
    tally = Tally(faults=[Fault(DOWN, 0.0)])
    tally.count(outcome("broken off", 5.0))
    tally.count(outcome("timed out", 5.0))
    kept = json.loads(json.dumps(results(tally=tally), default=vars))
    assert kept["tally"]["explained"] == {"ordinary": {f"{DOWN}: broken off": 1}}
    assert kept["tally"]["examples"][0]["trouble"] == "timed out"
