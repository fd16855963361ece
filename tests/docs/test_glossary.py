"""One name for each thing: what people read on every surface comes from the glossary in `telemetry/words.py`."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import pytest
import yaml

from sidecar.admin import page
from sidecar.cli.status_table import lines
from sidecar.cli.terminal import Terminal
from sidecar.core.health import HealthState
from sidecar.fleet.outage import Outage, Side
from sidecar.telemetry import words
from sidecar.telemetry.events import Event, SecretUnread, TokenFetchFailed
from sidecar.telemetry.instruments import INSTRUMENTS
from sidecar.telemetry.request_record import RequestRecord, TokenOrigin
from sidecar.telemetry.sinks.log_lines import ConsoleLines, JsonLines
from sidecar.telemetry.words import NEIGHBOURS, TOKEN_ENDPOINT, NeighbourKind
from tests import ROOT
from tests.support.clock import FakeClock
from tests.support.journal import RecordingJournal

KINDS: tuple[NeighbourKind, ...] = get_args(NeighbourKind)
LISTS: Mapping[str, tuple[object, Mapping[str, str]]] = {
    "health": (HealthState, words.HEALTH_STATES),
    "decision": (words.Decision, words.DECISIONS),
    "fetch_fault": (words.FetchFault, words.FETCH_FAULTS),
    "secret_fault": (words.SecretFault, words.SECRET_FAULTS),
    "rejection": (words.Rejection, words.REJECTIONS),
    "origin": (TokenOrigin, words.TOKEN_ORIGINS),
    "bust": (words.BustKind, words.BUST_KINDS),
}
METRICS: Mapping[NeighbourKind, str] = {
    "upstream": r"sidecar\.upstream\.",
    "authorization_server": r"sidecar\.token_endpoint\.",
    "secret_store": r"sidecar\.secret\.",
    "store": r"sidecar\.store\.",
    "bus": r"sidecar\.bus\.|sidecar\.busts\.applied",
}
"""Which metrics are about a kind of neighbour."""
ALERTED: Mapping[NeighbourKind, str] = {**METRICS, "authorization_server": r"sidecar\.token\.failing"}
"""Which metrics the alerts about it read."""
HTML = (ROOT / "sidecar/admin/page.html").read_text()
RULES = yaml.safe_load((ROOT / "helm/rules/credential-sidecar.yaml").read_text())
ALERTS: Mapping[str, Mapping[str, Any]] = {
    rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]
}
DASHBOARD = (ROOT / "helm/dashboards/credential-sidecar.json").read_text()
SHOWN = {"at": 1000.0, "ready": {}, "routes": [], "tokens": [], "events": []}


def plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def texts(alert: Mapping[str, Any]) -> str:
    return plain(" ".join(alert["annotations"].values()))


def alerts_about(kind: NeighbourKind) -> Iterator[str]:
    """Return the alerts that read its metrics; what follows `unless` silences an alert and is not its subject."""
    pattern = ALERTED[kind].replace(r"\.", "_")
    return (name for name, alert in ALERTS.items() if re.search(pattern, alert["expr"].split("unless")[0]))


@pytest.mark.parametrize("of", LISTS)
def test_o9_every_machine_word_has_a_name(of: str) -> None:
    """A new word without one fails here; the page gets all of them from the server."""
    kind, names = LISTS[of]
    assert set(get_args(kind)) == set(names)
    assert all(name and "_" not in name for name in names.values())
    assert words.glossary()[of] == names


def test_o9_every_kind_of_neighbour_has_a_name() -> None:
    """One each, and none that is another's."""
    assert set(KINDS) == set(NEIGHBOURS) == set(METRICS) == set(words.glossary()["neighbour"])
    names = [each.name.casefold() for each in NEIGHBOURS.values()]
    assert len(set(names)) == len(names)
    assert not set(names) & {other.casefold() for each in NEIGHBOURS.values() for other in each.others}
    assert words.neighbour("a_newer_kind") == "a newer kind"


