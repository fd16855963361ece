"""Canaries: texts that only the upstream and the authorization server may see, and the scenarios that carry them.

Each canary holds MARK. The client plants them in everything it sends, the servers in everything they answer; the client
secret and the tokens are canaries too. A scenario is one request that goes wrong in its own way, or well.
"""

import base64
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote_plus

from tests.support.authorization_server import json_answer
from tests.support.upstream import Exchange, Script, Scripted, closing, hang_up

MARK = "canary"
SECRET = f"{MARK}-secret/+: ü"
TOKEN = f"{MARK}-token"
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.canary"

_PADDED = (base64.b64encode(b" " * before + MARK.encode()).decode() for before in range(3))
FORMS = (
    MARK,
    MARK.encode().hex(),
    MARK[::-1],
    *(text.rstrip("=")[skip : skip + 6] for text, skip in zip(_PADDED, (0, 2, 3), strict=True)),
)
"""As it is, in hexadecimal, backwards, and in base64 wherever it may begin in the text."""
_FOUND = re.compile("|".join(map(re.escape, FORMS)).encode(), re.IGNORECASE)


def leaks(sink: bytes, mark: re.Pattern[bytes] = _FOUND) -> list[bytes]:
    """Every place where a canary shows, with what is around it."""
    return [sink[max(0, found.start() - 120) : found.end() + 60] for found in mark.finditer(sink)]


# Answers

PLANTED = b"Set-Cookie: s=canary-set-cookie\r\nX-Subject: canary-subject\r\n"
GOOD = b"HTTP/1.1 200 OK\r\n%bContent-Length: 11\r\n\r\ncanary-body" % PLANTED


def refuse(status: int, error: str = "invalid_token") -> bytes:
    """A refusal whose every free text is a canary."""
    return (
        b'HTTP/1.1 %d canary-reason\r\nWWW-Authenticate: Bearer realm="canary-realm", error="%b", '
        b'error_description="canary-description", error_uri="http://x/?canary"\r\n%bContent-Length: 11\r\n\r\n'
        b"canary-body" % (status, error.encode(), PLANTED)
    )


async def refuse_first(exchange: Exchange) -> None:
    """The scenario's first token is refused."""
    await exchange.read()
    await exchange.send(refuse(401) if exchange.received.token.endswith("-1") else GOOD)


async def silence(exchange: Exchange) -> None:
    await exchange.peer_left()
    exchange.close()


async def reset(exchange: Exchange) -> None:
    await exchange.read()
    exchange.reset()


def head(line: bytes, rest: bytes = b"") -> Script:
    """An answer that begins with this line, and no more."""
    return closing(b"%b\r\n%bX: canary-field\r\n%b" % (line, PLANTED, rest))


def grant(**members: object) -> Script:
    return json_answer(200, {"token_type": "Bearer", "refresh_token": "canary-refresh", **members})


def error(status: int, code: str) -> Script:
    """An error whose text, which is logged, quotes the secret that was sent and a token of its own."""
    quoted = f"no client has the secret {SECRET} ({quote_plus(SECRET)}), nor {JWT}"
    return json_answer(status, {"error": code, "error_description": quoted, "error_uri": "http://x/?canary"})


# Requests


def request(name: str, *fields: bytes, method: bytes = b"POST", body: bytes = b"canary-body") -> bytes:
    """A request with a canary wherever a client can put one; the path goes into the log, so none is there."""
    lines = (
        b"%b /%b/accounts?token=canary-query HTTP/1.1" % (method, name.encode()),
        b"Host: localhost",
        b"Connection: close",
        b"Authorization: Bearer canary-own",
        b"Proxy-Authorization: Basic " + base64.b64encode(b"user:canary-proxy"),
        b"Cookie: session=canary-cookie",
        b"X-Subject: canary-subject",
        b"X-Request-Id: canary id no log should hold",
        b"traceparent: 00-canary-canary-01",
        b"tracestate: vendor=canary-state",
        b"baggage: user=canary-baggage",
        b"Referer: http://localhost/?canary-referer",
        *fields,
        b"Content-Length: %d" % len(body),
    )
    return b"\r\n".join((*lines, b"", body))


