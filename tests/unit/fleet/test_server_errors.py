"""Which error answers mean that a pod is connected to the wrong server, and how often it may look for another."""

from itertools import pairwise

import pytest

from sidecar.fleet.redis.server_errors import ELSEWHERE, Departures, code_of

SCRIPT = "Error running script (call to f_1f8f4cfba6f3375f8c4ec02b9de4361a5dea5c64): @user_script:1: @user_script: 1: "
OF_7 = " script: 1f8f4cfba6f3375f8c4ec02b9de4361a5dea5c64, on @user_script:1."


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("READONLY You can't write against a read only replica.", "READONLY"),
        (f"READONLY You can't write against a read only replica.{OF_7}", "READONLY"),
        (f"ERR {SCRIPT}-READONLY You can't write against a read only replica.", "READONLY"),
        (f"{SCRIPT}-READONLY You can't write against a read only replica.", "READONLY"),
        ("@user_script: 1: -READONLY You can't write against a read only replica.\r\n", "READONLY"),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "MASTERDOWN"),
        (f"{SCRIPT}-NOREPLICAS Not enough good replicas to write.", "NOREPLICAS"),
        ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS"),
        ("LOADING Redis is loading the dataset in memory", "LOADING"),
    ],
)
def test_r2_a_server_that_sends_its_clients_away_is_recognised(text: str, code: str) -> None:
    """However Redis 6.2 and 7 wrap the error, in a script or not."""
    assert code_of(text) == code
    assert code in ELSEWHERE


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("BUSY Redis is busy running a script. You can only call SCRIPT KILL", "BUSY"),
        ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN"),
        ("TRYAGAIN Multiple keys request during rehashing of slot", "TRYAGAIN"),
        ("MISCONF Redis is configured to save RDB snapshots, but …", "MISCONF"),
        (f"{SCRIPT}-OOM command not allowed when used memory > 'maxmemory'.", "OOM"),
        (f"OOM command not allowed when used memory > 'maxmemory'.{OF_7}", "OOM"),
        (f"{SCRIPT}WRONGTYPE Operation against a key holding the wrong kind of value", "WRONGTYPE"),
        (f"{SCRIPT}The user executing the script can't run this command or subcommand", ""),
        ("wrong number of arguments for 'READONLY' command", ""),
        ("unknown command 'EVALSHA', with args beginning with: 'READONLY'", ""),
        ("", ""),
    ],
)
def test_r2_other_errors_keep_the_connection(text: str, code: str) -> None:
    """They pass, or they are an operator's to end; on another connection they would be the same."""
    assert code_of(text) == code
    assert code not in ELSEWHERE


def test_r2_leaving_again_and_again_takes_longer_each_time() -> None:
    """At once, then after pauses that double to a limit; after a minute of calm at once again."""
    departures, now, left = Departures(), 1000.0, list[float]()
    for _ in range(1200):
        if departures.may_leave(now):
            left.append(now - 1000.0)
        now += 0.05
    pauses = [later - earlier for earlier, later in pairwise(left)]
    assert left[0] == 0.0
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8], abs=0.051)
    assert departures.may_leave(now + Departures.CALM)
    assert departures.may_leave(now + Departures.CALM + Departures.FIRST_PAUSE)
