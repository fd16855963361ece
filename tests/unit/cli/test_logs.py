"""`sidecar logs`: what comes in, what is shown of it, and when."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from tests import ROOT
from tests.support.commands import command, on_terminal
from tests.support.environment import bare
from tests.support.processes import File, route, run
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE

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
async def test_logs_shows_the_columns_of_the_console_format(path: str, status: int) -> None:
    """What `log.format: console` would have written, to the byte."""
    ours, theirs = JsonLines(), ConsoleLines(colour=False)
    told = [ours.request(record(path, status), AT), ours.event(REFUSED, AT), ours.event(StoreUp(3.0), AT)]
    done = await command("logs", stdin=b"".join(told))
    shown = [
        theirs.request(record(path, status), AT),
        theirs.event(REFUSED, AT),
        theirs.event(StoreUp(3.0), AT),
    ]
    assert (done.code, done.err) == (0, "")
    assert done.out.encode() == b"".join(shown)


async def test_logs_passes_other_lines_untouched() -> None:
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
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "logs", "--level", "error"),
        cwd=ROOT,
        env=bare(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate(others)
    assert out == others


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


async def test_logs_shows_the_lines_that_are_asked_for() -> None:
    """Every filter must fit."""
    lines = JsonLines()
    other = record("/other", 503)
    other.tenant = "globex"
    told = lines.request(record("/one", 404), AT) + lines.request(other, AT) + lines.event(REFUSED, AT)

    async def shown(*arguments: str) -> list[str]:
        done = await command("logs", *arguments, stdin=told)
        assert (done.code, done.err) == (0, "")
        return [
            next(word for word in line.split() if word in {"/one", "/other", "refused"})
            for line in done.out.splitlines()
        ]

    assert await shown("--tenant", "acme", "--route", "ledger") == ["/one", "refused"]
    assert await shown("--status", "404,5xx") == ["/one", "/other"]
    assert await shown("--request-id", "a-1", "--event", "refused,resent") == ["refused"]
    assert await shown("--level", "warning") == ["refused"]
    assert await shown("--tenant", "globex", "--status", "404") == []


async def test_logs_keeps_the_prefix_of_kubectl() -> None:
    """Which pod it was."""
    line = JsonLines().event(StoreUp(1.0), AT)
    done = await command("logs", stdin=b"[pod/ledger-1/sidecar] " + line)
    assert done.out == f"[pod/ledger-1/sidecar] {ConsoleLines(colour=False).event(StoreUp(1.0), AT).decode()}"


@asynccontextmanager
async def reading() -> AsyncIterator[asyncio.subprocess.Process]:
    """`sidecar logs` that waits for lines."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "logs"),
        cwd=ROOT,
        env=bare(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
            await child.communicate()


async def test_logs_shows_each_line_as_it_comes_until_ctrl_c() -> None:
    """As behind `kubectl logs -f`: nothing waits for the next line, and the end is clean."""
    async with reading() as child, asyncio.timeout(PATIENCE):
        assert child.stdin is not None
        assert child.stdout is not None
        for path in ("/one", "/two"):
            child.stdin.write(JsonLines().request(record(path), AT))
            assert path.encode() in await child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert await child.communicate() == (b"", b"")
        assert child.returncode == 0


async def test_logs_ends_quietly_when_its_reader_leaves() -> None:
    """As with `| head -1`."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", "logs"),
        cwd=ROOT,
        env=bare(),
        stdin=asyncio.subprocess.PIPE,
        stdout=write_end,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write_end)
    _, err = await child.communicate(JsonLines().request(record("/one"), AT) * 1000)
    assert (child.returncode, err) == (0, b"")


async def test_logs_colours_what_is_shown_on_a_terminal() -> None:
    """Warnings stand out; with NO_COLOR nothing does."""
    line = JsonLines().request(record("/one", 503), AT)
    for environ, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        async with on_terminal("logs", environ=environ) as screen:
            await screen.shows(b"pipe log lines in here")
            await screen.types(line)
            await screen.shows(b"/one", 2)  # the terminal's own echo first
            await screen.types(b"\x04")
            assert await screen.ends() == 0
        assert (b"\x1b[33m" in screen.shown) is coloured


async def test_logs_of_a_running_sidecar(file: File, upstream: Upstream) -> None:
    """The one line of the one request."""
    async with run(file, route(upstream)) as process:
        await process.get(b"/hello")
        await process.logs("request")
        done = await command("logs", "--event", "request", stdin=bytes(process.stdout))
    [line] = done.out.splitlines()
    assert line.split()[1:5] == ["info", "request", "200", "GET"]
    assert " /hello " in line


async def test_o14_logs_reads_a_file(tmp_path: Path) -> None:
    """By its path, or standard input as `-`."""
    line = JsonLines().event(StoreUp(1.0), AT)
    file = tmp_path / "sidecar.log"
    file.write_bytes(line + b"other\n")
    shown = ConsoleLines(colour=False).event(StoreUp(1.0), AT).decode() + "other\n"
    assert await command("logs", str(file)) == (0, shown, "")
    assert await command("logs", "--level=info", str(file), stdin=b"not this") == (0, shown, "")
    assert await command("logs", "-", stdin=file.read_bytes()) == (0, shown, "")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("nowhere", "No such file or directory"), ("", "Is a directory"), ("file/x", "Not a directory")],
)
async def test_o14_logs_says_which_file_it_cannot_read(tmp_path: Path, name: str, reason: str) -> None:
    """And why."""
    (tmp_path / "file").touch()
    file = tmp_path / name
    done = await command("logs", str(file))
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
async def test_o14_logs_warns_of_unknown_events(events: str, warnings: list[str]) -> None:
    """They are looked for all the same: a newer sidecar may have written the lines."""
    done = await command("logs", "--event", events, stdin=b'{"ts":"","level":"info","event":"quux"}\n')
    assert done.code == 0
    assert done.err.splitlines() == [f"sidecar: warning: {warning}" for warning in warnings]
    assert ("quux" in done.out) is (events in {"quux", ","})


def test_o14_logs_knows_each_event() -> None:
    """Those of requests and of the fleet, too."""
    assert event_names() == {"request", *(event.name for event in Event.__subclasses__())}


@pytest.mark.parametrize("level", ["WARNING", "Warn", "warn", "warning"])
async def test_o14_logs_takes_a_level_as_people_write_it(level: str) -> None:
    """In any case, and `warn`."""
    told = JsonLines().event(REFUSED, AT) + JsonLines().event(StoreUp(1.0), AT)
    done = await command("logs", "--level", level, stdin=told)
    assert (done.code, [line.split()[2] for line in done.out.splitlines()]) == (0, ["refused"])


async def test_logs_tells_wrong_usage() -> None:
    """A status that is none, a level that is none."""
    for arguments in (("--status", "4x"), ("--level", "loud")):
        done = await command("logs", *arguments)
        assert (done.code, done.out) == (2, "")
        assert arguments[0] in done.err
