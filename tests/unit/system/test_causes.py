"""Causes in words: what people read where something failed, and that no class name stands for one."""

import ast
import errno
import http.client
import socket
import ssl
from asyncio import IncompleteReadError
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import urllib3
from botocore import exceptions as boto

import sidecar
from sidecar.system.causes import in_words
from sidecar.system.client_tls import reason

CANARY = "canary-secret"
REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, CANARY)


def caused(error: Exception, cause: BaseException) -> Exception:
    """One error because of another, as libraries raise it."""
    error.__cause__ = cause
    return error


def of_requests(cause: Exception) -> Exception:
    """What requests raises: urllib3's errors within each other."""
    pool = urllib3.HTTPConnectionPool("h")
    inner = caused(urllib3.exceptions.NewConnectionError(pool, CANARY), cause)  # type: ignore[arg-type]
    return requests.ConnectionError(urllib3.exceptions.MaxRetryError(pool, "/", inner))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer in time"),
        (TimeoutError(CANARY), "no answer in time"),
        (ConnectionError(), "cannot connect"),
        (ConnectionResetError(), "the connection was reset"),
        (ConnectionResetError(errno.ECONNRESET, CANARY), "Connection reset by peer"),
        (BrokenPipeError(), "the connection was lost"),
        (OSError(errno.EHOSTUNREACH, CANARY), "No route to host"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 113] b"), "Connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (socket.gaierror(), "the name does not resolve"),
        (PermissionError(), "permission denied"),
        (MemoryError(), "out of memory"),
        (RecursionError(CANARY), "it is nested too deeply"),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, CANARY), "it is not valid text"),
        (IncompleteReadError(b"x", 2), "the connection was lost before the answer was complete"),
        (http.client.BadStatusLine(CANARY), "the answer is not HTTP"),
        (http.client.RemoteDisconnected(CANARY), "the connection was closed before an answer"),
        (ssl.SSLError(1, CANARY), "TLS failed"),
        (of_requests(REFUSED), "Connection refused"),
        (requests.ReadTimeout(CANARY), "no answer in time"),
        (requests.ConnectTimeout(CANARY), "no connection in time"),
        (boto.EndpointConnectionError(endpoint_url="https://h", error=REFUSED), "Connection refused"),
        (boto.EndpointConnectionError(endpoint_url="https://h"), "cannot connect"),
        (boto.ReadTimeoutError(endpoint_url="https://h"), "no answer in time"),
        (boto.NoCredentialsError(), "no credentials found"),
        (caused(boto.HTTPClientError(error=CANARY), TimeoutError()), "no answer in time"),
        (KeyError(CANARY), "unexpected error (KeyError)"),
        (boto.HTTPClientError(error=CANARY), "unexpected error (HTTPClientError)"),
    ],
)
def test_o9_a_cause_is_in_words(error: BaseException, words: str) -> None:
    """The system's, TLS's or ours; of a library's text nothing."""
    assert in_words(error) == words


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionError(), ConnectionAbortedError(), ValueError()])
def test_o9_a_failed_connection_has_a_cause_in_words(error: Exception) -> None:
    """Where the error has no text of its own, its class name does not stand in for one."""
    assert type(error).__name__ not in reason(error).split()


def test_o9_errors_that_quote_each_other_end() -> None:
    """A loop of causes is looked through once, and bounded."""
    first, second = KeyError(), ValueError()
    first.__context__, second.__context__ = second, first
    assert in_words(first) == "unexpected error (KeyError)"


ALLOWED = {
    ("cli/main.py", "a bug, for its report"),
    ("fleet/redis/connect.py", "names a class that it makes"),
    ("fleet/redis/reasons.py", "is compared, not shown"),
    ("system/causes.py", "the one place"),
    ("telemetry/events.py", "a bug's type and place, for its report"),
}


def class_names(tree: ast.AST) -> Iterator[int]:
    """Where the name of a class is read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in {"__name__", "__qualname__"}:
            yield node.lineno


def test_o9_no_other_place_makes_a_cause_of_a_class_name() -> None:
    """Exceptions become causes in one module; any other use of a class name has a reason."""
    root = Path(sidecar.__file__).parent
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(class_names(ast.parse(path.read_text())))
    }
    assert found == {path for path, _ in ALLOWED}
