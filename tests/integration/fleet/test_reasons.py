"""What an operator reads of a Redis that fails: the server's own words, or why there are none. Never a secret."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tls import Tls
from sidecar.fleet.redis.checks import Examination
from sidecar.fleet.redis.connect import connect
from sidecar.fleet.redis.guarded_client import GuardedClient
from sidecar.fleet.redis.library import Disconnected, NoScriptError, RedisClusterException, TimedOut
from sidecar.fleet.redis.reasons import reason
from sidecar.fleet.redis.scripts import CLAIM, keys_of
from sidecar.fleet.settings import RedisSettings, SentinelSettings
from sidecar.system.causes import NO_ANSWER
from sidecar.system.clock import SystemClock, SystemRandomness
from sidecar.telemetry.fleet_events import StoreDown
from tests.support.journal import RecordingJournal
from tests.support.redis_server import RedisServer, free_port
from tests.support.waiting import AT_LEISURE

CANARY = "canary-password"
FULL = "command not allowed when used memory > 'maxmemory'."
DISK = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
SCRIPT = "Error running script (call to f_1f8f4cfba6f3375f8c4ec02b9de4361a5dea5c64): @user_script:1: @user_script: 1: "


@asynccontextmanager
async def answering(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[RedisSettings]:
    """A server that answers this to whatever it is sent; nothing ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(answer)
            if not answer:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield RedisSettings(hosts=(("127.0.0.1", port),), username="me", password=Secret(CANARY))


async def trouble(settings: RedisSettings, *, limit: float = AT_LEISURE) -> tuple[str, str]:
    """Why the store is said to be down by a pod with these settings, and what `sidecar check` finds."""
    journal, clock = RecordingJournal(), SystemClock()
    client = GuardedClient(
        lambda: connect(settings, timeout=10 * limit),
        key_prefix="",
        operation_timeout=limit,
        clock=clock,
        randomness=SystemRandomness(),
        journal=journal,
    )
    try:
        while client.up:
            await client.run(CLAIM, keys_of("m2m:a:token:b"), "owner", 1000, "")
        assert client.pulse.health.why == client.trouble
        (down,) = [event for event in journal.events if isinstance(event, StoreDown)]
        assert down.error == client.trouble
    finally:
        await client.close()
    examination = Examination(connect(settings, timeout=limit))
    try:
        finding = await examination.log_in()
    finally:
        await examination.close()
    assert finding.outcome == "failed"
    assert CANARY not in f"{down.error} {finding}"
    assert "Error" not in f"{down.error} {finding.detail}"
    return down.error, finding.detail


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("ERR DB index is out of range", "DB index is out of range"),
        (
            "READONLY You can't write against a read only replica.",
            "READONLY You can't write against a read only replica.",
        ),
        (f"OOM {FULL}", f"OOM {FULL}"),
        (f"ERR {SCRIPT}-OOM {FULL}", f"OOM {FULL}"),
        ("NOAUTH Authentication required.", "NOAUTH Authentication required."),
        (
            "WRONGPASS invalid username-password pair or user is disabled.",
            "WRONGPASS invalid username-password pair or user is disabled.",
        ),
        ("LOADING Redis is loading the dataset in memory", "LOADING Redis is loading the dataset in memory"),
        (DISK * 5, (DISK * 5)[:200]),
        ("CLUSTERDOWN The cluster is down", "CLUSTERDOWN The cluster is down"),
        ("MASTERDOWN Link with MASTER is down and stale", "MASTERDOWN Link with MASTER is down and stale"),
        ("NOREPLICAS Not enough good replicas to write.", "NOREPLICAS Not enough good replicas to write."),
        ("BUSY Redis is busy running a script.", "BUSY Redis is busy running a script."),
        ("NOPERM this user has no permissions", "this user has no permissions"),
        ("ERR max number of clients reached", "max number of clients reached"),
        ("ERR invalid password", "invalid password"),
        (
            f"ERR unknown command `AUTH`, with args beginning with: `me`, `{CANARY}`, ",
            "unknown command `AUTH`",
        ),
        (f"ERR unknown command 'AUTH', with args beginning with: 'me' '{CANARY}' ", "unknown command 'AUTH'"),
        (f"ERR no user me with {CANARY} here", "no user me with *** here"),
        (f"DENIED {CANARY} is no password", "DENIED *** is no password"),
        ("ERR a\x1b[2Jb\tc", "a[2Jb c"),
    ],
)
async def test_r4_an_error_answer_is_shown_in_the_servers_words(answer: str, words: str) -> None:
    """In one bounded line, without place in a script, arguments, control characters or the password."""
    async with answering(f"-{answer}\r\n".encode()) as settings:
        down, found = await trouble(settings)
    assert down == words
    assert found.endswith(words)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "it closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not answer in the Redis protocol"),
        (b"220 mail.example.com ESMTP\r\n", "it does not answer in the Redis protocol"),
    ],
)
async def test_r4_what_is_no_answer_is_named_in_plain_words(answer: bytes, words: str) -> None:
    """No name of a class."""
    async with answering(answer) as settings:
        assert await trouble(settings) == (words, words)


