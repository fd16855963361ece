"""The client of a running sidecar's admin server, for the command line."""

import json
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlencode, urlsplit

from sidecar.core.errors import AdminRefused, AdminUnreachable
from sidecar.core.foreign_text import parse_object
from sidecar.core.secret import Secret
from sidecar.core.tls import Tls
from sidecar.system import causes, response_heads, tls_faults
from sidecar.system.client_tls import client_context, reason

TIME_LIMIT = 10.0
"""Seconds for each step of the exchange."""
SIZE_LIMIT = 16 << 20
"""Bytes of an answer that are read."""
MOST_TOLD = 1000
"""Characters of the server's own text that are repeated."""
MOST_WARNINGS = 10
"""Warnings of the server that are repeated."""

_REMEDIES: Mapping[int, str] = {
    401: "the token is missing or wrong; pass the admin.token of that pod with --token-file, "
    "$SIDECAR_ADMIN_TOKEN_FILE or $SIDECAR_ADMIN_TOKEN",
    403: "set admin.token in the configuration of that pod, and check that the sidecar can read it",
}
"""What to do by status of a refused bust."""

Members = dict[str, object]
"""A JSON object."""

_HINTS: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "it took too long; check address, port and network policy"),
    (
        FileNotFoundError,
        "the socket does not exist; check that the sidecar is running, and that this is its admin.listen",
    ),
    (
        ConnectionRefusedError,
        "connection refused; check that the sidecar is running, and that this is its admin.listen",
    ),
    (ConnectionError, "it closed the connection; check that this is admin.listen, not listen"),
    (socket.gaierror, "the name does not resolve"),
    (HTTPException, "the answer is not HTTP"),
)
"""What to check by kind of error, narrower kinds first."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A bust that was sent."""

    result: str
    """What each pod dropped, as text."""
    warnings: tuple[str, ...] = ()
    """Labels that the configuration of the pod that answered does not have."""


def bust(admin: str, token: Secret, select: Mapping[str, object]) -> Sent:
    """Bust every token that carries these labels.

    Raises AdminRefused, and AdminUnreachable if no server answers at `admin`.
    """
    fields = {"Authorization": f"Bearer {token.reveal()}", "Content-Type": "application/json"}
    received = _ask(admin, "POST", "/bust", json.dumps(select), fields)
    answer = _told(admin, received, "select", "pods", remedy=_REMEDIES.get(received.status, ""))
    summary = answer.get("summary", f"sent to {answer['pods']} pods")  # an older sidecar returns no more
    warnings = answer.get("warnings")
    told = warnings[:MOST_WARNINGS] if isinstance(warnings, list) else []
    return Sent(f"{answer['select']}: {summary}", tuple(str(warning)[:MOST_TOLD] for warning in told))


def status(admin: str, labels: Mapping[str, str]) -> Members:
    """Return the content of `/status`; of tokens, those that carry these labels. Raises like `bust`."""
    query = f"?{urlencode(labels)}" if labels else ""
    return _told(admin, _ask(admin, "GET", f"/status{query}"), "routes", "tokens")


def ready(admin: str) -> bool:
    """Return whether requests should go to this sidecar. Raises AdminUnreachable."""
    return _ask(admin, "GET", "/readyz").status == 200


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    reason: str
    content: bytes


def _ask(
    admin: str, method: str, path: str, body: str | None = None, fields: Mapping[str, str] | None = None
) -> _Answer:
    """Send a request; where the name is none of the server's own (421), once more as `localhost`.

    The server's check of Host is against web pages, which cannot choose it.
    """
    answer = _exchange(admin, method, path, body, fields or {})
    if answer.status == HTTPStatus.MISDIRECTED_REQUEST:
        return _exchange(admin, method, path, body, {**(fields or {}), "Host": "localhost"})
    return answer


def _exchange(admin: str, method: str, path: str, body: str | None, fields: Mapping[str, str]) -> _Answer:
    connection = _connection(admin)
    try:
        connection.request(method, path, body, fields)
        answer = connection.getresponse()
        return _Answer(answer.status, answer.reason, answer.read(SIZE_LIMIT))
    except (OSError, HTTPException) as error:
        raise AdminUnreachable(f"no answer from {admin}: {_hint(error)}") from None
    finally:
        connection.close()


def _told(admin: str, answer: _Answer, *wanted: str, remedy: str = "") -> Members:
    """Return the answer's members. Raises AdminRefused, with the `remedy`, if it is not a sidecar's."""
    members = parse_object(answer.content) or {}
    if answer.status != 200:
        detail = str(members.get("detail", answer.reason))[:MOST_TOLD]
        ours = "detail" in members
        remedy = remedy if ours else "this is not a sidecar's answer; check --admin"
        raise AdminRefused(f"{admin} answered {answer.status}: {detail}{remedy and f'; {remedy}'}")
    if not set(wanted) <= members.keys():
        raise AdminRefused(f"{admin} is not a sidecar's admin server")
    return members


def _hint(error: OSError | HTTPException) -> str:
    if isinstance(error, ssl.SSLError):
        speaks = tls_faults.speaks_tls(error)
        return f"TLS failed: {reason(error)}" if speaks else "it does not answer in TLS; write http://"
    for kind, hint in _HINTS:
        if isinstance(error, kind):
            return hint
    return causes.in_words(error)


def _connection(admin: str) -> HTTPConnection:
    """Return a connection to `admin`, which is as `core.addresses.admin` returns it."""
    response_heads.bound()
    if admin.startswith("unix:"):
        return _UnixConnection(admin.removeprefix("unix:"))
    url = urlsplit(admin)
    host = url.hostname or ""
    if url.scheme == "https":
        return HTTPSConnection(host, url.port, timeout=TIME_LIMIT, context=client_context(Tls()))
    return HTTPConnection(host, url.port, timeout=TIME_LIMIT)


class _UnixConnection(HTTPConnection):
    """Over a socket in the file system."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIME_LIMIT)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