@dataclass(frozen=True)
class Scenario:
    """One request; the sidecar's route, token request and credentials of that name are its own."""

    name: str
    status: int | None
    """The client's status, None for an answer that breaks off: how much of it arrives is chance."""
    upstream: Script = GOOD
    token: Script | None = None
    """What the authorization server does, None to issue tokens."""
    issued: int = 0
    """How many tokens it issues before."""
    asks: bytes = b""
    """In place of the usual request."""
    leaves: bool = False
    """Whether the client disconnects without waiting for its answer."""

    @property
    def request(self) -> bytes:
        return self.asks or request(self.name)


def _raw(*lines: bytes, body: bytes = b"canary-body") -> bytes:
    return b"\r\n".join((*lines, b"X-Secret: canary-field", b"", body))


_LINE, _HOST = b"GET /a?canary-query HTTP/1.1", b"Host: localhost"

OUTAGES = (
    Scenario("fine", 200),
    Scenario("healed", 200, refuse_first),
    Scenario("refused-twice", 401, refuse(401)),
    Scenario("refused-large", 401, refuse(401), asks=request("refused-large", body=b"canary" * 20_000)),
    Scenario("refused-scope", 403, refuse(403, "insufficient_scope")),
    Scenario("refused-word", 401, refuse(401, "canary is stolen")),
    Scenario("redirect", 302, b"HTTP/1.1 302 F\r\nLocation: /?canary\r\nContent-Length: 0\r\n\r\n"),
    Scenario("hang-up", 502, hang_up),
    Scenario("reset", 502, reset),
    Scenario("silent", 504, silence),
    Scenario("not-http", 502, closing(b"canary-garbage\r\n\r\n")),
    Scenario("bad-status", 502, head(b"HTTP/1.1 canary")),
    Scenario("bad-version", 502, head(b"HTTP/2.canary 200 OK", b"\r\n")),
    Scenario("bad-name", 502, head(b"HTTP/1.1 200 canary-reason", b"canary name: x\r\n\r\n")),
    Scenario("bad-value", 502, head(b"HTTP/1.1 200 OK", b"X: canary\x00\r\n\r\n")),
    Scenario("bad-length", 502, head(b"HTTP/1.1 200 OK", b"Content-Length: canary\r\n\r\n")),
    Scenario("two-lengths", 502, head(b"HTTP/1.1 200 OK", b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n")),
    Scenario("bad-coding", 502, head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: canary\r\n\r\n")),
    Scenario("large-head", 502, closing(b"HTTP/1.1 200 OK\r\nX: %b\r\n\r\n" % (b"canary" * 12_000))),
    Scenario("bad-chunk", None, head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked\r\n\r\ncanary\r\n")),
    Scenario("cut-short", None, head(b"HTTP/1.1 200 OK", b"Content-Length: 99\r\n\r\ncanary-body")),
    Scenario(
        "bad-trailer",
        None,
        head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\ncanary name: x\r\n\r\n"),
    ),
    Scenario("left", None, silence, leaves=True),
    Scenario("left-early", None, asks=request("left-early")[:-4], leaves=True),
    Scenario("refused-port", 502),
    Scenario("no-tls", 504),
    Scenario("own", 200),
)
"""What upstreams do; `own` has a route without a token, which relays the client's."""

FILES = {
    "file-no-json": b"canary-secret",
    "file-no-member": b'{"client_id": "a", "canary": "canary"}',
}
"""Credentials files that cannot be used, each for the scenario of its name."""

REFUSALS = (
    Scenario("client-refused", 502, token=error(401, "invalid_client")),
    Scenario("grant-refused", 502, token=error(400, "invalid_grant")),
    Scenario("odd-code", 502, token=error(400, "canary-secret is wrong")),
    Scenario("forbidden", 502, token=closing(b"HTTP/1.1 403 canary\r\nContent-Length: 6\r\n\r\ncanary")),
    Scenario("token-500", 503, token=error(500, f"{SECRET} is wrong")),
    Scenario("token-hang-up", 503, token=hang_up),
    Scenario("token-not-http", 503, token=closing(b"canary-garbage\r\n\r\n")),
    Scenario("token-bad-field", 503, token=head(b"HTTP/1.1 200 OK", b"canary name: x\r\n\r\n")),
    Scenario("token-garbage", 503, token=closing(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary")),
    Scenario("token-large", 503, token=closing(b"HTTP/1.1 200 OK\r\n\r\n" + b"canary" * 20_000)),
    Scenario(
        "token-elsewhere",
        502,
        token=closing(b"HTTP/1.1 302 F\r\nLocation: /?canary\r\nContent-Length: 0\r\n\r\n"),
    ),
    Scenario("token-missing", 502, token=grant(id_token="canary-id")),
    Scenario("token-not-text", 502, token=grant(access_token=["canary-token"])),
    Scenario("token-unsafe", 502, token=grant(access_token="canary-token\r\nX: canary")),
    Scenario("token-of-a-kind", 502, token=grant(access_token="canary-token", token_type="canary")),
    Scenario(
        "token-expired", 502, token=grant(access_token="canary-token.eyJleHAiOjF9.canary", expires_in=0)
    ),
    Scenario("token-silent", 503, token=silence),
    Scenario("token-refused-port", 503),
    Scenario("renewal-fails", 401, refuse(401), token=error(500, f"{SECRET} is wrong"), issued=1),
    *(Scenario(name, 503) for name in FILES),
)
"""What authorization servers and credentials files do."""

STRANGERS = (
    Scenario("no-route", 404, asks=_raw(_LINE, _HOST)),
    Scenario("fragment", 400, asks=_raw(b"GET /a?canary#canary HTTP/1.1", _HOST)),
    Scenario("user-in-url", 400, asks=_raw(b"GET http://u:canary@localhost/a?canary HTTP/1.1", _HOST)),
    Scenario("authority-form", 400, asks=_raw(b"CONNECT u:canary@localhost:1 HTTP/1.1", _HOST)),
    Scenario("dots", 400, asks=_raw(b"GET /fine/../a?canary HTTP/1.1", _HOST)),
    Scenario("8-bit", 400, asks=_raw(b"GET /fine/a?canary\xff HTTP/1.1", _HOST)),
    Scenario("long-target", 414, asks=_raw(b"GET /fine?%b HTTP/1.1" % (b"canary" * 4000), _HOST)),
    Scenario("old", 400, asks=_raw(b"GET /a?canary HTTP/0.9", _HOST)),
    Scenario("no-version", 400, asks=_raw(b"GET /a?canary", _HOST)),
    Scenario("http2", 400, asks=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ncanary"),
    Scenario("tls", 400, asks=b"\x16\x03\x01\x00\xa5\x01canary\r\n\r\n"),
    Scenario("two-hosts", 400, asks=_raw(_LINE, _HOST, b"Host: canary.example")),
    Scenario("foreign-host", 421, asks=_raw(_LINE, b"Host: canary.example")),
    Scenario("user-in-host", 400, asks=_raw(_LINE, b"Host: u:canary@localhost")),
    Scenario("cross-site", 403, asks=_raw(_LINE, _HOST, b"Origin: https://canary.example")),
    Scenario("field-name", 400, asks=_raw(_LINE, _HOST, b"canary name: x")),
    Scenario("no-colon", 400, asks=_raw(_LINE, _HOST, b"canary")),
    Scenario("folded", 400, asks=_raw(_LINE, _HOST, b"X: a\r\n canary")),
    Scenario("field-value", 400, asks=_raw(_LINE, _HOST, b"X: canary\x01")),
    Scenario("many-fields", 431, asks=_raw(_LINE, _HOST, *[b"X: canary"] * 250)),
    Scenario("large-fields", 431, asks=_raw(_LINE, _HOST, b"Cookie: " + b"canary" * 12_000)),
    Scenario("length", 400, asks=_raw(_LINE, _HOST, b"Content-Length: canary")),
    Scenario(
        "two-framings", 400, asks=_raw(_LINE, _HOST, b"Content-Length: 6\r\nTransfer-Encoding: chunked")
    ),
    Scenario("coding", 400, asks=_raw(_LINE, _HOST, b"Transfer-Encoding: canary, chunked")),
    Scenario("expectation", 417, asks=request("fine", b"Expect: canary")),
    Scenario(
        "chunk",
        400,
        asks=_raw(b"POST /fine/a?canary HTTP/1.1", _HOST, b"Transfer-Encoding: chunked", body=b"canary\r\n"),
    ),
    Scenario(
        "trailer",
        400,
        asks=_raw(
            b"POST /fine/a?canary HTTP/1.1",
            _HOST,
            b"Transfer-Encoding: chunked",
            body=b"0\r\ncanary name: x\r\n\r\n",
        ),
    ),
)
"""What clients do."""


class Stage(Scripted):
    """The upstream of all scenarios: the first segment of the path names the scenario."""

    def __init__(self, scenarios: Iterable[Scenario]) -> None:
        super().__init__()
        self.scenarios = {scenario.name: scenario for scenario in scenarios}

    async def default(self, exchange: Exchange) -> None:
        await play(self.scenario(exchange).upstream, exchange)

    def scenario(self, exchange: Exchange) -> Scenario:
        return self.scenarios[re.split("[/?]", exchange.received.head.target.decode())[1]]


class Issuer(Stage):
    """The authorization server of all scenarios; it numbers the tokens of each."""

    def __init__(self, scenarios: Iterable[Scenario]) -> None:
        super().__init__(scenarios)
        self._issued: Counter[str] = Counter()

    async def default(self, exchange: Exchange) -> None:
        scenario = self.scenario(exchange)
        if scenario.token is not None and self._issued[scenario.name] >= scenario.issued:
            await play(scenario.token, exchange)
            return
        self._issued[scenario.name] += 1
        token = f"{TOKEN}-{scenario.name}-{self._issued[scenario.name]}"
        await play(grant(access_token=token, expires_in=3600), exchange)


async def play(script: Script, exchange: Exchange) -> None:
    if isinstance(script, bytes):
        await exchange.read()
        await exchange.send(script)
    else:
        await script(exchange)


def bad_files() -> Iterator[bytes]:
    """Configurations that cannot be used, each with secrets where none belong."""
    yield b"routes: [@canary"
    yield b'client_secret: "canary\\canary"'
    yield b"a: *canary\nb: !!canary x"
    yield b"canary"
    yield b"client_secret: canary\nclient_secret: canary"
    yield b"\xff canary"
    yield b"when: 2001-99-99 # canary\n"
    yield b"""
redis: {url: "redis://:canary@host"}
encryption_key: canary
credentials:
  a: {client_id: a, client_secret: canary}
  b: {client_id: b, client_secret: {value: canary}}
  c: {client_id: c, client_secret: {env: canary-secret}}
  d: {client_id: d, secret: canary}
  e: canary
  f: {client_id: [canary]}
tokens:
  a: {token_endpoint: "https://u:canary@host/", credentials: canary, grant: canary, client_auth: canary}
  b: {token_endpoint: "http://other.example/?canary", credentials: a, password: canary, scope: ["canary x"]}
  c: {token_endpoint: "ftp://host/?canary", credentials: a, audience: "canary\\n", resource: ["canary"]}
routes:
  - {name: "canary x", upstream: "https://u:canary@host", token: canary, on_401: canary, tls: canary}
  - {name: b, upstream: "https://host/?canary", match: {prefix: canary, host: "canary x"}}
  - {name: c, upstream: "https://host/#canary", authorization: "Bearer canary", refused_statuses: [canary]}
  - {name: d, upstream: "canary", max_connections: canary, strip_prefix: canary}
  - canary
"""
