"""Servers that never come to the end of their answer."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MOST_SENT = 128 << 20
"""Bytes after which a flood ends: far more than a bounded reader takes."""
MEMORY = 4 << 20


@dataclass(frozen=True)
class Flood:
    """What a server sends first, and what it then sends over and over."""

    begin: bytes
    again: bytes
    cause: str
    """Cause that the client reports."""


class Flooding:
    """A server in a thread of its own, which answers each request with the flood."""

    def __init__(self, flood: Flood) -> None:
        self._flood = flood
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.asked = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}/token"

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        await asyncio.to_thread(self._thread.join)  # the loop has a connection to close first

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.asked += 1
                with connection, suppress(OSError):
                    self._pour(connection)

    def _pour(self, connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(self._flood.begin)
        block = self._flood.again * (65_536 // len(self._flood.again) + 1)
        for _ in range(MOST_SENT // len(block)):
            connection.sendall(block)


@asynccontextmanager
async def flooding(flood: Flood) -> AsyncIterator[Flooding]:
    server = Flooding(flood)
    server.start()
    try:
        yield server
    finally:
        await server.stop()
