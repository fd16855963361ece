"""A real, certified authorization server, `oidc-provider` on Node.js, pinned in tests/system/oidc/package.json."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest

from tests.support.npm import installed

SOURCES = Path(__file__).parent
FILES = ("package.json", "server.mjs", "grants.mjs")

Client = Mapping[str, object]


class OidcServer:
    """One server on loopback with these clients; with `tls` (PEM texts: key, cert, ca) it asks for certificates."""

    def __init__(self, clients: Sequence[Client], tls: Mapping[str, str] | None = None) -> None:
        self._options = {"clients": list(clients), "tls": tls}
        self.issuer = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            ["node", "server.mjs"],
            cwd=installed("oidc", SOURCES, FILES),
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
