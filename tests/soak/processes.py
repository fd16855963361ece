"""The processes of a soak as seen from outside: started, controlled, sampled, ended."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from random import Random

from sidecar.cli import dumps
from tests.soak.authorization import PREFIX
from tests.soak.verdict import Ending, Sample
from tests.support.wire_client import ask

START = 15.0
"""Seconds a process may take to start."""
SECRET = "canary-soak-secret"
PIPE = asyncio.subprocess.PIPE
_CANARY = b"canary"
assert _CANARY.decode() in PREFIX
assert _CANARY.decode() in SECRET


def quiet_port() -> int:
    """A free port that no outgoing connection is ever given, so that a server can come back to it."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = Random().randrange(10_000, lowest)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


class Server:
    """`tests.soak.upstream` or `tests.soak.authorization`."""

    def __init__(self, name: str, complain: Callable[[str], None]) -> None:
        self.port = quiet_port()
        self._name = name
        self._complain = complain

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *arguments: str) -> None:
        command = (sys.executable, "-m", f"tests.soak.{self._name}", str(self.port), *arguments)
        self._child = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        async with asyncio.timeout(START):
            await self._said("listening")

    async def tell(self, line: str) -> None:
        """Give it a command, and wait until it is done."""
        assert self._child.stdin is not None
        self._child.stdin.write(f"{line}\n".encode())
        await self._said("done")

    async def _said(self, word: str) -> None:
        assert self._child.stdout is not None
        while line := (await self._child.stdout.readline()).decode().strip():
            if line.startswith(word):
                return
            self._complain(line)
        raise RuntimeError(f"tests.soak.{self._name} ended by itself")

    async def kill(self) -> None:
        """End it as a crash does."""
        self._child.kill()
        await self._child.wait()


class Log:
    """The sidecar's log as it comes: counted, searched for secrets, and remembered where it matters."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()
        """With their outcome, if they have one."""
        self.failed: list[str] = []
        self.leaked = 0
        self.wanted: dict[str, list[str]] = {}
        """By request id: the lines that name it."""
        self.started: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        self._recent: deque[bytes] = deque(maxlen=5000)

    async def read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._take(line)

    def _take(self, line: bytes) -> None:
        fields = json.loads(line)
        event = fields["event"]
        self.events[f"{event} {fields.get('outcome', '')}".strip()] += 1
        self.leaked += _CANARY in line
        self._recent.append(line)
        if event == "failed":
            self.failed.append(line.decode().strip())
        if event == "started":
            self.started.set_result(fields)
        if (own := fields.get("request_id")) in self.wanted:
            self.wanted[own].append(line.decode().strip())

    def want(self, request_id: str) -> None:
        """Keep what has been, and will be, logged about the request."""
        about = f'"{request_id}"'.encode()
        self.wanted[request_id] = [line.decode().strip() for line in self._recent if about in line]


class Sidecar:
    """`sidecar run` with a file."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.log = Log()
        self.stderr = bytearray()
        self.address = self.admin = ""

    async def start(self) -> None:
        command = (sys.executable, "-m", "sidecar", "run", "--config", str(self.config))
        environ = {**os.environ, dumps.ALLOW: "true"}  # `sample` counts its descriptors
        self._child = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environ)
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._reading = asyncio.gather(self.log.read(self._child.stdout), self._collect(self._child.stderr))
        async with asyncio.timeout(START):
            fields = await self.log.started
            self.address, self.admin = fields["listen"], fields["admin"]
            while (await self._page("/startupz"))[0] != 200:
                await asyncio.sleep(0.1)

    async def _collect(self, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(1 << 16):
            self.stderr += data[: (1 << 16) - len(self.stderr)]

    def reload(self) -> None:
        self._child.send_signal(signal.SIGHUP)

    async def sample(self) -> Sample:
        """Look at it from outside. The sockets of the last look are gone by then, those of this one not yet made."""
        process = Path(f"/proc/{self._child.pid}")
        descriptors = len(os.listdir(process / "fd"))  # noqa: PTH208  the names are not needed
        status = (process / "status").read_text()
        times = (process / "stat").read_text().rpartition(")")[2].split()
        page = (await self._page("/metrics"))[1]
        return Sample(
            at=asyncio.get_running_loop().time(),
            descriptors=descriptors,
            resident=int(_find(r"VmRSS:\s+(\d+)", status)) / 1024,
            threads=int(_find(r"Threads:\s+(\d+)", status)),
            cpu=(int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"),
            connections=_gauge("sidecar_connections_open", page),
            in_flight=_gauge("http_server_active_requests", page),
            tasks=_gauge("sidecar_tasks", page),
            dropped=_gauge("sidecar_log_lines_dropped_total", page),
        )

    async def _page(self, path: str) -> tuple[int, str]:
        answer = await ask(self.admin, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return answer.status, answer.body.decode()

    async def stop(self, within: float) -> Ending:
        """Send SIGTERM and wait for the end; kill what does not end."""
        now = asyncio.get_running_loop().time
        began = now()
        self._child.terminate()
        try:
            async with asyncio.timeout(within):
                code = await self._child.wait()
        except TimeoutError:
            self.kill()
            await self._child.wait()
            code = None
        await self._reading
        return Ending(code, now() - began)

    def kill(self) -> None:
        if self._child.returncode is None:
            self._child.kill()


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, f"{pattern} is not in {text}"
    return found[1]


def _gauge(name: str, page: str) -> int:
    return int(float(_find(rf"^{name} (\S+)$", page)))
