"""A token server and an upstream that record which token was issued, revoked and sent, and when."""

import asyncio
import base64
from collections.abc import Callable
from time import time

from sidecar.core.secret import fingerprint
from tests.histories.history import Event, Fetched, Fetching, Revoked, Sent
from tests.support.authorization_server import json_answer
from tests.support.upstream import OK, Exchange, Scripted, refusal

Record = Callable[[Event], None]
SECRET = "canary-secret-of-"
"""The client secret ends with the number of the pod, so that the token server knows which pod fetches."""


class TokenServer(Scripted):
    """Issues tokens `t1`, `t2` and so on. It can fail, and hold its answers back."""

    def __init__(self, record: Record, fingerprint_key: bytes) -> None:
        super().__init__()
        self._record = record
        self._fingerprint_key = fingerprint_key
        self._names: dict[str, str] = {}
        """By fingerprint."""
        self.issued: dict[str, list[str]] = {}
        """By key, in order."""
        self.fetches = 0
        self.failing = False
        self.open = asyncio.Event()
        self.open.set()

    @property
    def token_endpoint(self) -> str:
        """Where tokens are requested."""
        return f"{self.url}/token"

    def name(self, fp: str) -> str:
        """Return the name of the token with this fingerprint; "" for no token of this server."""
        return self._names.get(fp, "")

    def fingerprint(self, token: str) -> str:
        """Return the fingerprint by which pods name the token."""
        return fingerprint(self._fingerprint_key, _value(token))

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        field = b"".join(exchange.received.values("Authorization")).removeprefix(b"Basic ")
        key, _, secret = base64.b64decode(field).decode().partition(":")
        self.fetches += 1
        number = self.fetches
        self._record(Fetching(time(), number, int(secret.removeprefix(SECRET)), key))
        await self.open.wait()
        if self.failing:
            self._record(Fetched(time(), number, ""))
            await exchange.send(json_answer(503, {"error": "temporarily_unavailable"}))
            return
        token = f"t{number}"
        self._names[self.fingerprint(token)] = token
        self.issued.setdefault(key, []).append(token)
        self._record(Fetched(time(), number, token))
        await exchange.send(json_answer(200, {"access_token": _value(token), "expires_in": 3600}))


class TruthfulUpstream(Scripted):
    """Refuses revoked tokens, and for a while every token of a key. It can hold responses back."""

    def __init__(self, record: Record, issued: dict[str, list[str]]) -> None:
        super().__init__()
        self._record = record
        self._issued = issued
        self._revoked: set[str] = set()
        self.refusing: set[str] = set()
        """Keys of which every token is refused."""
        self.held: dict[int, asyncio.Event] = {}
        """Requests whose response is held back, and what releases it."""
        self.waiting = 0
        """Number of responses that are held back now."""

    def revoke(self, key: str) -> None:
        """Refuse every token of this key that has been issued."""
        self._revoked.update(self._issued.get(key, ()))
        self._record(Revoked(time(), key))

    def refuses(self, key: str, token: str) -> bool:
        """Return whether a request with this token is refused now."""
        return token in self._revoked or key in self.refusing

    async def default(self, exchange: Exchange) -> None:
        arrived = time()
        await exchange.read()
        _, key, number = exchange.received.head.target.decode().split("/")
        token = exchange.received.token.removeprefix(_value(""))
        if (gate := self.held.get(int(number))) is not None:
            self.waiting += 1
            await gate.wait()
            self.waiting -= 1
        accepted = not self.refuses(key, token)
        self._record(Sent(time(), int(number), token, accepted, arrived))
        await exchange.send(OK if accepted else refusal())


def _value(token: str) -> str:
    return f"canary-token-{token}"
