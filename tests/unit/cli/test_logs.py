"""`sidecar logs`: what comes in, what is shown of it, and when."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cli.log_filter import event_names
from sidecar.cli.logs import LONGEST_LINE
from sidecar.telemetry.console import columns
from sidecar.telemetry.events import Event, Refused
from sidecar.telemetry.fleet_events import StoreUp
from sidecar.telemetry.request_record import RequestRecord
from sidecar.telemetry.sinks.log_lines import ConsoleLines, JsonLines
from tests.support.in_process import typed

AT = 1_800_000_000.25


def record(path: str, status: int = 200) -> RequestRecord:
    found = RequestRecord(AT, "GET", path, "a-1", "")
    found.finished = AT + 0.0125
    found.status = status
    found.route, found.tenant, found.fp, found.token = "ledger", "acme", "0123456789ab", "store"
    return found


REFUSED = Refused(
    request_id="a-1",
    route="ledger",
    tenant="acme",
    fp="0123456789ab",
    status=401,
    error="invalid_token",
    decision="renew",
)


@pytest.mark.parametrize("path", ["/ledger/1", "/a b", "/\x1b[31m", "/\u202e\ud800", "/" + "x" * 400])
@pytest.mark.parametrize("status", [200, 503])
def test_logs_shows_the_columns_of_the_console_format(path: str, status: int) -> None:
    """What `log.format: console` would have written, to the byte."""
    ours, theirs = JsonLines(), ConsoleLines(colour=False)
    told = [ours.request(record(path, status), AT), ours.event(REFUSED, AT), ours.event(StoreUp(3.0), AT)]
    done = typed("logs", stdin=b"".join(told))
    shown = [
        theirs.request(record(path, status), AT),
        theirs.event(REFUSED, AT),
        theirs.event(StoreUp(3.0), AT),
    ]
    assert (done.code, done.err) == (0, "")
    assert done.out.encode() == b"".join(shown)


def test_logs_passes_other_lines_untouched() -> None:
    """Traces, other programs' JSON, broken lines, long ones, and a last one without an end."""
    others = b"".join(
        (
            b"Traceback (most recent call last):\n",
            b'{"msg": "not ours"}\n',
            b'{"ts":"2026-01-01T00:00:00.000Z","level":"info"}\n',
            b'{"ts":"2026", "event": \n',
            b'{"ts":' + b"[" * 30_000 + b"\n",
            b'{"ts":' + b"1" * 5000 + b',"event":"x"}\n',
            b"\xff\xfe\x00\n\n",
            b"x" * LONGEST_LINE + JsonLines().event(StoreUp(1.0), AT),
            b'{"ts":"' + b"x" * 3 * LONGEST_LINE + b'","event":"x"}\n',
            b"no end",
        )
    )
    done = typed("logs", "--level", "error", stdin=others)
    assert done.out.encode(errors="surrogateescape") == others


@given(
    st.dictionaries(
        st.one_of(
            st.text(), st.sampled_from(["ts", "level", "event", "status", "path", "duration_ms", "attempts"])
        ),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.text(), max_size=2)
        ),
    ),
    st.sampled_from(["request", "refused"]),
)
def test_whatever_a_line_holds_it_stays_one_harmless_line(line: dict[str, object], event: str) -> None:
    """Printable ASCII, and only that."""
    shown = columns({**line, "event": event}, colour=False)
    assert shown.isascii()
    assert shown.isprintable()


def test_logs_shows_the_lines_that_are_asked_for() -> None:
    """Every filter must fit."""
    lines = JsonLines()
    other = record("/other", 503)
    other.tenant = "globex"
    told = lines.request(record("/one", 404), AT) + lines.request(other, AT) + lines.event(REFUSED, AT)

    def shown(*arguments: str) -> list[str]:
        done = typed("logs", *arguments, stdin=told)
        assert (done.code, done.err) == (0, "")
        return [
            next(word for word in line.split() if word in {"/one", "/other", "refused"})
            for line in done.out.splitlines()
        ]

    assert shown("--tenant", "acme", "--route", "ledger") == ["/one", "refused"]
    assert shown("--status", "404,5xx") == ["/one", "/other"]
    assert shown("--request-id", "a-1", "--event", "refused,resent") == ["refused"]
    assert shown("--level", "warning") == ["refused"]
    assert shown("--tenant", "globex", "--status", "404") == []


