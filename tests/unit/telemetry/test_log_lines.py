"""Log lines: their content, and what no client can add to them."""

import json
import os
import pty
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.secret import Secret
from sidecar.telemetry.events import CoolingDown, Draining, Event, ReloadFailed, Stopped, TokenFetchFailed
from sidecar.telemetry.fleet_events import BustSent
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.sinks.log_lines import LONGEST_LINE, ConsoleLines, JsonLines, Lines, LogJournal, lines
from sidecar.telemetry.words import Level
from tests.support.clock import FakeClock

AT = 1_800_000_000.0625


def a_record(**fields: object) -> RequestRecord:
    record = RequestRecord(AT, "GET", "/ledger/accounts", "req-1", "4bf92f3577b34da6a3ce929d0e0e4736")
    record.finished = AT + 0.0625
    record.route, record.status, record.attempts = "ledger", 200, 1
    record.token, record.fp, record.upstream_seconds = "memory", "abcdef012345", 0.03125
    record.bytes_in, record.bytes_out = 3, 200
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def test_a_request_is_one_flat_object_with_these_fields_in_this_order() -> None:
    """The contract with readers of the access log."""
    line = JsonLines().request(a_record(tenant="acme"), AT + 0.0625)
    assert line.endswith(b"}\n")
    assert json.loads(line, object_pairs_hook=list) == [
        ("ts", "2027-01-15T08:00:00.125Z"),
        ("level", "info"),
        ("event", "request"),
        ("request_id", "req-1"),
        ("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
        ("method", "GET"),
        ("route", "ledger"),
        ("path", "/ledger/accounts"),
        ("status", 200),
        ("duration_ms", 62.5),
        ("upstream_ms", 31.25),
        ("attempts", 1),
        ("token", "memory"),
        ("fp", "abcdef012345"),
        ("tenant", "acme"),
        ("bytes_in", 3),
        ("bytes_out", 200),
        ("error", ""),
    ]


@pytest.mark.parametrize("path", ["/a", "/\u2028", "/\ud800", "/" + "a" * 9_000])
def test_h7_what_an_upstream_did_is_there_only_where_it_did_something(path: str) -> None:
    """Also in lines that take care."""
    failed = a_record(path=path, status=502, error="upstream_malformed", detail="it looks like FTP")
    for form in (JsonLines(), ConsoleLines(colour=False)):
        assert b"it looks like FTP" in form.request(failed, AT)
        assert b"detail" not in form.request(a_record(path=path), AT)


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Stopped(), {"level": "info", "event": "stopped"}),
        (Draining(connections=3), {"level": "info", "event": "draining", "connections": 3}),
        (
            BustSent(token="ledger", service="ledger-client", tenant="", fp="abcdef012345"),
            {
                "level": "info",
                "event": "bust_sent",
                "token": "ledger",
                "service": "ledger-client",
                "tenant": "",
                "fp": "abcdef012345",
            },
        ),
        (
            ReloadFailed(error='a.yaml: routes: "x"\nb: ü'),
            {"level": "error", "event": "reload_failed", "error": 'a.yaml: routes: "x"\nb: ü'},
        ),
    ],
)
def test_an_event_is_one_flat_object(event: Event, expected: dict[str, object]) -> None:
    """ts, level and event first, then the event's fields in their order."""
    line = JsonLines().event(event, AT)
    assert json.loads(line, object_pairs_hook=list) == [("ts", "2027-01-15T08:00:00.062Z"), *expected.items()]
    assert line.count(b"\n") == 1


@pytest.mark.parametrize("form", [JsonLines(), ConsoleLines(colour=False)])
def test_numbers_in_events_have_three_decimals(form: Lines) -> None:
    """The nanoseconds of a duration are of no use."""
    line = form.event(CoolingDown(token="ledger", service="ledger", tenant="", seconds=1.2345678), AT)
    assert b"1.235" in line
    assert b"1.2345" not in line


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (AT, "2027-01-15T08:00:00.062Z"),
        (1_800_000_000.9995, "2027-01-15T08:00:00.999Z"),
        (1_799_999_999.5, "2027-01-15T07:59:59.500Z"),
    ],
)
def test_ts_is_rfc_3339_in_utc_with_milliseconds(moment: float, text: str) -> None:
    """Fixed width, so that lines sort; never rounded into the next second."""
    lines = JsonLines()
    lines.event(Stopped(), AT)
    assert json.loads(lines.event(Stopped(), moment))["ts"] == text


HOSTILE = [
    '/a"b',
    "/a\\",
    '/a\n{"event":"request"}',
    "/a\r\n",
    "/\x00\x1b[2J\x08",
    "/\x7f",
    "/\x9b31m",
    "/ä/\u2028\u2029",
    "/\ud800/\udcff",
    "/" + "a" * 100_000,
    "/" + "\U0001f600" * 100_000,
]


