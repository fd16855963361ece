"""Servers that answer a request's head and close, each in its own way; on threads and plain sockets."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from tests.support.waiting import PATIENCE

End = Callable[[socket.socket], None]
REASON = {401: b"Unauthorized", 413: b"Content Too Large"}


def _close(connection: socket.socket) -> None:
    """Close with the body unread: the kernel sends a reset."""


def _end_then_close(connection: socket.socket) -> None:
    """End the output first, so that the answer's end arrives before the reset."""
    connection.shutdown(socket.SHUT_WR)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _end_then_reset(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    _reset(connection)


ENDS: Mapping[str, End] = {
    "close": _close,
    "shutdown, close": _end_then_close,
    "SO_LINGER 0": _reset,
    "shutdown, SO_LINGER 0": _end_then_reset,
}
FRAMINGS: Mapping[str, bytes] = {
    "Connection: close": b"Content-Length: 7\r\nConnection: close\r\n",
    "keep-alive": b"Content-Length: 7\r\n",
}


def early_answer(status: int, framing: bytes, body: bytes = b"refused") -> bytes:
    """Return a whole answer; the framing is field lines with their CRLF."""
    return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, REASON[status], framing, body)


class RawServer:
    """Reads each request's head, answers its path's status (`/413`) and ends the connection; one thread each."""

    def __init__(self, end: End, framing: bytes, tls: ssl.SSLContext | None = None) -> None:
        self._end = end
        self._framing = framing
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(PATIENCE)
        # Else the kernel may hold the answer back behind TLS's session tickets, and drop it when it sends the reset.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError):
            connection = plain if self._tls is None else self._tls.wrap_socket(plain, server_side=True)
            with connection:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = connection.recv(256)
                    if not data:
                        return
                    head += data
                status = int(head.split(b" ", 2)[1].rpartition(b"/")[2])
                connection.sendall(early_answer(status, self._framing))
                self._end(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.send_error(int(self.path.rpartition("/")[2]))  # closes the connection

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing: resets are what it is here for."""


class LibraryServer:
    """The same by Python's `http.server`."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return self._server.server_port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE)
