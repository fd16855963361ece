"""What `make histories` reads from Redis, plants in the code, and writes into its page."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.histories.facts import Violation
from tests.histories.faults import FAULTS, Fault, changed
from tests.histories.history import Asked, Busted, Deleted, Event, Extended, Filling, Lost, Wrote
from tests.histories.monitor import Monitor
from tests.histories.operations import WEIGHTS, Operations, plan
from tests.histories.page import broken, faults, figures, listed
from tests.histories.runs import Result
from tests.protocol.page import PAGE, invariants

DIGEST = "0f" * 32
KEY = f"hist:m2m:a:token:{DIGEST}"
BUST = rb"{\"v\":1,\"kind\":\"token\",\"key\":\"m2m:a:token:%b\",\"fp\":\"f1\",\"gen\":7,\"from\":\"p\"}" % (
    DIGEST.encode()
)


def line(at: str, client: str, *words: str) -> bytes:
    quoted = " ".join(f'"{word}"' for word in words)
    return f"+{at} [0 {client}] {quoted}\r\n".encode()


def read(*lines: bytes) -> list[Event]:
    monitor = Monitor(lambda port: {5001: 1, 5002: 2}.get(port, 0), lambda fp: {"f1": "t1"}.get(fp, ""))
    return [event for each in lines for event in monitor.read(each)]


FILL = line(
    "1.5", "127.0.0.1:5001", "EVALSHA", "ab", "6", KEY, *"23456", "me", "7", r"1:k1:f1:7:\xff\"", "9", "ch"
)


@pytest.mark.parametrize(
    ("lines", "events"),
    [
        ([FILL], []),  # the server does not know the script
        ([FILL, line("1.6", "lua", "TIME")], [Filling(1.5, 1, 1, "a", "t1", 7)]),
        (
            [line("2.0", "lua", "SET", KEY, r"1:k1:f1:7:\x00", "PX", "1500")],
            [Wrote(2.0, 0, 0, "a", "value", "t1", 1.5)],
        ),
        (
            [line("2.0", "lua", "SET", f"{{{KEY}}}:dead", "f1 123", "PX", "1000")],
            [Wrote(2.0, 0, 0, "a", "dead", "t1", 1.0)],
        ),
        (
            [line("2.0", "lua", "SET", f"{{{KEY}}}:gen", "17", "PX", "1000")],
            [Wrote(2.0, 0, 0, "a", "gen", "17", 1.0)],
        ),
        (
            [line("2.0", "lua", "HSET", f"{{{KEY}}}:cool", "until", "2500", "probing", "1")],
            [Wrote(2.0, 0, 0, "a", "cool", "2.500", 0.0, probing=True)],
        ),
        ([line("2.0", "lua", "PEXPIRE", f"{{{KEY}}}:lease", "3000")], [Extended(2.0, 0, 0, "a", 3.0)]),
        ([line("2.0", "lua", "PEXPIRE", f"{{{KEY}}}:cool", "3000")], []),
        ([line("2.0", "127.0.0.1:5002", "DEL", KEY)], [Deleted(2.0, 2, 1, "a", "value")]),
        (
            [line("2.0", "127.0.0.1:5002", "PUBLISH", "hist:m2m:bust", BUST.decode())],
            [Busted(2.0, 2, 1, "a", "t1", 7, scripted=False)],
        ),
        ([line("2.0", "127.0.0.1:6000", "PUBLISH", "hist:m2m:bust", BUST.decode())], []),  # no pod
        ([line("2.0", "127.0.0.1:5002", "PUBLISH", "hist:m2m:bust", "junk")], []),
        ([line("2.0", "127.0.0.1:6000", "FLUSHALL")], [Lost(2.0)]),
        ([b"+OK\r\n", line("2.0", "lua", "SET", "hist:m2m:probe", "")], []),
    ],
)
def test_what_redis_executes_is_read(lines: Sequence[bytes], events: Sequence[Event]) -> None:
    """A script's commands belong to the pod that called it; others do not count."""
    assert read(*lines) == events


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_applies_to_one_place_of_the_code(fault: Fault) -> None:
    """It changes the code, which stays Python."""
    assert fault.new != fault.old
    compile(changed(fault), fault.module, "exec")


def test_a_fault_whose_place_has_changed_is_an_error() -> None:
    """Else a run would find nothing, and show nothing."""
    gone = Fault("gone", "", 1, "fleet/messages.py", "no such text", "")
    with pytest.raises(ValueError, match="has 0 places for the fault gone"):
        changed(gone)


def test_the_plan_is_the_same_for_a_seed() -> None:
    """So a history can be repeated; every operation of it exists."""
    assert plan(3, 50) == plan(3, 50) != plan(4, 50)
    assert set(plan(1, 2000)) == set(WEIGHTS)
    assert [name for name in WEIGHTS if not callable(getattr(Operations, name, None))] == []


def test_tables_have_what_was_found() -> None:
    """With the fault's name, so that a reader can repeat it."""
    result = Result(12, [Asked(1.0, 1, 1, "a")], [Violation(3, "", ()), Violation(1, "", ())], [], 1)
    assert FAULTS[0].breaks == 1
    assert "| 1 | 12 |" in faults({FAULTS[0]: result})
    assert listed(faults({FAULTS[0]: result})) == [(FAULTS[0].name, 1)]
    assert broken(result, replace(FAULTS[0], breaks=2)) == 3
    assert broken(Result(1, [], [], [], 1), FAULTS[0]) == 0
    table = figures([result, result])
    assert "| Operations | 24 |" in table
    assert "| Requests of clients | 2 |" in table


def test_the_page_lists_every_fault_with_its_invariant() -> None:
    """Every invariant but the last is known to be able to fail in the code."""
    assert listed(PAGE.read_text()) == [(fault.name, fault.breaks) for fault in FAULTS]
    numbers = [number for number, _ in invariants(PAGE.read_text())]
    assert {fault.breaks for fault in FAULTS} == set(numbers[:-1])