async def test_r4_a_port_on_which_nothing_listens_is_named() -> None:
    """By what the system says of it, also where the name has several addresses, and behind Sentinels."""
    port = free_port()
    for host in ("127.0.0.1", "localhost"):
        assert (await trouble(RedisSettings(hosts=((host, port),))))[0] == "Connection refused"
    assert (await trouble(RedisSettings(unix_path="/nowhere.sock")))[0] == "No such file or directory"


async def test_r4_a_password_file_that_is_gone_is_named(redis_server: RedisServer, tmp_path: Path) -> None:
    """With its path."""
    missing = str(tmp_path / "password")
    settings = replace(redis_server.settings(""), password=SecretFile(missing))
    assert (await trouble(settings))[0] == f"{missing}: No such file or directory"


async def test_r4_a_server_that_is_silent_gives_no_answer_in_time() -> None:
    """Whichever time-out ends it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = RedisSettings(hosts=(("127.0.0.1", silent.getsockname()[1]),))
        assert await trouble(settings, limit=0.1) == (NO_ANSWER, NO_ANSWER)


async def test_r4_sentinels_that_do_not_know_the_server_are_named(redis_server: RedisServer) -> None:
    """In redis-py's words."""
    settings = RedisSettings(hosts=(("127.0.0.1", free_port()),), sentinel=SentinelSettings("fleet"))
    assert "No master found for 'fleet'" in (await trouble(settings))[0]


async def test_r4_a_certificate_of_an_unknown_authority_is_named() -> None:
    """In OpenSSL's words, and a port that does not speak TLS too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    for server_context, words in (
        (context, "TLS failed: unable to get local issuer certificate: "),
        (None, "TLS failed: "),
    ):
        async with answering(b"-ERR x\r\n", server_context) as settings:
            assert (await trouble(replace(settings, tls=Tls())))[0].startswith(words)


def expired() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message, error.verify_code = "certificate has expired", 10
    return error


def caused(error: Exception, cause: BaseException) -> Exception:
    """What redis-py raises because of the other."""
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            caused(Disconnected("Error 1 connecting to r:6379."), expired()),
            "TLS failed: certificate has expired: renew it, or the authority's in its chain",
        ),
        (caused(Disconnected("reading"), ConnectionResetError(104, "x")), "Connection reset by peer"),
        (
            caused(Disconnected("Connection closed by server."), NoScriptError("No matching script")),
            "it closed the connection",
        ),
        (
            caused(
                Disconnected("Error -2 connecting to r:6379."),
                socket.gaierror(-2, "Name or service not known"),
            ),
            "Name or service not known",
        ),
        (
            caused(
                Disconnected("Error Multiple"), OSError("Multiple exceptions: [Errno 111] a, [Errno 111] b")
            ),
            "Connection refused",
        ),
        (TimedOut("Timeout connecting to server"), NO_ANSWER),
        (
            RedisClusterException("ERROR sending 'cluster slots': timed out"),
            "ERROR sending 'cluster slots': timed out",
        ),
        (KeyError(CANARY), "unexpected error (KeyError)"),
        (ValueError(CANARY), "unexpected error (ValueError)"),
    ],
)
def test_r4_the_cause_of_an_error_is_what_is_shown(error: Exception, words: str) -> None:
    """The system's or TLS's own words; of a bug only its kind, for its text may quote anything."""
    assert reason(error) == words
