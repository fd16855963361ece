"""The client of authorization servers, on asyncio's streams; it shares nothing with the data plane's pool.

An answer is judged by the rules for upstreams' (`sidecar.http1`). Whatever is sent before its end is bounded: interim
answers (1xx) in number, all heads together and the body in bytes, everything in time. A reader that is full stops
reading, and no more than a SLICE of a body is decoded in one turn of the event loop.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from sidecar.core import addresses
from sidecar.core.errors import MessageMalformed, TokenUnavailable
from sidecar.core.origin import Origin
from sidecar.core.tls import Tls
from sidecar.http1.body import body_of
from sidecar.http1.dial import open_socket
from sidecar.http1.foreign import check_beginning
from sidecar.http1.message import Response, parse_response
from sidecar.oauth.ports import Reply
from sidecar.oauth.token_response import host_of
from sidecar.system import threads
from sidecar.system.client_tls import UnusableFiles, client_context, reason
from sidecar.telemetry.words import NEIGHBOURS, TOKEN_ENDPOINT

CONNECT_LIMIT = 5.0
TOTAL_LIMIT = 10.0
"""Limit: time for a token request (seconds). Beyond: the authorization server counts as unavailable."""
HEADS_LIMIT = 65_536
"""Limit: head of the response to a token request, interim responses included (bytes). Beyond: the same."""
MAX_INTERIM = 16
"""Limit: interim responses (1xx) to a token request (number). Beyond: the same."""
SIZE_LIMIT = 65_536
"""Limit: body of the response to a token request (bytes). Beyond: the same."""
WIRE_LIMIT = 2 * SIZE_LIMIT
"""Limit for that body together with the framing of its chunks (bytes)."""
SLICE = 4096
MAX_CONNECTIONS = 100

_OURS = "User-Agent: credential-sidecar\r\nAccept-Encoding: identity\r\nConnection: close\r\n"
"""Requests an unencoded body, because a small encoded one may unpack to any size."""
_NO_ANSWER = "it closed the connection without an answer"
_Streams = tuple["_Arrived", asyncio.StreamWriter]

_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "it did not answer in time; check address, port and network policy"),
    (socket.gaierror, "its name does not resolve; check token_endpoint or issuer, and the DNS"),
    (OSError, "cannot connect; check address, port and network policy"),
    (ValueError, "the address cannot be used; check token_endpoint or issuer"),
)
"""What to check by kind of error, narrower kinds first. The error's own text is never quoted, save TLS's."""


class HttpAuthorizationServer:
    """Request tokens and metadata: no redirects, no cookies, no proxies or netrc from the environment.

    Each request has a connection of its own. A kept one that the server just closed would fail a POST, which may not be
    repeated blindly. Token requests are too rare to gain from keeping it.
    """

    def __init__(self, *, connect_limit: float = CONNECT_LIMIT, total_limit: float = TOTAL_LIMIT) -> None:
        """Limits in seconds."""
        self._connect_limit = connect_limit
        self._total_limit = total_limit
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._system: ssl.SSLContext | None = None
        """Context for the system's authorities; loading them takes a while."""

    async def post(self, url: str, headers: Mapping[str, str], form: str, tls: Tls) -> Reply:
        """Send the form and return the answer, whatever its status. Raises TokenUnavailable without one."""
        fields = {**headers, "Content-Length": str(len(form.encode()))}
        return await self._ask("POST", url, fields, form.encode(), tls)

    async def get(self, url: str, tls: Tls) -> Reply:
        """Request a document; otherwise like `post`."""
        return await self._ask("GET", url, {"Accept": "application/json"}, b"", tls)

    async def _ask(self, method: str, url: str, fields: Mapping[str, str], body: bytes, tls: Tls) -> Reply:
        try:
            return await self._answer(method, url, fields, body, tls)
        except MessageMalformed as error:
            hint = str(error)
        except (OSError, ValueError) as error:
            hint = _hint(error)
        asked = TOKEN_ENDPOINT if method == "POST" else NEIGHBOURS["authorization_server"].name
        raise TokenUnavailable(f"no answer from {asked} {host_of(url)}: {hint}", 0.0)

    async def _answer(self, method: str, url: str, fields: Mapping[str, str], body: bytes, tls: Tls) -> Reply:
        """Separate from `_ask`, because an error that is kept there would keep this frame's data too."""
        where = addresses.http(url)
        origin = Origin(where.scheme, where.host, where.port, tls)
        head = _head(f"{method} {where.target}", origin, fields)
        async with asyncio.timeout(self._total_limit), self._room, self._connected(origin) as streams:
            reader, writer = streams
            writer.write(head + body)
            return await _reply(reader, method.encode())

    @asynccontextmanager
    async def _connected(self, origin: Origin) -> AsyncIterator[_Streams]:
        """Connect; at the end the connection is closed at once, whatever its peer does."""
        context = await self._context(origin.tls) if origin.scheme == "https" else None
        async with asyncio.timeout(self._connect_limit):
            reader, writer = await _connect(origin, context)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def _context(self, tls: Tls) -> ssl.SSLContext:
        if tls != Tls():
            return await _in_thread(tls)
        if self._system is None:
            self._system = await _in_thread(tls)
        return self._system


