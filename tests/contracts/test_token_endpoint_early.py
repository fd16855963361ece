"""Authorization servers that answer before they have read the form, and close: none of the answer is lost."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme

from sidecar.core.errors import TokenUnavailable
from sidecar.core.tls import Tls
from sidecar.oauth.http_client import HttpAuthorizationServer

FORM = "client_assertion=" + "canary" * 2000
FRAMINGS: Mapping[str, Callable[[bytes], bytes]] = {
    "length": lambda body: b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
    "chunked": lambda body: b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
    "until it closes": lambda body: b"Connection: close\r\n\r\n" + body,
}


@contextmanager
def refusing(answer: bytes, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that reads a few bytes of each request, answers and closes with the rest unread: a reset follows."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with suppress(OSError):
                    connection = tls.wrap_socket(connection, server_side=True) if tls else connection
                    connection.recv(5)
                    connection.sendall(answer)
                connection.close()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}/token"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("size", [0, 50, 5_000, 60_000])
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_h1_an_answer_to_a_form_that_was_not_read_is_not_lost(
    tmp_path: Path, framing: str, size: int, *, tls: bool
) -> None:
    """A refusal counts as one, and not as an outage, however long the page that comes with it."""
    context, trust = None, Tls()
    if tls:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        context, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), Tls(ca_file=str(tmp_path / "ca.pem"))
        authority.issue_cert("127.0.0.1").configure_cert(context)
    body = b"x" * size
    with refusing(b"HTTP/1.1 401 Unauthorized\r\n" + FRAMINGS[framing](body), context) as url:
        for _ in range(3):
            reply = await HttpAuthorizationServer().post(url, {}, FORM, trust)
            assert (reply.status, reply.body) == (401, body)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\naccess_token=canary", "it broke off"),
        (b"HTTP/1.1 401 No\r\nContent-Length: 20\r\n\r\n{", "it broke off"),
        (b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{", "it broke off"),
        (b"HTTP/1.1 401 No\r\nContent-", "it broke off in its head"),
        (b"", "closed the connection without an answer"),
    ],
    ids=["token", "length", "chunked", "head", "nothing"],
)
async def test_h1_what_did_not_arrive_whole_is_no_answer(answer: bytes, cause: str) -> None:
    """A token that ends with the connection may be half of one when that was reset."""
    with refusing(answer) as url, pytest.raises(TokenUnavailable, match=cause):
        await HttpAuthorizationServer().post(url, {}, FORM, Tls())
