"""Each alert fires when it should and is silent when it should, by Prometheus's own judgement."""

import re
from pathlib import Path

import pytest

from tests.system.alerts.cases import CASES, Case
from tests.system.alerts.chart_rules import ALERTS, WATCHED
from tests.system.alerts.promtool import Alert, promtool
from tests.system.chart.generate import RULES

CHOICE = re.compile(r"\{\{ if \$labels\.(\w+) \}\}(.*?)\{\{ end \}\}")
PLACE = re.compile(r"\{\{ \$labels\.(\w+) \}\}")
NAMED = [(name, case) for name, cases in CASES.items() for case in cases]


def alert(name: str, case: Case) -> list[Alert]:
    """What fires in this case."""
    if case.labels is None:
        return []
    labels, rule = dict(case.labels), ALERTS[name]

    def value(found: re.Match[str]) -> str:
        return labels.get(found[1], "")

    def kept(found: re.Match[str]) -> str:
        return found[2] if labels.get(found[1]) else ""

    annotations = {key: PLACE.sub(value, CHOICE.sub(kept, text)) for key, text in rule["annotations"].items()}
    return [Alert(name, {**labels, **rule["labels"]}, annotations)]


def test_prometheus_accepts_the_rules() -> None:
    """As it does at its start."""
    code, printed = promtool("check", "rules", str(RULES))
    assert code == 0, printed


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_cases_of_both_kinds(name: str) -> None:
    """In which it fires, and in which it is silent."""
    assert {case.labels is None for case in CASES.get(name, ())} == {True, False}


@pytest.mark.parametrize(("name", "case"), NAMED, ids=[f"{name[17:]}: {case.what}" for name, case in NAMED])
def test_an_alert_fires_in_its_cases_only(name: str, case: Case, tmp_path: Path) -> None:
    """And no other alert fires beside it."""
    assert WATCHED.check(case.series, case.seconds, alert(name, case), tmp_path) == ""


def test_a_wrong_expectation_is_found(tmp_path: Path) -> None:
    """The test above can fail: in a case that fires where silence is expected, and the other way round."""
    name = "CredentialSidecarBug"
    fires, silent = CASES[name]
    expected = alert(name, fires)
    assert "got:" in WATCHED.check(fires.series, fires.seconds, [], tmp_path)
    assert "got:" in WATCHED.check(silent.series, silent.seconds, expected, tmp_path)