def _hint(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {reason(error)}"
    return next(hint for kind, hint in _HINTS if isinstance(error, kind))


def _head(line: str, origin: Origin, fields: Mapping[str, str]) -> bytes:
    """Write a request's head. Raises ValueError for a field that no head can hold."""
    lines = [f"{name}: {value}\r\n" for name, value in fields.items()]
    if not all(line[:-2].isascii() and line[:-2].isprintable() for line in lines):
        raise ValueError("a header field holds what it must not")
    host = origin.authority.decode()
    return f"{line} HTTP/1.1\r\nHost: {host}\r\n{_OURS}{''.join(lines)}\r\n".encode()


class _Arrived(asyncio.StreamReader):
    """Keep what arrived before the connection was lost: a StreamReader forgets that.

    A server that refuses a request before it has read the form closes its connection, and a reset follows the answer.
    """

    lost = False

    def set_exception(self, exc: Exception) -> None:
        """Mark the end of the stream where the connection was lost, after what arrived."""
        if isinstance(exc, ConnectionError):
            self.lost = True
            self.feed_eof()
        else:
            super().set_exception(exc)


async def _connect(origin: Origin, context: ssl.SSLContext | None) -> _Streams:
    connected = await open_socket(origin)
    loop = asyncio.get_running_loop()
    reader = _Arrived(limit=HEADS_LIMIT, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    host = origin.host if context else None
    try:
        transport, _ = await loop.create_connection(
            lambda: protocol, sock=connected, ssl=context, server_hostname=host
        )
    except BaseException:
        connected.close()
        raise
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _reply(reader: _Arrived, method: bytes) -> Reply:
    """Read the answer to the request. Raises MessageMalformed, whose text is fit for messages."""
    try:
        held = bytearray()
        answer = await _final(reader, held, method)
        body = await _body(reader, held, answer)
    except MessageMalformed as error:
        raise MessageMalformed(
            f"its answer cannot be used: {error}; check token_endpoint or issuer"
        ) from None
    except ConnectionError:
        raise MessageMalformed(_NO_ANSWER) from None
    return Reply(
        status=answer.status,
        content_type=_value(answer, b"content-type"),
        body=body,
        retry_after=_value(answer, b"retry-after"),
        date=_value(answer, b"date"),
        content_encoding=_value(answer, b"content-encoding"),
    )


async def _final(reader: _Arrived, held: bytearray, method: bytes) -> Response:
    """Read the final answer's head, over the interim ones before it, and leave in `held` what follows."""
    left = HEADS_LIMIT
    for _ in range(MAX_INTERIM + 1):
        head = await _answer_head(reader, held, left)
        left -= len(head)
        answer = parse_response(head, method)
        if answer.status >= 200:
            return answer
        if answer.status == 101:
            raise MessageMalformed("it switches to another protocol")
        await asyncio.sleep(0)
    raise MessageMalformed(f"more than {MAX_INTERIM} interim answers (1xx) come before it")


async def _answer_head(reader: _Arrived, held: bytearray, most: int) -> bytes:
    """Take a head of `most` bytes from `held` and the reader; fail at once on bytes that begin no head."""
    judged = 0
    while (end := held.find(b"\r\n\r\n", judged)) < 0 and len(held) <= most:
        if held:
            check_beginning(held, judged)
            judged = max(0, len(held) - 3)
        data = await reader.read(SLICE)
        if not data:
            if not held:
                raise ConnectionResetError
            raise MessageMalformed("it broke off in its head")
        held += data
    if end < 0 or end + 4 > most:
        raise MessageMalformed(f"its head, or those before it, are longer than {HEADS_LIMIT} bytes")
    head = bytes(held[: end + 4])
    del held[: end + 4]
    return head


async def _body(reader: _Arrived, held: bytearray, answer: Response) -> bytes:
    decoder, content, wire = body_of(answer.length), bytearray(), 0
    rest = b"" if answer.length == 0 else None
    while rest is None:
        data = bytes(held) or await reader.read(SLICE)
        held.clear()
        if not data:
            if decoder.ends_with_connection() and not (reader.lost and answer.status < 400):
                break  # the status of a refusal that was cut off is enough
            raise MessageMalformed("it broke off")
        wire += len(data)
        pieces, rest = decoder.feed(data)
        content += b"".join(pieces)
        if len(content) > SIZE_LIMIT:
            raise MessageMalformed(f"it is larger than {SIZE_LIMIT} bytes")
        if wire > WIRE_LIMIT:
            raise MessageMalformed(f"its body takes more than {WIRE_LIMIT} bytes with its chunks' framing")
        await asyncio.sleep(0)
    return bytes(content)


def _value(answer: Response, name: bytes) -> str:
    """Return the first value of a field, "" where there is none."""
    return next((value.decode("latin-1") for value in answer.values(name)), "")


async def _in_thread(tls: Tls) -> ssl.SSLContext:
    try:
        return await threads.beside(str(tls), partial(_context, tls))
    except OSError as error:
        raise TokenUnavailable(f"cannot read {', '.join(tls.files)}: {reason(error)}", 0.0) from None


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = client_context(tls)
    except UnusableFiles as unusable:
        why = reason(unusable.cause)
        raise TokenUnavailable(f"cannot use {unusable.paths} for TLS: {why}", 0.0) from None
    context.set_alpn_protocols(["http/1.1"])
    return context
