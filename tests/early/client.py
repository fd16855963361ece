"""A client that reads while it writes, so that no early answer is lost on its side."""

import re
import select
import socket
import ssl

from tests.support.waiting import PATIENCE

SIZE = 3_000_000
"""Bytes of a body: more than the kernel's buffers on the way hold for an upstream that reads none of it."""
_BLOCK = b"x" * 65_536
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked\r\n", re.IGNORECASE)


def upload(address: tuple[str, int], path: str, tls: ssl.SSLContext | None = None, size: int = SIZE) -> bytes:
    """Send a PUT with a body of that many bytes; return the answer as far as it came within PATIENCE seconds."""
    head = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode()
    plain = socket.create_connection(address, timeout=PATIENCE)
    connection = plain if tls is None else tls.wrap_socket(plain, server_hostname="127.0.0.1")
    with connection:
        try:
            connection.sendall(head)
        except OSError:
            size = 0
        connection.settimeout(0)
        return _exchange(connection, size)


def status(answer: bytes) -> int:
    """Return the status of an answer whose connection has ended, 0 where it is cut short or missing."""
    head, end, _ = answer.partition(b"\r\n\r\n")
    if not end or (_ends_by_itself(head + end) and not _whole(answer)):
        return 0
    return int(answer.split(b" ", 2)[1])


def _exchange(connection: socket.socket, left: int) -> bytes:
    """Read before each write; after a write that failed, read what came before it."""
    answer = b""
    while not _whole(answer):
        readable, writable, _ = select.select([connection], [connection] if left else [], [], PATIENCE)
        if not readable and not writable:
            break
        try:
            if not (data := connection.recv(65_536)):
                break
            answer += data
        except (ssl.SSLWantReadError, BlockingIOError):
            if left:
                left = _send(connection, left)
        except OSError:
            break
    return answer


def _send(connection: socket.socket, left: int) -> int:
    """Return how much is left to send."""
    try:
        return left - connection.send(_BLOCK[:left])
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
        return left
    except OSError:
        return 0


def _ends_by_itself(head: bytes) -> bool:
    return bool(_LENGTH.search(head) or _CHUNKED.search(head))


def _whole(answer: bytes) -> bool:
    """Return whether the answer is complete, however the connection goes on."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if length := _LENGTH.search(head + end):
        return bool(end) and len(body) >= int(length[1])
    return bool(_CHUNKED.search(head + end)) and body.endswith(b"0\r\n\r\n")
