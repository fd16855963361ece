"""`sidecar bust` against a real admin server: what is asked, printed and returned."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.admin import server as admin
from sidecar.admin.server import AdminServer
from sidecar.app.listen import bind
from sidecar.fleet.answers import SelectOutcome
from tests.support.admin_server import TOKEN, State
from tests.support.authorization_server import json_answer
from tests.support.commands import command
from tests.support.environment import bare
from tests.support.journal import RecordingJournal
from tests.support.loaded_modules import HEAVY, loaded
from tests.support.upstream import Script, Upstream, closing


class Operator:
    """An operator at a shell, and the admin server that gets the requests."""

    def __init__(self, state: State, server: AdminServer) -> None:
        self.state = state
        self.url = f"http://{server.address}"

    async def bust(self, *arguments: str, **environ: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of `sidecar bust …`."""
        command = [sys.executable, "-m", "sidecar", "bust", *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, env=bare(environ), check=False
        )
        assert TOKEN not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    state = State()
    server = await admin.start(state, "127.0.0.1:0", RecordingJournal(), bind)
    yield Operator(state, server)
    await server.close()


async def test_o8_bust_names_labels_and_says_what_each_pod_dropped(operator: Operator) -> None:
    """The token comes from the environment, as in the pod itself."""
    code, out, err = await operator.bust(
        "--tenant", "acme", "--service=ledger", "--admin", operator.url, SIDECAR_ADMIN_TOKEN=TOKEN
    )
    assert (code, out, err) == (0, "tenant=acme service=ledger: 3 pods answered: a dropped 2, b 0, c 1\n", "")
    assert operator.state.busted == [frozenset({("tenant", "acme"), ("service", "ledger")})]


async def test_o8_bust_warns_of_labels_that_the_pod_does_not_have(operator: Operator) -> None:
    """On standard error, harmless to a terminal; the bust was sent, so the exit code is 0."""
    operator.state.unknown = ["tenant=acmee: did you mean acme?", "service=\x1b[2Jx: no such service"]
    code, out, err = await operator.bust(
        "--tenant", "acmee", "--admin", operator.url, SIDECAR_ADMIN_TOKEN=TOKEN
    )
    assert (code, out) == (0, "tenant=acmee: 3 pods answered: a dropped 2, b 0, c 1\n")
    first, second = err.splitlines()
    assert first == "sidecar: warning: tenant=acmee: did you mean acme?"
    assert second.startswith("sidecar: warning: service=")
    assert "\x1b" not in second


async def test_o14_admin_takes_an_address(operator: Operator) -> None:
    """`host:port`, as the sidecar writes it in its own log."""
    address = operator.url.removeprefix("http://")
    code, out, err = await operator.bust("--all", "--admin", address, SIDECAR_ADMIN_TOKEN=TOKEN)
    assert (code, out, err) == (0, "all: 3 pods answered: a dropped 2, b 0, c 1\n", "")
    done = await command("status", f"--admin={address}", "--healthcheck")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize("way", ["flag", "variable"])
async def test_b52_bust_reads_its_token_from_a_file(operator: Operator, tmp_path: Path, way: str) -> None:
    """A byte order mark and a line break at the end are no part of it."""
    file = tmp_path / "token"
    file.write_text(f"\ufeff{TOKEN}\n")
    operator.state.outcome = SelectOutcome(1, {"a": 2})
    flag, environ = (
        (["--token-file", str(file)], {}) if way == "flag" else ([], {"SIDECAR_ADMIN_TOKEN_FILE": str(file)})
    )
    assert await operator.bust("--all", "--admin", operator.url, *flag, **environ) == (
        0,
        "all: 1 pod answered: a dropped 2\n",
        "",
    )
    assert operator.state.busted == [frozenset()]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "one or more labels, or --all"),
        (["--all", "--user", "alice"], "one or more labels, or --all"),
        (["--user", ""], "user requires 1 to 256 printable characters"),
        (["--all", "--token-file", "/nope"], "/nope: No such file or directory"),
        (["--all", "--token-file", __file__], "it holds a control character or a line break"),
        (["--ten", "acme"], "unknown flag --ten; did you mean --tenant?"),
    ],
)
async def test_b52_wrong_usage_asks_nobody(operator: Operator, arguments: list[str], reason: str) -> None:
    """Exit code 2, and what to write instead."""
    code, out, err = await operator.bust(*arguments, "--admin", operator.url, SIDECAR_ADMIN_TOKEN=TOKEN)
    assert (code, out, operator.state.busted) == (2, "", [])
    assert reason in err


async def test_b52_a_refused_bust_says_why(operator: Operator) -> None:
    """Exit code 1 with the admin server's own words."""
    code, out, err = await operator.bust("--all", "--admin", operator.url, SIDECAR_ADMIN_TOKEN="wrong")
    assert (code, out) == (1, "")
    assert err.startswith(f"sidecar: {operator.url} answered 401: send the admin.token as a bearer token; ")
    assert "pass the admin.token of that pod with --token-file" in err


