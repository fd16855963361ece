"""A real authorization server: it counts, records, and issues tokens that name themselves."""

import asyncio
import base64
import json
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote_plus

from tests.support.upstream import Exchange, Scripted, Upstream


class AuthorizationServer(Scripted):
    """Issues tokens that name themselves; `hold` keeps every answer back until it is set."""

    def __init__(self, upstream: Upstream | None = None) -> None:
        super().__init__()
        self.upstream = upstream
        self.reply: dict[str, object] = {"token_type": "Bearer", "expires_in": 3600}
        self.issued: list[str] = []
        self.hold: asyncio.Event | None = None

    @property
    def token_endpoint(self) -> str:
        return f"{self.url}/token"

    @property
    def forms(self) -> list[Mapping[str, list[str]]]:
        return [parse_qs(bytes(call.body).decode(), strict_parsing=True) for call in self.requests]

    @property
    def clients(self) -> list[tuple[str, str]]:
        """Client id and secret of each call's Basic credentials (RFC 6749 section 2.3.1)."""
        pairs = []
        for call in self.requests:
            encoded = b"".join(call.values("Authorization")).removeprefix(b"Basic ")
            name, _, secret = base64.b64decode(encoded).decode().partition(":")
            pairs.append((unquote_plus(name), unquote_plus(secret)))
        return pairs

    def revoke(self, token: str) -> None:
        """Make the upstream refuse the token from now on."""
        assert self.upstream is not None
        if self.upstream.accepts is None:
            self.upstream.accepts = set(self.issued)
        self.upstream.accepts.discard(token)

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        if self.hold is not None:
            await self.hold.wait()
        token = f"canary-token-{len(self.issued) + 1}"
        self.issued.append(token)
        if self.upstream is not None and self.upstream.accepts is not None:
            self.upstream.accepts.add(token)
        await exchange.send(json_answer(200, {"access_token": token, **self.reply}))


class PerTenant(AuthorizationServer):
    """Gives tokens that name the tenant of the endpoint."""

    @property
    def token_endpoint(self) -> str:
        return f"{self.url}/{{tenant}}/token"

    @property
    def asked(self) -> list[str]:
        return [call.head.line.split(b" ")[1].split(b"/")[1].decode() for call in self.requests]

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        tenant = self.asked[-1]
        self.issued.append(f"canary-{tenant}-{len(self.issued)}")
        if self.upstream is not None and self.upstream.accepts is not None:
            self.upstream.accepts.add(self.issued[-1])
        await exchange.send(json_answer(200, {"access_token": self.issued[-1], **self.reply}))


class Strict(AuthorizationServer):
    """Accepts the client secrets in `secrets`, and no token request for an audience that it does not know."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__(upstream)
        self.secrets = {"canary-v1"}
        self.refusal = json_answer(401, {"error": "invalid_client"})
        """What it answers to other secrets."""

    async def default(self, exchange: Exchange) -> None:
        await exchange.read()
        if self.clients[-1][1] not in self.secrets:
            await exchange.send(self.refusal)
        elif self.forms[-1].get("audience") == ["unknown"]:  # as Keycloak does
            description = {"error": "invalid_client", "error_description": "Audience not found"}
            await exchange.send(json_answer(400, description))
        else:
            await super().default(exchange)


def whose(upstream: Upstream) -> list[str]:
    """Return the identity of each request's token."""
    return [token.removeprefix("canary-").rpartition("-")[0] for token in upstream.tokens]


def json_answer(status: int, document: Mapping[str, object], *fields: bytes) -> bytes:
    body = json.dumps(document).encode()
    head = (b"HTTP/1.1 %d Answer" % status, b"Content-Type: application/json", *fields)
    return b"\r\n".join((*head, b"Content-Length: %d" % len(body), b"", body))
