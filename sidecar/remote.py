"""Asks the admin server of a running sidecar, on behalf of the command line."""

import json
import os
import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from sidecar.core.errors import AdminRefused, AdminUnreachable
from sidecar.core.secret import Secret

TIME_LIMIT = 10.0
"""Seconds for each step of the exchange."""
SIZE_LIMIT = 65_536
"""Bytes of an answer that are read."""

_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "it took too long; check address, port and network policy"),
    (ConnectionRefusedError, "nobody listens there; is the sidecar running, and is this its admin.listen?"),
    (ConnectionError, "it closed the connection; is this admin.listen, and not listen?"),
    (socket.gaierror, "the name does not resolve"),
    (ssl.SSLCertVerificationError, "its certificate is not trusted here"),
    (ssl.SSLError, "it does not speak TLS; write http://"),
    (HTTPException, "what answers there is not HTTP"),
)
"""What to look at by kind of error, narrower kinds first."""


def bust(admin: str, token: Secret, select: Mapping[str, object]) -> str:
    """Have every token busted that carries these labels; returns what was done, for people.

    Raises AdminRefused, and AdminUnreachable where nobody answers at `admin`.
    """
    answer = _post(admin, "/bust", token, json.dumps(select))
    return f"{answer['select']}: heard by {answer['pods']} {'pod' if answer['pods'] == 1 else 'pods'}"


def _post(admin: str, path: str, token: Secret, body: str) -> dict[str, object]:
    connection = _connection(admin)
    fields = {"Authorization": f"Bearer {token.reveal()}", "Content-Type": "application/json"}
    try:
        connection.request("POST", path, body, fields)
        answer = connection.getresponse()
        content = answer.read(SIZE_LIMIT)
    except (OSError, HTTPException) as error:
        raise AdminUnreachable(f"no answer from {admin}: {_hint(error)}") from None
    finally:
        connection.close()
    told = _members(content)
    if answer.status != 200:
        raise AdminRefused(f"{admin} answered {answer.status}: {told.get('detail', answer.reason)}")
    if not {"select", "pods"} <= told.keys():
        raise AdminRefused(f"{admin} is no sidecar's admin server")
    return told


def _hint(error: OSError | HTTPException) -> str:
    for kind, hint in _HINTS:
        if isinstance(error, kind):
            return hint
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else type(error).__name__


def _connection(admin: str) -> HTTPConnection:
    try:
        url = urlsplit(admin)
        host, port = url.hostname, url.port
    except ValueError:
        host = None
    if not host or url.scheme not in {"http", "https"}:
        raise AdminRefused("write the admin server's address as http://host:port")
    kind = HTTPSConnection if url.scheme == "https" else HTTPConnection
    return kind(host, port, timeout=TIME_LIMIT)


def _members(content: bytes) -> dict[str, object]:
    try:
        members = json.loads(content)
    except ValueError:
        return {}
    return members if isinstance(members, dict) else {}
