"""Files from outside: whatever a path leads to, reading it ends, and takes little memory."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest
from redis.exceptions import RedisError

from sidecar.config.load import load
from sidecar.core.errors import ConfigError, TokenUnavailable, UpstreamUnreachable
from sidecar.core.origin import Origin
from sidecar.core.secret import SecretFile
from sidecar.core.tls import Tls
from sidecar.credentials.model import FileCredentials, SecretFileCredentials
from sidecar.credentials.sources.local import source_of
from sidecar.credentials.sources.secret_files import SecretReader
from sidecar.diagnostics.connectivity import Place
from sidecar.fleet.redis.connect import Passwords, connect
from sidecar.fleet.settings import RedisSettings
from sidecar.http1.deadlines import Deadlines
from sidecar.http1.dial import Dialler
from sidecar.http1.upstream import UpstreamConnection
from sidecar.oauth.http_client import HttpAuthorizationServer
from sidecar.system import files, threads
from tests import ROOT
from tests.support.clock import FakeClock
from tests.support.odd_files import NEVER_ENDING, ODD
from tests.support.waiting import PATIENCE

MIB = 1 << 20


@pytest.mark.parametrize("kind", ODD)
def test_s1_only_regular_files_of_bounded_size_are_read(tmp_path: Path, kind: str) -> None:
    """All else is refused at once, with the reason."""
    make, reason = ODD[kind]
    make(tmp_path / "x")
    with pytest.raises((OSError, ValueError), match=reason):
        files.read(tmp_path / "x", MIB)


def test_s1_a_file_may_have_exactly_as_many_bytes_as_are_allowed(tmp_path: Path) -> None:
    """One more is refused, nothing is cut off."""
    path = tmp_path / "x"
    path.write_bytes(b"x" * 1024)
    assert len(files.read(path, 1024)) == 1024
    path.write_bytes(b"x" * 1025)
    with pytest.raises(ValueError, match="larger than 1 KiB"):
        files.read(path, 1024)


def test_s1_a_file_that_would_block_is_refused() -> None:
    """The kernel's log is a regular file without an end; a pipe that is open already stands for it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with (
        os.fdopen(reading, "rb") as file,
        os.fdopen(writing, "wb"),
        pytest.raises(ValueError, match="no content yet"),
    ):
        files.content(file, 1024)


def test_s1_a_byte_order_mark_is_not_part_of_a_text(tmp_path: Path) -> None:
    """Editors on Windows write one."""
    path = tmp_path / "x"
    path.write_bytes(b"\xef\xbb\xbfhunter2")
    assert files.text(path, 64) == "hunter2"


# Every reader


async def _dial(tls: Tls) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        deadlines = Deadlines(FakeClock())
        origin = Origin("https", "127.0.0.1", port, tls)
        await Dialler(origin).connect(lambda: UpstreamConnection(deadlines, lambda _: None))


async def _reach(tls: Tls) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        place = Place("127.0.0.1", server.sockets[0].getsockname()[1], tls)
        for step in (place.resolve, place.connect, place.secure):
            found = await step()
        place.close()
        raise ValueError(found.detail)


async def _redis(tls: Tls) -> None:
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        hosts = (server.sockets[0].getsockname()[:2],)
        await connect(RedisSettings(hosts=hosts, tls=tls), timeout=PATIENCE).get("x")


async def _loaded(path: str) -> None:
    load(path, {})


async def _load(path: str, entry: str) -> None:
    file = Path(path).with_name("config.yaml")
    file.write_text(entry.replace("FILE", path))
    load(str(file), {})


async def _environment(path: str, name: str) -> None:
    load(None, {"SIDECAR_UPSTREAM": "http://u.test", name: path})


async def _get(tls: Tls) -> None:
    await HttpAuthorizationServer().get("https://127.0.0.1:1/", tls)


