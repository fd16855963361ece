"""The upstream: checks what reaches it, and answers as its path asks.

python -m tests.soak.upstream PORT REVOKED; command: `revoke NANOSECONDS`. Tokens issued before that are refused.

| path                            | answer                                                                    |
| ------------------------------- | ------------------------------------------------------------------------- |
| `/echo`, `/plain/echo`          | what came, with its size and checksum; for `/plain` the client's own credentials |
| `/bytes?size=&framing=`         | that many bytes, `sized`, `chunked` or until the `close`                  |
| `/slow?seconds=`                | like `/echo`, later                                                       |
| `/events?count=&seconds=`       | server-sent events, one each so many seconds                              |
| `/truncated?framing=`           | half of what it promises                                                  |
| `/garbage`                      | not HTTP                                                                  |
| `/socket`                       | a WebSocket that sends everything back                                    |
| `/refused`                      | always 401                                                                |
"""

import asyncio
import json
import sys
from urllib.parse import parse_qsl, urlsplit
from zlib import crc32

from tests.soak.authorization import PREFIX
from tests.soak.bodies import BLOCK, PLAIN, blocks
from tests.soak.child import run, say
from tests.soak.websocket import echo
from tests.support.upstream import INVALID_TOKEN, Exchange, Received, Server, refusal
from tests.support.wire_client import WireError, read_request_head

Query = dict[str, str]


def head(exchange: Exchange, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """The answer's head; it repeats the request's id, so that no answer can be taken for another."""
    own = b"".join(exchange.received.values("X-Request-Id"))
    return b"\r\n".join((b"HTTP/1.1 " + status, b"X-Request-Id: " + own, *fields, b"", b""))


class SoakUpstream(Server):
    """See the head of this module."""

    def __init__(self, revoked: int) -> None:
        super().__init__()
        self._revoked = revoked

    async def obey(self, words: list[str]) -> None:
        """Refuse the tokens issued before the given moment."""
        [_, moment] = words
        self._revoked = int(moment)

    async def serve(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (received := await read_request_head(reader)) is not None:
                exchange = Exchange(Received(received, number), reader, writer)
                await self._answer(exchange)
                if exchange.closed:
                    return
                await exchange.read()
        except WireError as error:
            say(f"upstream: {error}")

    async def _answer(self, exchange: Exchange) -> None:
        target = urlsplit(exchange.received.head.target.decode())
        if not self._welcome(exchange, target.path):
            await exchange.send(refusal(INVALID_TOKEN))
            return
        if exchange.received.values("Expect"):
            await exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        name = target.path.rpartition("/")[2]
        await getattr(self, f"_{name}")(exchange, dict(parse_qsl(target.query)))

    def _welcome(self, exchange: Exchange, path: str) -> bool:
        credentials = b"".join(exchange.received.values("Authorization"))
        if path.startswith("/plain/"):
            if credentials != PLAIN:
                say(f"upstream: {path} came with other credentials than the client's own")
            return True
        token = exchange.received.token
        if not token.startswith(PREFIX):
            say(f"upstream: {path} came without our token")
            return False
        return path != "/refused" and int(token.removeprefix(PREFIX)) >= self._revoked

    async def _echo(self, exchange: Exchange, query: Query) -> None:
        await exchange.read()
        body = exchange.received.body
        told = {
            "method": exchange.received.head.method.decode(),
            "size": len(body),
            "crc": crc32(body),
            "trailers": len(exchange.received.trailers),
        }
        answer = json.dumps(told).encode()
        length = b"Content-Length: %d" % len(answer)
        await exchange.send(head(exchange, length) + (b"" if self._head_only(exchange) else answer))

    async def _slow(self, exchange: Exchange, query: Query) -> None:
        await asyncio.sleep(float(query["seconds"]))
        await self._echo(exchange, query)

    async def _bytes(self, exchange: Exchange, query: Query) -> None:
        size = int(query["size"])
        if query["framing"] == "chunked":
            await self._chunked(exchange, size)
            return
        close = query["framing"] == "close"
        framing = b"Connection: close" if close else b"Content-Length: %d" % size
        await exchange.send(head(exchange, framing))
        if not self._head_only(exchange):
            for block in blocks(size):
                await exchange.send(block)
        if close:
            exchange.close()

    async def _chunked(self, exchange: Exchange, size: int, *, cut: bool = False) -> None:
        await exchange.send(head(exchange, b"Transfer-Encoding: chunked"))
        if self._head_only(exchange):
            return
        for block in blocks(size):
            await exchange.send(b"%x\r\n%b\r\n" % (len(block), block))
        if cut:
            exchange.close()
        else:
            await exchange.send(b"0\r\n\r\n")

    async def _events(self, exchange: Exchange, query: Query) -> None:
        fields = (b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked")
        await exchange.send(head(exchange, *fields))
        for number in range(int(query["count"])):
            event = b"data: %d\n\n" % number
            await exchange.send(b"%x\r\n%b\r\n" % (len(event), event))
            await asyncio.sleep(float(query["seconds"]))
        await exchange.send(b"0\r\n\r\n")

    async def _truncated(self, exchange: Exchange, query: Query) -> None:
        size = 3 * len(BLOCK)
        if query["framing"] == "chunked":
            await self._chunked(exchange, size, cut=True)
            return
        await exchange.send(head(exchange, b"Content-Length: %d" % (2 * size)))
        for block in blocks(size):
            await exchange.send(block)
        exchange.close()

    async def _garbage(self, exchange: Exchange, query: Query) -> None:
        await exchange.send(b"SSH-2.0-soak\r\n\r\n")
        exchange.close()

    async def _socket(self, exchange: Exchange, query: Query) -> None:
        await echo(exchange)

    def _head_only(self, exchange: Exchange) -> bool:
        return exchange.received.head.method == b"HEAD"


if __name__ == "__main__":
    server = SoakUpstream(int(sys.argv[2]))
    run(server, server.obey, int(sys.argv[1]))
