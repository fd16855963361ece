"""The clients of this project, in Go and Java: how they are built, and what they are started with."""

import asyncio
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trustme

from tests import ROOT
from tests.conformance.clients.setting import Case, Setting, finished
from tests.conformance.tools import CannotRunError, tool

SOURCES = Path(__file__).parent
FOLDER = ROOT / "build" / "conformance"
OKHTTP = "okhttp-jvm"
_COMMON = "get head post field upload continue download streams cancel early goaway drain".split()  # noqa: SIM905
CASES: Mapping[str, list[str]] = {
    "Go": [*_COMMON, "both", "windows", "trailers", "interim"],
    "Java": [*_COMMON, "both"],
    "OkHttp": [*_COMMON, "trailers", "interim"],
}
"""What each of them can do. Neither client in Java shows interim answers: OkHttp only passes over them."""


def _printed(*command: str, folder: Path | None = None) -> str:
    environ = {**os.environ, "GOFLAGS": "-p=1 -buildvcs=false"}
    run = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if run.returncode:
        raise CannotRunError(f"`{' '.join(command)}` failed: {(run.stderr or run.stdout)[-2000:]}")
    return run.stdout


class Go:
    """net/http over HTTP/2 with prior knowledge; requires Go 1.24."""

    def __init__(self) -> None:
        go = tool("go", "Go 1.24 or later")
        self.name = f"Go {_printed(go, 'env', 'GOVERSION').strip().removeprefix('go')}"
        self._program = FOLDER / "go-client"
        _printed(go, "build", "-o", str(self._program), ".", folder=SOURCES / "go")

    async def carry_out(self, case: str, setting: Setting) -> None:
        command = (str(self._program), case, setting.url, str(setting.size))
        await _ended(case, setting, command)


class Java:
    """What both clients in Java share."""

    def __init__(self) -> None:
        self._java, javac = tool("java", "a JDK, 17 or later"), tool("javac", "a JDK, 17 or later")
        maven = tool("mvn", "Debian's package maven")
        sources = SOURCES / "java"
        listing = FOLDER / "java.classpath"
        goal = ("dependency:build-classpath", f"-Dmdep.outputFile={listing}")
        _printed(maven, "-q", "-B", "-f", str(sources / "pom.xml"), *goal)
        classes = FOLDER / "java"
        self._classpath = f"{classes}:{listing.read_text().strip()}"
        files = [str(path) for path in sorted(sources.glob("*.java"))]
        _printed(javac, "-d", str(classes), "-cp", self._classpath, *files)
        self.name = f"Java {_printed(javac, '-version').split()[-1]}"
        self.okhttp = f"OkHttp {self._classpath.partition(OKHTTP + '-')[2].partition('.jar')[0]}"

    def _command(self, main: str, case: str, *arguments: str) -> tuple[str, ...]:
        return (self._java, "-Xmx512m", "-cp", self._classpath, main, case, *arguments)

    async def with_okhttp(self, case: str, setting: Setting) -> None:
        command = self._command("OkClient", case, setting.url, str(setting.size))
        await _ended(case, setting, command)

    async def with_the_jdk(self, case: str, setting: Setting) -> None:
        """Run it through a TLS terminator, because java.net.http has no prior knowledge."""
        authority = trustme.CA()
        file = setting.folder / "authority.pem"
        authority.cert_pem.write_to_path(str(file))
        async with _unwrapped(authority, setting.url) as port:
            url = f"https://localhost:{port}"
            await _ended(case, setting, self._command("JdkClient", case, url, str(setting.size), str(file)))


async def _ended(case: str, setting: Setting, command: tuple[str, ...]) -> None:
    child = await setting.start(*command)
    if case == "drain":
        await setting.drained_by(finished(child))
    else:
        await finished(child)
    if case == "cancel":
        await setting.cancelled()


@asynccontextmanager
async def _unwrapped(authority: trustme.CA, url: str) -> AsyncIterator[int]:
    """Accept TLS with `h2` on a port, and pass on what is in it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    host, _, port = url.removeprefix("http://").rpartition(":")

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(256 * 1024):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


CarryOut = Callable[[str, Setting], Awaitable[None]]


def programs() -> Mapping[str, Mapping[str, Case]]:
    """Build the clients; return the cases of each, by its name and version. Raises CannotRunError."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    go, java = Go(), Java()
    runs = {"Go": (go.name, go.carry_out), "Java": (java.name, java.with_the_jdk)}
    runs["OkHttp"] = (java.okhttp, java.with_okhttp)
    return {
        name: {case: _bound(carry_out, case) for case in CASES[kind]}
        for kind, (name, carry_out) in runs.items()
    }


def _bound(carry_out: CarryOut, case: str) -> Case:
    async def run(setting: Setting) -> None:
        await carry_out(case, setting)

    return run
