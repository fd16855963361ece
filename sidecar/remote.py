"""Asks the admin server of a running sidecar, on behalf of the command line."""

import json
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from sidecar.core.errors import AdminRefused
from sidecar.core.secret import Secret

TIME_LIMIT = 10.0
"""Seconds for each step of the exchange."""
SIZE_LIMIT = 65_536
"""Bytes of an answer that are read."""


def bust(admin: str, token: Secret, select: Mapping[str, object]) -> str:
    """Have every token busted that carries these labels; returns what was done, for people.

    Raises AdminRefused, also where nobody answers at `admin`.
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
        raise AdminRefused(f"no answer from {admin}: {str(error) or type(error).__name__}") from None
    finally:
        connection.close()
    told = _members(content)
    if answer.status != 200:
        raise AdminRefused(f"{admin} answered {answer.status}: {told.get('detail', answer.reason)}")
    if not {"select", "pods"} <= told.keys():
        raise AdminRefused(f"{admin} is no sidecar's admin server")
    return told


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