TOKEN = "token_endpoint: 'https://a.test', credentials: c, grant: jwt_bearer"
READERS: Mapping[str, Callable[[str], Awaitable[object]]] = {
    "secret": lambda path: SecretReader().read(SecretFile(path)),
    "credentials": lambda path: source_of(FileCredentials(path), FakeClock()).read("", newer_than=0),
    "client secret": lambda path: source_of(SecretFileCredentials("c", path), FakeClock()).read(
        "", newer_than=0
    ),
    "password of Redis": lambda path: Passwords("", SecretFile(path)).get_credentials_async(),
    "authorities of Redis": lambda path: _redis(Tls(ca_file=path)),
    "certificate for Redis": lambda path: _redis(Tls(certificate_file=path)),
    "authorities of an upstream": lambda path: _dial(Tls(ca_file=path)),
    "certificate for an upstream": lambda path: _dial(Tls(certificate_file=path)),
    "authorities of a token endpoint": lambda path: _get(Tls(ca_file=path)),
    "certificate for a token endpoint": lambda path: _get(Tls(certificate_file=path)),
    "authorities, in a check": lambda path: _reach(Tls(ca_file=path)),
    "configuration": _loaded,
    "admin token": lambda path: _load(path, "admin: {token: {file: FILE}}\nroutes: []"),
    "encryption key": lambda path: _load(
        path, "redis: {url: 'redis://r', encryption_keys: [{id: k, key: {file: FILE}}]}\nroutes: []"
    ),
    "private key": lambda path: _load(
        path, "credentials: {c: {client_id: c, private_key: {file: FILE}}}\nroutes: []"
    ),
    "subject": lambda path: _load(
        path,
        f"credentials: {{c: {{client_id: c}}}}\ntokens: {{t: {{{TOKEN}, subject: {{file: FILE}}}}}}\nroutes: []",
    ),
    "assertion": lambda path: _load(
        path, "credentials: {c: {client_id: c, assertion_file: FILE}}\nroutes: []"
    ),
    "client id": lambda path: _environment(path, "SIDECAR_CLIENT_ID_FILE"),
    "secret of the one route": lambda path: _environment(path, "SIDECAR_CLIENT_SECRET_FILE"),
}


@pytest.mark.parametrize("kind", NEVER_ENDING)
@pytest.mark.parametrize("reader", READERS)
async def test_s1_every_reader_refuses_what_never_ends(tmp_path: Path, reader: str, kind: str) -> None:
    """It names the reason, and the event loop goes on."""
    make, reason = ODD[kind]
    make(tmp_path / "x")
    refusals = (OSError, ValueError, ConfigError, TokenUnavailable, UpstreamUnreachable, RedisError)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(refusals, match=reason):
            await READERS[reader](str(tmp_path / "x"))


# File systems that hang


async def test_s1_no_caller_waits_for_ever_and_hanging_threads_do_not_pile_up() -> None:
    """Work that hangs takes a few threads of its name, and none of another."""
    hanging = threading.Event()
    before = threading.active_count()
    try:
        for _ in range(3 * threads.MOST_AT_ONCE):
            with pytest.raises(OSError, match="no answer within"):
                await threads.beside("hangs", hanging.wait, within=0.01)
        assert threading.active_count() - before <= threads.MOST_AT_ONCE
        assert await threads.beside("another", lambda: 7) == 7
    finally:
        hanging.set()
    assert await threads.beside("hangs", lambda: 7, within=PATIENCE) == 7


async def test_s1_names_without_end_take_a_bounded_number_of_threads() -> None:
    """Clients may choose names, where a tenant's id is in a path."""
    hanging = threading.Event()
    before = threading.active_count()
    try:
        for number in range(threads.MOST_IN_ALL + 10):
            with pytest.raises(OSError, match="no answer within"):
                await threads.beside(f"hangs-{number}", hanging.wait, within=0.01)
        assert threading.active_count() - before <= threads.MOST_IN_ALL
    finally:
        hanging.set()
    assert await threads.beside("another", lambda: 7, within=PATIENCE) == 7


async def test_s1_what_the_work_raises_is_raised() -> None:
    """Also what is no Exception of ours."""
    with pytest.raises(MemoryError):
        await threads.beside("raises", _out_of_memory)


@pytest.fixture
def no_threads() -> Iterator[None]:
    """No thread can start: its stack would need more memory than there is."""
    before = threading.stack_size(1 << 46)
    yield
    threading.stack_size(before)


@pytest.mark.usefixtures("no_threads")
async def test_s1_without_a_thread_the_content_counts_as_unavailable() -> None:
    """Callers expect an OSError, and go on without the content."""
    with pytest.raises(OSError, match="no thread could be started"):
        await threads.beside("none", lambda: 7)


def _out_of_memory() -> None:
    raise MemoryError


def test_s1_no_process_waits_for_a_thread_that_hangs() -> None:
    """It ends as soon as its work is done."""
    program = """
import asyncio, threading
from sidecar.system.threads import beside
async def main():
    try:
        await beside("hangs", threading.Event().wait, within=0.01)
    except OSError:
        print("goes on")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stdout == "goes on\n"