def test_o9_the_page_has_its_names_from_the_server() -> None:
    """Its script has no copy of them; the policy is for the script as it is sent."""
    sent = page.with_words(HTML.encode())
    (given,) = re.findall(r"^const WORDS = (.*?);  //", sent.decode(), re.MULTILINE)
    assert json.loads(given) == json.loads(json.dumps(words.glossary()))
    assert page.fields(sent) != page.fields(HTML.encode())
    script = HTML.split("<script>")[1]
    for kind, each in NEIGHBOURS.items():
        assert not re.search(rf"(?i)\b{kind}: [\"'`]{each.name}\b", script)
    assert NEIGHBOURS["secret_store"].name not in script
    assert NEIGHBOURS["bus"].name not in script.casefold()


@pytest.mark.parametrize("kind", KINDS)
def test_o9_status_has_the_name(kind: NeighbourKind, capsys: pytest.CaptureFixture[str]) -> None:
    """In the row of its health."""
    import sys  # noqa: PLC0415  capsys replaces it

    row = {"kind": kind, "name": "here", "state": "down", "since": 900.0, "why": "no answer in time"}
    shown = [*lines({**SHOWN, "health": [row]}, Terminal(sys.stdout))]
    assert any(f" {NEIGHBOURS[kind].name} " in " ".join(line.split()) for line in shown)
    assert kind == "upstream" or not re.search(rf"\b{kind}\b", " ".join(shown))


def logged(kind: NeighbourKind) -> Event | RequestRecord:
    """What the log has when one of them is down, with its text as it is made."""
    clock, journal = FakeClock(), RecordingJournal()
    sides: tuple[Side, ...] = get_args(Side)
    if kind == "upstream":
        record = RequestRecord(0.0, "GET", "/", "id", "")
        record.error = "upstream_unreachable"
        return record
    if kind == "authorization_server":
        error = f"no answer from {TOKEN_ENDPOINT} auth.test: no answer in time"
        return TokenFetchFailed("orders", "app", "", "unavailable", error, 1.0, 0.0)
    if kind == "secret_store":
        where = f"secret x in {NEIGHBOURS[kind].name}: AWS does not answer"
        return SecretUnread("app", "", "x", "unreachable", where, 1.0)
    assert kind in sides, "what does the log have of this one?"
    Outage(clock, journal).lost(kind, "no answer in time")
    return journal.events[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [JsonLines(), ConsoleLines(colour=False)])
def test_o9_the_log_has_the_name(kind: NeighbourKind, form: JsonLines | ConsoleLines) -> None:
    """In the line that says that it is down; of an authorization server that of its token endpoint."""
    event = logged(kind)
    line = form.event(event, 0.0) if isinstance(event, Event) else form.request(event, 0.0)
    name = TOKEN_ENDPOINT if kind == "authorization_server" else NEIGHBOURS[kind].name
    assert name in line.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_o9_metrics_have_the_name(kind: NeighbourKind) -> None:
    """In the text on /metrics, of which the reference page is made."""
    about = [each for each in INSTRUMENTS if re.match(METRICS[kind], each.name)]
    assert about
    for each in about:
        assert NEIGHBOURS[kind].name.casefold() in plain(each.description), each.name


@pytest.mark.parametrize("kind", KINDS)
def test_o9_alerts_have_the_name(kind: NeighbourKind) -> None:
    """Those that read its metrics."""
    about = list(alerts_about(kind))
    assert about
    for name in about:
        assert NEIGHBOURS[kind].name.casefold() in texts(ALERTS[name]), name


SURFACES: Mapping[str, str] = {
    "metrics": plain(" ".join(each.description for each in INSTRUMENTS)),
    "alerts": plain(" ".join(map(texts, ALERTS.values()))),
    "dashboard": plain(DASHBOARD),
    "page": plain(re.sub(r"^\s*//.*$", "", HTML, flags=re.MULTILINE)),
    "glossary": plain(json.dumps(words.glossary())),
}


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("kind", KINDS)
def test_o9_no_surface_has_another_word_for_it(kind: NeighbourKind, surface: str) -> None:
    """A list of words that mean the same; none of them is used."""
    found = [
        other
        for other in NEIGHBOURS[kind].others
        if re.search(rf"(?<!\w){re.escape(other.casefold())}(?!\w)", SURFACES[surface])
    ]
    assert found == []
