"""The servers on both sides of the demo's sidecars."""

import asyncio
import secrets
from base64 import b64encode
from collections import deque
from typing import NamedTuple

from aiohttp import web

from sidecar.core.secret import Secret

CLIENT_ID = "demo"
_REMEMBERED = 1000
"""Tokens and calls that are kept, however long the demo stays up."""


class AuthorizationServer:
    """Issues tokens to one client (RFC 6749 section 4.4) and can revoke all of them."""

    def __init__(self) -> None:
        self.client_secret = Secret(secrets.token_urlsafe(24))
        self.life = 3600.0
        """Life of the next tokens in seconds."""
        self.delay = 0.0
        """Seconds of delay before it issues one."""
        self.issued = 0
        self._valid: deque[str] = deque(maxlen=_REMEMBERED)
        self._numbers: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)

    def routes(self) -> list[web.RouteDef]:
        """Return its routes; every client may revoke, so that curl can."""
        return [web.post("/token", self._token), web.post("/revoke-all", self._revoke_all)]

    def accepts(self, token: str) -> bool:
        """Return whether the token was issued and not revoked since."""
        return token in self._valid

    def number(self, token: str) -> int:
        """Return which token this is: 1 for the first one issued, 0 for none of ours."""
        return dict(self._numbers).get(token, 0)

    def revoke_all(self) -> None:
        """Refuse from now on every token issued so far."""
        self._valid.clear()

    async def _token(self, request: web.Request) -> web.Response:
        pair = b64encode(f"{CLIENT_ID}:{self.client_secret.reveal()}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {pair}":
            return web.json_response({"error": "invalid_client"}, status=401)
        await asyncio.sleep(self.delay)
        token = secrets.token_urlsafe(24)
        self.issued += 1
        self._valid.append(token)
        self._numbers.append((token, self.issued))
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": self.life})

    async def _revoke_all(self, _: web.Request) -> web.Response:
        self.revoke_all()
        return web.Response(text="every token issued so far is revoked\n")


class Seen(NamedTuple):
    """One request at the upstream."""

    token: int
    """The token's number, 0 for none or a foreign one."""
    status: int
    """Status of the answer."""

    def __str__(self) -> str:
        return f"token {self.token}: {self.status}"


class Upstream:
    """Answer a valid token, and a WebSocket with an echo; refuse everything else as in RFC 6750 section 3."""

    def __init__(self, tokens: AuthorizationServer) -> None:
        self.seen: deque[Seen] = deque(maxlen=_REMEMBERED)
        self._tokens = tokens

    def routes(self) -> list[web.RouteDef]:
        """Return its routes: every path."""
        return [web.route("*", "/{path:.*}", self._answer)]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        socket = web.WebSocketResponse()
        welcome = 101 if socket.can_prepare(request).ok else 200
        status = welcome if self._tokens.accepts(token) else 401
        self.seen.append(Seen(self._tokens.number(token), status))
        if status == 101:
            await socket.prepare(request)
            await _echo(socket)
            return socket
        if status == 200:
            return web.Response(text="hello, authorised client\n")
        error = ', error="invalid_token"' if token else ""
        challenge = {"WWW-Authenticate": f'Bearer realm="demo"{error}'}
        return web.Response(status=401, text="no valid token\n", headers=challenge)


async def _echo(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        await socket.send_str(str(message.data))