def assert_harmless(line: bytes) -> None:
    assert line.endswith(b"\n")
    body = line[:-1]
    assert body.isascii()
    assert not any(byte < 0x20 for byte in body)
    assert len(line) < 2 * LONGEST_LINE


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("form", [JsonLines(), ConsoleLines(colour=False)])
def test_no_path_can_forge_a_line_or_reach_a_terminal(form: Lines, path: str) -> None:
    """For any request, the line stays one line of bounded ASCII without control characters."""
    assert_harmless(form.request(a_record(path=path, method=path, status=400), AT))


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=300))
def test_any_text_comes_back_from_json_as_it_was(path: str) -> None:
    """Only lone surrogates change, into U+FFFD."""
    line = JsonLines().request(a_record(path=path), AT)
    assert_harmless(line)
    kept = path.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert json.loads(line)["path"] == kept


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=300))
def test_any_text_is_harmless_on_the_console(path: str) -> None:
    """People's terminals are safe too, from DEL as well."""
    line = ConsoleLines(colour=False).request(a_record(path=path, request_id=path), AT)
    assert_harmless(line)
    assert b"\x7f" not in line


def test_a_secret_that_strays_into_an_event_shows_its_fingerprint_only() -> None:
    """The last line of defence: even a programming error prints no secret."""

    @dataclass(frozen=True, slots=True)
    class Careless(Event):
        name: ClassVar[str] = "careless"
        secret: Secret

    event = Careless(Secret("canary", "abcdef012345"))
    for form in (JsonLines(), ConsoleLines(colour=False)):
        line = form.event(event, AT)
        assert b"canary" not in line
        assert b"abcdef012345" in line


def a_refusal() -> Event:
    return TokenFetchFailed(
        token="ledger",
        service="ledger",
        tenant="",
        outcome="unavailable",
        error="no answer",
        duration_ms=1.0,
        retry_after=2.0,
    )


@pytest.mark.parametrize("level", get_args(Level))
def test_only_what_is_at_or_above_the_level_is_written(level: Level) -> None:
    """The access log is level info."""
    written: list[bytes] = []
    logs = LogJournal(JsonLines(), written.append, FakeClock(AT), float)
    logs.set_level(level, 1.0)
    logs.request_finished(a_record())
    for event in (Stopped(), a_refusal(), ReloadFailed(error="bad")):
        logs.tell(event)
    expected = {"debug": 4, "info": 4, "warning": 2, "error": 1}[level]
    assert len(written) == expected


@pytest.mark.parametrize(
    ("share", "draws", "count"),
    [(1.0, [], 4), (0.0, [0.0] * 4, 0), (0.5, [0.0, 0.49, 0.5, 0.99], 2)],
)
def test_of_successful_requests_a_share_is_logged(share: float, draws: list[float], count: int) -> None:
    """All by default, drawn at random; redirects, WebSockets and answers from caches are successes too."""
    written: list[bytes] = []
    logs = LogJournal(JsonLines(), written.append, FakeClock(AT), lambda: draws.pop(0))
    logs.set_level("info", share)
    for status in (101, 200, 302, 304):
        logs.request_finished(a_record(status=status))
    assert len(written) == count
    assert draws == []


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 400},
        {"status": 404},
        {"status": 503, "error": "token_unavailable"},
        {"status": 0, "error": "client_gone"},
        {"status": 200, "error": "upstream_malformed"},
        {"status": 200, "attempts": 2},
    ],
)
def test_what_went_wrong_is_always_logged(fields: Mapping[str, object]) -> None:
    """Errors, refusals that were healed, answers that broke off and clients that left."""
    written: list[bytes] = []
    logs = LogJournal(JsonLines(), written.append, FakeClock(AT), lambda: 1.0)
    logs.set_level("info", 0.0)
    logs.request_finished(a_record(**fields))
    assert len(written) == 1


def test_the_console_aligns_its_columns_and_leaves_out_what_is_empty() -> None:
    """For people: status, method, duration and path stand below each other."""
    form = ConsoleLines(colour=False)
    short = form.request(a_record(), AT + 0.0625).decode()
    longer = form.request(
        a_record(method="OPTIONS", path="/x y", attempts=2, finished=AT + 12.5), AT
    ).decode()
    assert short == (
        "08:00:00.125  info     request             200 GET          62.5 ms  /ledger/accounts              "
        "    route=ledger  token=memory  fp=abcdef012345  id=req-1\n"
    )
    assert longer.index(" ms ") == short.index(" ms ")
    assert longer.index("route=") == short.index("route=")
    assert '"/x y"' in longer
    assert "attempts=2" in longer
    assert "tenant=" not in longer


def test_the_console_writes_events_as_pairs() -> None:
    """Values with spaces are quoted, so that pairs stay pairs."""
    assert ConsoleLines(colour=False).event(a_refusal(), AT).decode() == (
        "08:00:00.062  warning  token_fetch_failed  token=ledger  service=ledger  outcome=unavailable  "
        'error="no answer"  duration_ms=1.0  retry_after=2.0\n'
    )


@pytest.mark.parametrize(
    ("form", "terminal", "environ", "coloured"),
    [
        ("console", True, {}, True),
        ("console", True, {"NO_COLOR": "1"}, False),
        ("console", False, {}, False),
        ("json", True, {}, False),
    ],
)
def test_colour_only_on_a_terminal_and_without_no_color(
    form: Literal["json", "console"], terminal: bool, environ: dict[str, str], coloured: bool
) -> None:
    """Escape sequences never reach a file, nor a terminal with NO_COLOR."""
    ends = pty.openpty() if terminal else os.pipe()
    try:
        line = lines(form, ends[1], environ).event(a_refusal(), AT)
    finally:
        for end in ends:
            os.close(end)
    assert (b"\x1b[" in line) is coloured
