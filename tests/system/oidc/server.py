"""A real, certified authorization server, `oidc-provider` on Node.js, pinned in tests/system/oidc/package.json."""

import fcntl
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Self

import pytest

SOURCES = Path(__file__).parent
BUILD = SOURCES.parent.parent / "build"
FILES = ("package.json", "server.mjs", "grants.mjs")
INSTALL = (
    *("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--no-update-notifier"),
    *("--ignore-scripts", "--loglevel=error"),
)

Client = Mapping[str, object]


def installed() -> Path:
    """Return the folder with the server and its modules; installs them there the first time, once for all workers."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.fail(
                f"no {tool}: install Node.js 20 or later, which runs the authorization server of the tests"
            )
    content = b"".join((SOURCES / name).read_bytes() for name in FILES)
    folder = BUILD / f"oidc-{sha256(content).hexdigest()[:12]}"
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "oidc.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            folder.mkdir(exist_ok=True)
            for name in FILES:
                shutil.copy(SOURCES / name, folder)
            done = subprocess.run(INSTALL, check=False, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                pytest.fail(
                    f"npm cannot install the authorization server of the tests: {done.stderr[-1000:]}"
                )
            (folder / "complete").touch()
    return folder


class OidcServer:
    """One server on loopback with these clients; with `tls` (PEM texts: key, cert, ca) it asks for certificates."""

    def __init__(self, clients: Sequence[Client], tls: Mapping[str, str] | None = None) -> None:
        self._options = {"clients": list(clients), "tls": tls}
        self.issuer = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["node", "server.mjs"],
            cwd=installed(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(self._options)}\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            if line.startswith('{"issuer"'):
                self.issuer = json.loads(line)["issuer"]
                return self
        _, errors = self._process.communicate()
        pytest.fail(f"the authorization server of the tests does not start: {errors[-2000:]}")

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def token_endpoint(self) -> str:
        return f"{self.issuer}/token"