async def test_a_bust_of_a_pod_without_admin_token_says_what_to_set(operator: Operator) -> None:
    """403: the cause is in that pod."""
    operator.state.token = None
    code, out, err = await operator.bust("--all", "--admin", operator.url, SIDECAR_ADMIN_TOKEN=TOKEN)
    assert (code, out) == (1, "")
    assert "answered 403: busting is disabled: no readable admin.token; set admin.token in the conf" in err


@pytest.mark.parametrize("status", [401, 403, 404, 502])
@pytest.mark.parametrize("command_", ["bust", "status"])
async def test_another_server_is_not_taken_for_a_sidecar(status: int, command_: str) -> None:
    """A proxy or a gateway that refuses is not about the admin.token."""
    async with Upstream() as server:
        server.script(json_answer(status, {"message": "no"}))
        flags = ["--all"] if command_ == "bust" else []
        done = await command(command_, *flags, "--admin", server.url)
    assert (done.code, done.out) == (1, "")
    assert f"answered {status}: " in done.err
    assert done.err.endswith("this is not a sidecar's answer; check --admin\n")
    assert "admin.token" not in done.err


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1", "http://[::1", "ftp://127.0.0.1", "http://", "http://x/y", "http://x?y"],
)
async def test_b52_an_odd_address_is_wrong_usage(operator: Operator, url: str) -> None:
    """Exit code 2 and how to write it."""
    code, out, err = await operator.bust("--all", "--admin", url, SIDECAR_ADMIN_TOKEN=TOKEN)
    assert (code, out) == (2, "")
    assert "write host:port, such as 127.0.0.1:9181, http://host:port or unix:/absolute/path" in err


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        (
            "http://127.0.0.1:1",
            "connection refused; check that the sidecar is running, and that this is its admin.listen",
        ),
        (
            "unix:/no/socket",
            "the socket does not exist; check that the sidecar is running, and that this is its admin.listen",
        ),
        ("http://nobody.invalid", "the name does not resolve"),
        ("https://{address}", "it does not answer in TLS; write http://"),
    ],
)
async def test_b52_nobody_there_is_told_with_what_to_do(operator: Operator, url: str, hint: str) -> None:
    """Exit code 69: the address, and in words what is wrong there, in place of an errno."""
    url = url.format(address=operator.url.removeprefix("http://"))
    code, out, err = await operator.bust("--all", "--admin", url, SIDECAR_ADMIN_TOKEN=TOKEN)
    assert (code, out, err) == (69, "", f"sidecar: no answer from {url}: {hint}\n")


async def test_b52_what_is_no_sidecar_is_told(operator: Operator) -> None:
    """A server that closes the connection, and one of another protocol."""

    async def answered(content: bytes) -> str:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(content)
            writer.write_eof()
            await reader.read()
            writer.close()

        async with await asyncio.start_server(speak, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            code, _, err = await operator.bust("--all", "--admin", f"http://127.0.0.1:{port}")
        assert code == 69
        return err.partition(f"{port}: ")[2]

    assert await answered(b"") == "it closed the connection; check that this is admin.listen, not listen\n"
    assert await answered(b"-ERR unknown command\r\n") == "the answer is not HTTP\n"


EVIL = "\x1b]0;owned\x07\r\n\u202e" + "x" * 5000


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(403, {"detail": EVIL}),
        json_answer(200, {"select": EVIL, "pods": EVIL}),
        json_answer(200, {"detail": EVIL}),
        closing(b"HTTP/1.1 200 \x1b[31m\r\nContent-Length: 30000\r\n\r\n" + b"[" * 30_000),
    ],
)
async def test_what_a_hostile_server_says_does_nothing_to_the_terminal(answer: Script) -> None:
    """Whatever answers in place of a sidecar; the exit code says that it did not do what it was asked."""
    async with Upstream() as server:
        server.script(answer)
        done = await command("bust", "--all", "--admin", server.url)
    assert [one for one in done.out + done.err if not one.isprintable() and one != "\n"] == []
    assert (done.code, done.err.count("\n")) == ((0, 0) if done.out else (1, 1))


@pytest.mark.parametrize("command", [["bust", "--all"], ["status", "--healthcheck"], ["status"]])
def test_what_asks_a_running_sidecar_loads_nothing_heavy(command: list[str]) -> None:
    """It answers at once, in a probe too; an https admin server is what `ssl` is there for."""
    assert HEAVY & loaded(*command, "--admin", "http://127.0.0.1:1") <= {"ssl"}


def test_keygen_loads_nothing_heavy() -> None:
    """It has only a number to print."""
    assert HEAVY & loaded("keygen") == set()
