"""The sidecar as it is deployed: a process with a file, signals, log lines and a load upon it."""

import asyncio
import json
import math
import os
import resource
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from operator import ge
from pathlib import Path

import yaml

from sidecar.cli import dumps
from tests import ROOT
from tests.support.authorization_server import AuthorizationServer
from tests.support.environment import bare
from tests.support.resident_memory import forget_most_resident, most_resident, resident
from tests.support.upstream import Exchange, Script, Upstream
from tests.support.waiting import PATIENCE, until
from tests.support.wire_client import LIMIT, Client, WireError, ask

PIPE = asyncio.subprocess.PIPE
Child = asyncio.subprocess.Process
Document = dict[str, object]
Line = Mapping[str, object]

LOOKED_INTO = {dumps.ALLOW: "true"}
"""What lets the tests read a process in /proc."""


class File:
    """The configuration file of the sidecar in this test."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def change(self, **changes: object) -> None:
        """Set keys of the document; None removes one."""
        document: Document = yaml.safe_load(self.path.read_text())
        document.update(changes)
        self.put(
            yaml.safe_dump({key: value for key, value in document.items() if value is not None}).encode()
        )

    def put(self, content: bytes) -> None:
        """Replace it in one step, as mounted files are."""
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.replace(self.path)


def route(upstream: Upstream, name: str = "api", **more: object) -> Mapping[str, object]:
    """A route for everything, without a token."""
    return {"name": name, "match": {"prefix": "/"}, "upstream": upstream.url, **more}


def with_token(
    upstream: Upstream, authorization_server: AuthorizationServer, secret_file: Path
) -> Mapping[str, object]:
    """Return a document with one route and its token."""
    return {
        "credentials": {"app": {"client_id": "app", "client_secret": {"file": str(secret_file)}}},
        "tokens": {"api": {"token_endpoint": authorization_server.token_endpoint, "credentials": "app"}},
        "routes": [route(upstream, token="api")],
    }


def get(target: bytes = b"/", *fields: bytes) -> bytes:
    """A request whose Host every sidecar takes; `fields` are whole lines without their CRLF."""
    return b"\r\n".join((b"GET %s HTTP/1.1" % target, b"Host: localhost", *fields, b"", b""))


def redis_health(status: Mapping[str, object]) -> Mapping[str, str]:
    """Return the health of store and bus in `/status`."""
    rows = status["health"]
    assert isinstance(rows, list)
    return {row["kind"]: row["state"] for row in rows if row["kind"] in ("store", "bus")}


def answering(body: bytes, go: asyncio.Event | None = None) -> Script:
    """Answer with these bytes, after `go` if given."""

    async def script(exchange: Exchange) -> None:
        await exchange.read()
        if go is not None:
            await go.wait()
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    return script


class Process:
    """`sidecar run`; what it prints is read all the time, so that it never has to wait for us."""

    def __init__(self, child: Child) -> None:
        assert child.stdout is not None
        assert child.stderr is not None
        self.child = child
        self.stdout, self.stderr = bytearray(), bytearray()
        self.address = self.admin = ""
        self._told = 0
        self._reading = [
            asyncio.create_task(_collect(child.stdout, self.stdout)),
            asyncio.create_task(_collect(child.stderr, self.stderr)),
        ]

    @property
    def log(self) -> list[Line]:
        """All lines so far."""
        return [_line(data) for data in bytes(self.stdout).splitlines(keepends=True) if data.endswith(b"\n")]

    def events(self, name: str) -> list[Line]:
        return [line for line in self.log if line["event"] == name]

    async def started(self) -> None:
        line = await self.logs("started")
        self.address, self.admin = str(line["listen"]), str(line["admin"])

    async def logs(self, event: str) -> Line:
        """The next line of that name."""
        async with asyncio.timeout(PATIENCE):
            while True:
                while (end := self.stdout.find(b"\n", self._told)) >= 0:
                    data = bytes(self.stdout[self._told : end])
                    self._told = end + 1
                    if event.encode() in data and (line := _line(data))["event"] == event:
                        return line
                if self._reading[0].done():
                    raise AssertionError(f"ended without {event}: {self.stdout!r} {self.stderr!r}")
                await asyncio.sleep(0.005)

    def signal(self, number: int) -> None:
        self.child.send_signal(number)

    async def ends(self, within: float = PATIENCE) -> tuple[int, str]:
        """Exit code and last event, "" for none."""
        async with asyncio.timeout(within):
            await asyncio.gather(*self._reading)
            return await self.child.wait(), str(self.log[-1]["event"]) if self.log else ""

    async def get(self, target: bytes = b"/") -> tuple[int, bytes]:
        answer = await ask(self.address, get(target))
        return answer.status, answer.body

    async def page(self, path: bytes) -> tuple[int, bytes]:
        """What the admin server answers."""
        answer = await ask(self.admin, get(path))
        return answer.status, answer.head.raw + answer.body

    async def readiness(self) -> tuple[int, object]:
        answer = await ask(self.admin, get(b"/readyz"))
        return answer.status, json.loads(answer.body)["detail"]

    # What it takes

    @property
    def resident(self) -> int:
        """Memory in bytes (Linux)."""
        return resident(self.child.pid)

    @property
    def most_resident(self) -> int:
        """Most memory in bytes at any moment since `forget_most_resident`."""
        return most_resident(self.child.pid)

    def forget_most_resident(self) -> None:
        forget_most_resident(self.child.pid)

    @property
    def page_faults(self) -> int:
        """How often the kernel has given it a page of memory that it did not have."""
        return int(Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()[7])

    @property
    def descriptors(self) -> int:
        """How many files and sockets are open."""
        return len(os.listdir(f"/proc/{self.child.pid}/fd"))  # noqa: PTH208  the names are not needed


async def _collect(stream: asyncio.StreamReader, into: bytearray) -> None:
    while data := await stream.read(LIMIT):
        into += data


def _line(data: bytes) -> Line:
    """A log line in either format."""
    if data.startswith(b"{"):
        line: Line = json.loads(data)
        return line
    words = data.decode().split()
    return {"event": words[2], **dict(word.split("=", 1) for word in words[3:] if "=" in word)}


async def spawn(
    file: File,
    changes: Mapping[str, object],
    *,
    environ: Mapping[str, str] | None = None,
    stdout: int = PIPE,
    shell: str = "",
    redirection: str = "",
) -> Child:
    """The command, on ports of its own; `shell` precedes it."""
    document = {"listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}, **changes}
    file.put(yaml.safe_dump(document).encode())
    command = f'{shell}\nexec "$0" -m sidecar run -c "$1" {redirection}'
    return await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", command, sys.executable, str(file.path)),
        cwd=ROOT,
        env=bare({**LOOKED_INTO, **(environ or {})}),
        stdout=stdout,
        stderr=PIPE,
    )


@asynccontextmanager
async def watching(child: Child) -> AsyncIterator[Child]:
    """End it the hard way if the test does not end it."""
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@asynccontextmanager
async def serving(child: Child) -> AsyncIterator[Process]:
    """Wait until it has started, and kill it in the end if it is still there."""
    async with watching(child):
        process = Process(child)
        try:
            await process.started()
            yield process
        finally:
            if child.returncode is None:
                child.kill()
            await process.ends()


@asynccontextmanager
async def run(file: File, *routes: Mapping[str, object], **changes: object) -> AsyncIterator[Process]:
    """A started sidecar; `changes` to the document that has these routes."""
    async with serving(await spawn(file, {"routes": list(routes), **changes})) as process:
        yield process


class Load:
    """Requests at a steady rate on several connections; a client whose connection closes opens another."""

    def __init__(self, address: str, *, rate: float = 1000, connections: int = 20) -> None:
        self._address = address
        self._pause = connections / rate
        self._connections = connections
        self._stop = asyncio.Event()
        self._answered = [0] * connections
        self.answers: Counter[str] = Counter()
        """By status, or by what went wrong in place of one."""
        self.closed = 0
        """Number of answers that announced the end of their connection."""
        self.longest_pause = 0.0
        """Most seconds from the begin of one to that of the next."""
        self._last_began = math.inf
        self.seconds: list[float] = []
        """How long each request took, connecting included."""

    async def reach(self, count: int) -> None:
        """Wait for that many more answers."""
        wanted = self.answers.total() + count
        await until(lambda: self.answers.total() >= wanted)

    async def turn_over(self) -> None:
        """Wait until each connection has an answer to a request that it has yet to begin."""
        wanted = [count + 2 for count in self._answered]  # one may be under way
        await until(lambda: all(map(ge, self._answered, wanted)))

    async def __aenter__(self) -> "Load":
        self._asking = [asyncio.create_task(self._ask(number)) for number in range(self._connections)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._asking)

    async def _ask(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        client: Client | None = None
        due = loop.time() + self._pause * number / self._connections
        while not await self._stopped(due - loop.time()):
            began = loop.time()
            self.longest_pause = max(self.longest_pause, began - self._last_began)
            self._last_began = began
            try:
                client = client or await Client.connect(self._address)
                answer = await client.ask(get(b"/%d" % number))
                outcome, close = str(answer.status), b"close" in answer.values("Connection")
                self.closed += close
            except (OSError, WireError, TimeoutError) as error:
                outcome, close = repr(error), True
            self.answers[outcome] += 1
            self._answered[number] += 1
            self.seconds.append(loop.time() - began)
            if close and client is not None:
                await client.close()
                client = None
            due += self._pause
        if client is not None:
            await client.close()

    async def _stopped(self, patience: float) -> bool:
        if patience > 0 and not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), patience)
        return self._stop.is_set()


def raise_descriptor_limit() -> None:
    """Let this process and its children open as many files as they may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
