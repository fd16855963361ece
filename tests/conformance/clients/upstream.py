"""The upstream of the clients: the path of a request names what it does.

What reaches it is checked by the tests' own peer, which is strict: `Http2Upstream.malformed` has what was wrong.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator

from tests.support.http2_peer import Message
from tests.support.http2_upstream import Exchange2, Http2Upstream, Script2
from tests.support.waiting import until

BLOCK = bytes((i * 7 + i // 251) & 0xFF for i in range(65_521))
"""Repeated, it is a body. Its length is prime, so that no frame that is lost or doubled goes unnoticed."""
PART = 256 * 1024
FIELD = "x" * 30_000
TRAILERS = ((b"checksum", b"abc"), (b"more", b"1, 2"))


def pattern(size: int) -> Iterator[bytes]:
    """Return a body of this size, in parts."""
    whole, rest = divmod(size, len(BLOCK))
    for _ in range(whole):
        yield BLOCK
    yield BLOCK[:rest]


def digest(size: int) -> str:
    """Return the SHA-256 of a body of this size."""
    sha = hashlib.sha256()
    for part in pattern(size):
        sha.update(part)
    return sha.hexdigest()


class ClientsUpstream(Http2Upstream):
    """Answers by path."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        """Lets `/halves` send its second half."""
        self.half = asyncio.Event()
        """Whether `/halves` has sent its first half."""
        self.welcome = self._by_path

    def last(self, path: str) -> Message:
        """Return the last request for this path."""
        return [each for each in self.requests if each.values(":path") == [path.encode()]][-1]

    async def _by_path(self, exchange: Exchange2) -> None:
        path = exchange.received.values(":path")[0].decode()
        name, _, rest = path.removeprefix("/").partition("/")
        await self._scripts()[name](rest)(exchange)

    def _scripts(self) -> dict[str, Callable[[str], Script2]]:
        plain: dict[str, Callable[[Exchange2], Awaitable[None]]] = {
            "get": _get,
            "echo": _echo,
            "digest": _digest,
            "field": _field,
            "trailers": _trailers,
            "hints": _hints,
            "endless": _endless,
            "early": _early,
            "goaway": _goaway,
            "unprocessed": self._unprocessed,
            "halves": self._halves,
        }
        scripts: dict[str, Callable[[str], Script2]] = {
            name: _always(script) for name, script in plain.items()
        }
        return {**scripts, "pattern": _pattern, "item": _item}

    async def _unprocessed(self, exchange: Exchange2) -> None:
        """Process it the second time only; the first time a GOAWAY excludes it."""
        if len([each for each in self.requests if each.values(":path") == [b"/unprocessed"]]) == 1:
            await exchange.read()
            exchange.peer.goaway(max(0, exchange.stream - 2))
        else:
            await _get(exchange)

    async def _halves(self, exchange: Exchange2) -> None:
        exchange.head(200)
        await exchange.send(BLOCK)
        self.half.set()
        await self.go.wait()
        await exchange.send(BLOCK, end=True)


def _always(script: Script2) -> Callable[[str], Script2]:
    return lambda _: script


async def _get(exchange: Exchange2) -> None:
    await exchange.read()
    body = b"got it"
    head_only = exchange.received.values(":method") == [b"HEAD"]
    exchange.head(200, [(b"x-kind", b"plain"), (b"content-length", b"%d" % len(body))], end=head_only)
    if not head_only:
        await exchange.send(body, end=True)


async def _echo(exchange: Exchange2) -> None:
    received, sent = exchange.received, 0
    exchange.head(200)
    while not received.over or sent < len(received.body):
        await exchange.read(sent + 1)
        part = bytes(memoryview(received.body)[sent : sent + PART])
        sent += len(part)
        await exchange.send(part)
    await exchange.send(b"", end=True)


async def _digest(exchange: Exchange2) -> None:
    """Answer with the SHA-256 of the body; one that waits for it gets 100 first."""
    if exchange.received.values("expect") and not exchange.received.body:
        exchange.interim(100)
    await exchange.read()
    exchange.head(200)
    await exchange.send(hashlib.sha256(exchange.received.body).hexdigest().encode(), end=True)


def _pattern(rest: str) -> Script2:
    async def script(exchange: Exchange2) -> None:
        size = int(rest)
        exchange.head(200, [(b"content-length", b"%d" % size)])
        for part in pattern(size):
            await exchange.send(part)
        await exchange.send(b"", end=True)

    return script


def _item(rest: str) -> Script2:
    async def script(exchange: Exchange2) -> None:
        exchange.head(200)
        await exchange.send(b"item %s" % rest.encode(), end=True)

    return script


async def _field(exchange: Exchange2) -> None:
    exchange.head(200, [(b"x-large", exchange.received.values("x-large")[0])], end=True)


async def _trailers(exchange: Exchange2) -> None:
    """Answer with the request's trailers, and some of its own."""
    await exchange.read()
    exchange.head(200, [(b"trailer", b"checksum, more")])
    await exchange.send(b"body")
    exchange.trailers([*TRAILERS, *exchange.received.trailers])


async def _hints(exchange: Exchange2) -> None:
    exchange.interim(103, [(b"link", b"</a.css>; rel=preload")])
    exchange.interim(103, [(b"link", b"</b.css>; rel=preload")])
    await _get(exchange)


async def _endless(exchange: Exchange2) -> None:
    exchange.head(200)
    while exchange.received.reset is None and not exchange.peer.closed:
        await exchange.send(BLOCK)


async def _early(exchange: Exchange2) -> None:
    """Answer before the request's content has arrived, and refuse the rest of it."""
    exchange.head(413, [(b"x-kind", b"early")])
    await exchange.send(b"too large", end=True)
    if not exchange.received.whole:
        exchange.reset(0)


async def _goaway(exchange: Exchange2) -> None:
    """Announce the end of the connection in the middle of an answer."""
    exchange.head(200)
    await exchange.send(BLOCK)
    exchange.peer.goaway(exchange.stream)
    await exchange.send(BLOCK, end=True)


async def reset_of(upstream: ClientsUpstream, path: str) -> int | None:
    """Wait until the last request for this path was reset; return the code."""
    message = upstream.last(path)
    await until(lambda: message.reset is not None)
    return message.reset
