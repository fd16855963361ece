"""An upstream and a client that move more bytes than suits an event loop: threads, plain sockets."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Self

MIB = 1 << 20
PACE = 100_000
"""Bytes a slow reader takes in a tenth of a second."""

_BLOCK = b"x" * MIB
_CHUNK = b"10000\r\n%b\r\n" % (b"x" * 0x10000)
_END = b"0\r\n\r\n"


def framing(size: int, *, chunked: bool) -> bytes:
    """The field line that announces a body, its CRLF included."""
    return b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % size


def pieces(size: int, *, chunked: bool) -> Iterator[bytes]:
    """A body of that many `x`, whole MiB, as it goes over the wire."""
    if chunked:
        for _ in range(size // 0x10000):
            yield _CHUNK
        yield _END
    else:
        for _ in range(size // MIB):
            yield _BLOCK


def swallow(connection: socket.socket, size: int, *, chunked: bool, slowly: bool = False) -> Iterator[int]:
    """Read a body to its end and forget it; yields how much of it has come."""
    buffer = bytearray(PACE if slowly else 4 * MIB)
    as_sent = memoryview(b"x" * len(buffer))
    got, tail = 0, b""
    while got < size or (chunked and tail != _END):
        count = connection.recv_into(buffer)
        if not count:
            raise ConnectionError(f"ended after {got} bytes")
        whole = buffer.startswith(as_sent[:count])  # eight times as fast as to count
        got += count if whole else buffer.count(b"x", 0, count)
        tail = (tail + buffer[max(0, count - 5) : count])[-5:]
        yield got
        if slowly:
            time.sleep(0.1)


def read_head(connection: socket.socket) -> bytes:
    """Read the next head, b"" if the connection ends; its sender waits for an answer before it sends a body."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (byte := connection.recv(1)):
            return b""
        head += byte
    return head


class Upstream:
    """`/down/SIZE` sends, `/up/SIZE` takes, `/slow/SIZE` takes a megabyte a second; chunked where the client is."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.sent = 0
        self.taken = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._listener, *self._connections):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                self._connections.append(connection)
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while head := read_head(connection):
                way, size = head.split()[1].decode().strip("/").split("/")
                self._answer(connection, way, int(size), chunked=b"chunked" in head)

    def _answer(self, connection: socket.socket, way: str, size: int, *, chunked: bool) -> None:
        if way != "down":
            for self.taken in swallow(connection, size, chunked=chunked, slowly=way == "slow"):
                pass
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n%012d" % self.taken)
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\n%b\r\n" % framing(size, chunked=chunked))
        self.sent = 0
        for piece in pieces(size, chunked=chunked):
            connection.sendall(piece)
            self.sent += len(piece)


class Client:
    """One connection to the sidecar; each call blocks until it is done."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._connection = socket.create_connection((host, int(port)))
        self.sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def down(self, size: int, *, chunked: bool = False, slowly: float = 0) -> int:
        """Request a body; return all of it, or what arrives in that many seconds at a megabyte a second."""
        self._ask(b"GET /down/%d" % size, b"X-Coding: chunked\r\n" if chunked else b"")
        status = read_head(self._connection)
        assert status.startswith(b"HTTP/1.1 200"), status
        end = time.monotonic() + slowly
        for got in swallow(self._connection, size, chunked=chunked, slowly=slowly > 0):
            if slowly and time.monotonic() > end:
                return got
        return size

    def up(self, size: int, *, chunked: bool = False, way: bytes = b"up") -> int:
        """Send a body; return the size that the upstream reports."""
        self._ask(b"PUT /%b/%d" % (way, size), framing(size, chunked=chunked))
        for piece in pieces(size, chunked=chunked):
            self._connection.sendall(piece)
            self.sent += len(piece)
        status = read_head(self._connection)
        assert status.startswith(b"HTTP/1.1 200"), status
        return int(self._connection.recv(12))

    def give_up(self) -> None:
        """End the connection under a call that blocks in another thread."""
        self._connection.shutdown(socket.SHUT_RDWR)

    def _ask(self, line: bytes, fields: bytes) -> None:
        self._connection.sendall(b"%b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (line, fields))
