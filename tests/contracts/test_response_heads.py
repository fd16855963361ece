"""Heads without end, as AWS Secrets Manager, an OTLP receiver or an admin server may send them: each is given up.

A thread reads them, and what never ends would keep it, and a part of the processor, for good.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException

import pytest
import requests
from botocore import exceptions as boto

from sidecar.admin import client as admin
from sidecar.core.errors import AdminUnreachable
from sidecar.credentials.sources import aws
from sidecar.system import response_heads
from sidecar.telemetry.sinks.otlp.endpoint import Session
from tests.support.waiting import block_until

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def answering(begin: bytes, again: bytes = b"", pause: float = 0.0) -> Iterator[str]:
    """A server that sends one thing and then another over and over, for as long as it is read."""

    def pour(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(begin)
            while again:
                connection.sendall(again)
                time.sleep(pause)

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=pour, args=(connection,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def read_secret(url: str) -> None:
    boto_client = aws._new_client("eu-west-1", url)
    boto_client.get_secret_value(SecretId="s", VersionStage="AWSCURRENT")


def export(url: str) -> None:
    Session().post(f"{url}/v1/metrics", b"", timeout=60)


def status(url: str) -> None:
    admin.status(url, {})


def plain(url: str, time_limit: float = 60) -> int:
    response_heads.bound()
    connection = HTTPConnection(url.removeprefix("http://"), timeout=time_limit)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


def outcome(ask: Callable[[], object]) -> object:
    """Return what it returns or raises; in a thread, as it might never."""
    outcomes: list[object] = []

    def run() -> None:
        try:
            outcomes.append(ask())
        except Exception as error:  # noqa: BLE001
            outcomes.append(error)

    threading.Thread(target=run, daemon=True).start()
    block_until(lambda: bool(outcomes))
    return outcomes[0]


@pytest.mark.parametrize(
    ("client", "error"),
    [
        (read_secret, boto.BotoCoreError),
        (export, requests.ConnectionError),
        (status, AdminUnreachable),
        (plain, HTTPException),
    ],
)
@pytest.mark.parametrize(
    "again", [CONTINUE, CONTINUE[:-2] + b"a: b\r\n" * 50 + b"\r\n"], ids=["bare", "fields"]
)
def test_s5_an_answer_that_is_continued_without_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, client: Callable[[str], object], error: type[Exception], again: bytes
) -> None:
    """Soon, and the thread is free again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    with answering(again, again * 1000) as url:
        assert isinstance(outcome(lambda: client(url)), error)


def test_s5_a_head_that_trickles_takes_twice_the_time_of_a_read() -> None:
    """Each byte comes in time, the head never."""
    with answering(b"HTTP/1.1 200 OK\r\nX: ", b"x", pause=0.01) as url:
        assert isinstance(outcome(lambda: plain(url, 0.5)), TimeoutError)


@pytest.mark.parametrize("interim", [0, 1, 100])
def test_s5_a_few_continues_are_read_over(interim: int) -> None:
    """The final answer counts."""
    with answering(CONTINUE * interim + OK) as url:
        assert outcome(lambda: plain(url)) == 200


def test_s5_a_body_may_be_longer_and_slower_than_heads() -> None:
    """The bounds end with the head."""
    response_heads.bound()
    size = 4 * response_heads.MOST
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size

    def ask(url: str) -> int:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=60)
        try:
            connection.request("GET", "/")
            return len(connection.getresponse().read())
        finally:
            connection.close()

    with answering(head + b"x" * size) as url:
        assert outcome(lambda: ask(url)) == size
