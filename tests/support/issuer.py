"""The issuer of callers' tokens: its metadata and keys, and what it signs."""

import json
import ssl
from collections.abc import Mapping
from typing import Any

import jwt

from tests.support.authorization_server import json_answer
from tests.support.clock import FakeClock
from tests.support.keys import jwk, pem
from tests.support.sidecar import Running
from tests.support.upstream import Exchange, Scripted


class Issuer(Scripted):
    """Publishes its metadata and keys; `out` answers 503 instead."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(tls)
        self.keys: list[Mapping[str, object]] = [json.loads(jwk("rsa", kid="one"))]
        self.out = False

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        metadata = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        document = {"keys": self.keys} if b"/keys" in exchange.received.head.line else metadata
        await exchange.send(json_answer(503 if self.out else 200, document))

    @property
    def looked(self) -> int:
        """Return how often its keys were fetched."""
        return sum(b"/keys" in received.head.line for received in self.requests)


class Callers:
    """Sign tokens as the issuer does, and send requests with them to the sidecar."""

    def __init__(self, issuer: Issuer, clock: FakeClock) -> None:
        self._issuer = issuer
        self._clock = clock
        self.rule: dict[str, object] = {
            "issuer": issuer.url,
            "audience": "sidecar",
            "algorithms": ["RS256", "ES256"],
        }

    @property
    def wanted(self) -> Mapping[str, object]:
        return {"grant": "token_exchange", "subject": {"header": "Authorization", "verify": self.rule}}

    def token(self, kind: str = "rsa", algorithm: str = "RS256", kid: str = "one", **claims: Any) -> str:
        """Sign a token that meets the rule, with `claims` in place of its own."""
        good = {"iss": self._issuer.url, "aud": "sidecar", "sub": "alice", "exp": self._clock.now() + 1000}
        key = pem(kind) if algorithm != "none" else ""
        return jwt.encode({**good, **claims}, key, algorithm, {"kid": kid})

    async def ask(self, running: Running, token: str) -> int:
        return (await running.get(b"/", b"Authorization: Bearer " + token.encode())).status
