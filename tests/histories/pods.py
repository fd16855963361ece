"""The pods of a history: real processes, each with a link of its own to Redis."""

import asyncio
import base64
import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import yaml

from tests.histories.history import CoolingDown, Dropped, Event
from tests.histories.servers import SECRET, TokenServer, TruthfulUpstream
from tests.support.environment import bare
from tests.support.fleet_of_members import KEY, Cable
from tests.support.processes import get
from tests.support.waiting import PATIENCE
from tests.support.wire_client import WireError, ask

KEYS = ("a", "b")
"""The tokens of the fleet; each has a service, a token request and a route of this name."""
PREFIX = "hist:"
ADMIN_TOKEN = "canary-operators-token"
FLEET_KEY = base64.b64encode(KEY).decode()
READING = re.compile(
    r"^(?:sidecar_(bus_up|store_up) (?P<up>\d)"
    r'|sidecar_busts_rejected_total\{reason="channel"\} (?P<rejected>\d+)'
    r'|sidecar_store_operations_total\{.*outcome="(?:failed|skipped)".*\} (?P<failures>\d+))',
    re.MULTILINE,
)


def document(token_endpoint: str, upstream: str, redis: int, admin: Path) -> dict[str, object]:
    """Return the configuration of a pod that reaches Redis on that port; `admin` is the file of the admin token."""
    credentials = {"client_secret": {"env": "CLIENT_SECRET"}}
    return {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0", "token": {"file": str(admin)}},
        "drain_timeout": "1s",
        "cache": {"memory_ttl": "5s"},
        "redis": {
            "url": f"redis://127.0.0.1:{redis}",
            "key_prefix": PREFIX,
            "encryption_keys": [{"id": "k1", "key": {"env": "FLEET_KEY"}}],
        },
        "credentials": {key: {"client_id": key, **credentials} for key in KEYS},
        "tokens": {key: {"token_endpoint": token_endpoint, "credentials": key} for key in KEYS},
        "routes": [
            {"name": key, "match": {"prefix": f"/{key}"}, "upstream": upstream, "token": key} for key in KEYS
        ],
    }


class Pod:
    """One `sidecar run`."""

    def __init__(self, number: int, folder: Path, link: Cable, package: Path) -> None:
        """Take `package`, the folder that contains the package `sidecar` to run."""
        self.number = number
        self.link = link
        self._folder = folder
        self._package = package
        self.stderr = bytearray()
        self._lines: list[bytes] = []
        self.address = self.admin = ""
        self._child: asyncio.subprocess.Process | None = None

    async def start(self, token_server: TokenServer, upstream: TruthfulUpstream) -> None:
        """Start it, and wait until it listens."""
        path = self._folder / f"pod-{self.number}.yaml"
        admin = self._folder / "admin"
        admin.write_text(ADMIN_TOKEN)
        settings = document(token_server.token_endpoint, upstream.url, self.link.port, admin)
        path.write_text(yaml.safe_dump(settings))
        self._child = child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sidecar", "run", "-c", str(path)),
            cwd=self._package,
            env=bare({"FLEET_KEY": FLEET_KEY, "CLIENT_SECRET": f"{SECRET}{self.number}"}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stderr is not None
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.gather(self._read(child.stdout, started), self._complaints(child.stderr))
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait((started, self._reading), return_when=asyncio.FIRST_COMPLETED)
        if not started.done():
            raise RuntimeError(f"pod {self.number} did not start: {self.stderr.decode()}")

    async def _read(self, stream: asyncio.StreamReader, started: asyncio.Future[None]) -> None:
        while line := await stream.readline():
            self._lines.append(line)
            if not started.done() and (fields := json.loads(line))["event"] == "started":
                self.address, self.admin = fields["listen"], fields["admin"]
                started.set_result(None)

    async def _complaints(self, stream: asyncio.StreamReader) -> None:
        while data := await stream.read(1 << 16):
            self.stderr += data[: (1 << 16) - len(self.stderr)]

    # What it does

    async def ask(self, key: str, request: int) -> int:
        """Send a client's request; return the status of the response, 0 if the connection breaks."""
        try:
            return (await ask(self.address, get(b"/%b/%d" % (key.encode(), request)))).status
        except (OSError, WireError):
            return 0

    async def select(self, key: str) -> int:
        """Bust by label, as operators do; return the status."""
        body = json.dumps({"service": key}).encode()
        head = (
            b"POST /bust HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n" % ADMIN_TOKEN.encode()
        )
        fields = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        return (await ask(self.admin, head + fields + body)).status

    async def reading(self) -> tuple[bool, int, int]:
        """Return whether store and bus are up, the number of rejected marks, and that of failed operations."""
        page = (await ask(self.admin, get(b"/metrics"))).body.decode()
        found = list(READING.finditer(page))
        up = [each["up"] for each in found if each["up"]] == ["1", "1"]
        return up, _total(found, "rejected"), _total(found, "failures")

    def events(self) -> Iterator[Event]:
        """Yield what it logged about tokens."""
        for line in self._lines:
            fields = json.loads(line)
            at = datetime.fromisoformat(fields["ts"]).timestamp()
            match fields["event"]:
                case "bust_applied" if fields["kind"] == "token":
                    yield Dropped(at, self.number, fields["fp"])
                case "cooling_down":
                    yield CoolingDown(at, self.number, fields["service"])

    @property
    def bugs(self) -> list[str]:
        """Lines of the log that report a fault of the program."""
        return [line.decode() for line in self._lines if b'"event":"failed"' in line]

    async def stop(self, *, hard: bool) -> None:
        """End it by SIGTERM, or like a crash."""
        if self._child is None:
            return
        if self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.kill() if hard else self._child.terminate()
            async with asyncio.timeout(PATIENCE):
                await self._child.wait()
        await self._reading


def _total(found: list[re.Match[str]], group: str) -> int:
    return sum(int(each[group]) for each in found if each[group])
