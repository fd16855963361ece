"""What a crash leaves, and what other processes of the same user may read: nothing, unless that is allowed (Linux)."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import yaml

from sidecar.cli import dumps
from sidecar.cli.main import COMMANDS
from tests import ROOT
from tests.support.authorization_server import AuthorizationServer
from tests.support.processes import PIPE, Child, watching
from tests.support.waiting import PATIENCE

WITHOUT_PRIVILEGE = ("setpriv", "--inh-caps=-all", "--bounding-set=-all") if os.geteuid() == 0 else ()
"""What takes root's privileges away: with them it may read any process."""
_PR_GET_DUMPABLE = 3
LOOK = f"""
import contextlib, ctypes, io, resource, sys
from sidecar.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    with contextlib.suppress(SystemExit):
        main(sys.argv[1:])
print(ctypes.CDLL(None).prctl({_PR_GET_DUMPABLE}, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""
READ = """
import sys
for name in ("mem", "environ", "maps", "fd/0"):
    try:
        open(f"/proc/{sys.argv[1]}/{name}", "rb").close()
        print("open", name)
    except PermissionError:
        print("closed", name)
"""


async def output(*command: str, environ: Mapping[str, str] | None = None) -> str:
    child = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=environ or {}, stdin=asyncio.subprocess.DEVNULL, stdout=PIPE
    )
    out, _ = await child.communicate()
    assert child.returncode == 0
    return out.decode()


def core_limit(pid: int) -> list[str]:
    """The soft and the hard one, as the kernel writes them."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line.split()[-3:-1] for line in lines if line.startswith("Max core file size"))


def files(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


@asynccontextmanager
async def with_secret(
    command: Sequence[str], directory: Path, server: AuthorizationServer, environ: Mapping[str, str]
) -> AsyncIterator[Child]:
    """The command at the moment at which it holds a secret: it has asked for a token, and waits for the answer."""
    server.hold = asyncio.Event()
    config = directory / "config.yaml"
    document = {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "credentials": {"app": {"client_id": "app", "client_secret": {"env": "CLIENT_SECRET"}}},
        "tokens": {"api": {"token_endpoint": server.token_endpoint, "credentials": "app"}},
        "routes": [{"name": "api", "match": {"prefix": "/"}, "upstream": server.url, "token": "api"}],
    }
    config.write_text(yaml.safe_dump(document))
    shell = 'ulimit -c unlimited; cd "$1"; shift; exec "$@"'
    child = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", shell, "sh", str(directory), *WITHOUT_PRIVILEGE),
        *(sys.executable, "-m", "sidecar", *command, "-c", str(config)),
        env={"CLIENT_SECRET": "canary", "PATH": os.defpath, "PYTHONPATH": str(ROOT), **environ},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    async with watching(child):
        async with asyncio.timeout(PATIENCE):
            await server.reached(1)
        yield child


@pytest.mark.parametrize("command", [["run"], ["check"]], ids=lambda command: str(command[0]))
async def test_s4_nobody_of_the_same_user_reads_its_memory_and_a_crash_leaves_none(
    command: list[str], tmp_path: Path, authorization_server: AuthorizationServer
) -> None:
    """By default, whatever limit it was started with."""
    async with with_secret(command, tmp_path, authorization_server, {}) as child:
        found = await output(*WITHOUT_PRIVILEGE, sys.executable, "-c", READ, str(child.pid))
        limit = core_limit(child.pid)
        child.send_signal(signal.SIGABRT)
        assert await child.wait() == -signal.SIGABRT
    assert found.split() == ["closed", "mem", "closed", "environ", "closed", "maps", "closed", "fd/0"]
    assert limit == ["0", "0"]
    assert files(tmp_path) == ["config.yaml"]


async def test_s4_a_debugger_is_let_in_where_that_is_allowed(
    tmp_path: Path, authorization_server: AuthorizationServer
) -> None:
    """The limit is then what it was started with."""
    async with with_secret(["run"], tmp_path, authorization_server, {dumps.ALLOW: "true"}) as child:
        found = await output(*WITHOUT_PRIVILEGE, sys.executable, "-c", READ, str(child.pid))
        limit = core_limit(child.pid)
        child.kill()
    assert "closed" not in found
    assert limit[0] == "unlimited"


NOWHERE = ["-c", "/nonexistent"]
ARGUMENTS: Mapping[str, Sequence[str]] = {
    "run": NOWHERE,
    "validate": NOWHERE,
    "check": NOWHERE,
    "explain": ["GET", "/", *NOWHERE],
    "status": ["--admin", "http://127.0.0.1:1"],
    "logs": [],
    "bust": ["--all", "--admin", "http://127.0.0.1:1"],
    "inject": ["-f", "/nonexistent", "--remove"],
    "keygen": [],
    "schema": [],
    "completion": ["bash"],
    "init": [],
    "help": [],
    "version": [],
}
"""What each command is called with; most find that they cannot do it."""


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_s4_every_command_forbids_dumps(name: str) -> None:
    """Each may read a secret, or be given one."""
    assert set(ARGUMENTS) == set(COMMANDS) - {"demo"}
    assert await output(sys.executable, "-c", LOOK, name, *ARGUMENTS[name]) == "0 0 0\n"


@pytest.mark.parametrize(
    ("value", "dumpable"),
    [
        ("true", 1),
        ("TRUE", 1),
        ("1", 1),
        ("", 0),
        ("false", 0),
        ("0", 0),
        ("yes", 0),
        ("ture", 0),
        (" true", 0),
    ],
)
async def test_s4_only_a_clear_yes_allows_dumps(value: str, dumpable: int) -> None:
    """What is misspelt forbids them."""
    out = await output(sys.executable, "-c", LOOK, "schema", environ={dumps.ALLOW: value})
    assert int(out.split()[0]) == dumpable