def test_logs_keeps_the_prefix_of_kubectl() -> None:
    """Which pod it was."""
    line = JsonLines().event(StoreUp(1.0), AT)
    done = typed("logs", stdin=b"[pod/ledger-1/sidecar] " + line)
    assert done.out == f"[pod/ledger-1/sidecar] {ConsoleLines(colour=False).event(StoreUp(1.0), AT).decode()}"


def test_o14_logs_reads_a_file(tmp_path: Path) -> None:
    """By its path, or standard input as `-`."""
    line = JsonLines().event(StoreUp(1.0), AT)
    file = tmp_path / "sidecar.log"
    file.write_bytes(line + b"other\n")
    shown = ConsoleLines(colour=False).event(StoreUp(1.0), AT).decode() + "other\n"
    assert typed("logs", str(file)) == (0, shown, "")
    assert typed("logs", "--level=info", str(file), stdin=b"not this") == (0, shown, "")
    assert typed("logs", "-", stdin=file.read_bytes()) == (0, shown, "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere", "No such file or directory"), ("", "Is a directory"), ("file/x", "Not a directory")],
)
def test_o14_logs_says_which_file_it_cannot_read(tmp_path: Path, name: str, reason: str) -> None:
    """And why."""
    (tmp_path / "file").touch()
    file = tmp_path / name
    done = typed("logs", str(file))
    assert (done.code, done.out) == (2, "")
    assert f"sidecar logs: cannot read {file}: {reason}; check the path" in done.err


@pytest.mark.parametrize(
    ("events", "warnings"),
    [
        ("requset", ["unknown event 'requset'; did you mean request?"]),
        (
            "request, Refused,token_fetch",
            [
                "unknown event 'Refused'; did you mean refused?",
                "unknown event 'token_fetch'; did you mean token_fetched?",
            ],
        ),
        ("bust_aplied", ["unknown event 'bust_aplied'; did you mean bust_applied?"]),
        ("quux", ["unknown event 'quux'; docs/reference/log-events.md lists them"]),
        ("refused,bust_applied,request", []),
        (",", []),
    ],
)
def test_o14_logs_warns_of_unknown_events(events: str, warnings: list[str]) -> None:
    """They are looked for all the same: a newer sidecar may have written the lines."""
    done = typed("logs", "--event", events, stdin=b'{"ts":"","level":"info","event":"quux"}\n')
    assert done.code == 0
    assert done.err.splitlines() == [f"sidecar: warning: {warning}" for warning in warnings]
    assert ("quux" in done.out) is (events in {"quux", ","})


def test_o14_logs_knows_each_event() -> None:
    """Those of requests and of the fleet, too."""
    assert event_names() == {"request", *(event.name for event in Event.__subclasses__())}


@pytest.mark.parametrize("level", ["WARNING", "Warn", "warn", "warning"])
def test_o14_logs_takes_a_level_as_people_write_it(level: str) -> None:
    """In any case, and `warn`."""
    told = JsonLines().event(REFUSED, AT) + JsonLines().event(StoreUp(1.0), AT)
    done = typed("logs", "--level", level, stdin=told)
    assert (done.code, [line.split()[2] for line in done.out.splitlines()]) == (0, ["refused"])


def test_logs_tells_wrong_usage() -> None:
    """A status that is none, a level that is none."""
    for arguments in (("--status", "4x"), ("--level", "loud")):
        done = typed("logs", *arguments)
        assert (done.code, done.out) == (2, "")
        assert arguments[0] in done.err
