"""Which bytes are a request to the admin server, and what its head means."""

import pytest

from sidecar.admin.connection import MAX_HEAD, complete_head
from sidecar.admin.messages import Head, document, problem, read_head
from sidecar.core.errors import RequestRefused


def head_of(text: bytes) -> Head:
    """What the head means."""
    return read_head(complete_head(bytearray(text), 0))


@pytest.mark.parametrize(
    ("target", "path", "parameters"),
    [
        (b"/status", "/status", ("", "")),
        (b"/status?tenant=acme", "/status", ("acme", "")),
        (b"/status?service=ledger&tenant=acme&tenant=other&x", "/status", ("acme", "ledger")),
        (b"/status?tenant=a%2Fb+c&service=%C3%A9", "/status", ("a/b c", "é")),
        (b"/status?tenant=&service==&&", "/status", ("", "=")),
        (b"/status?tenant=a?b", "/status", ("a?b", "")),
        (b"/%73tatus", "/status", ("", "")),
        (b"//status", "//status", ("", "")),
        (b"http://127.0.0.1:9181/status?tenant=acme", "/status", ("acme", "")),
        (b"http://127.0.0.1:9181", "", ("", "")),
        (b"*", "*", ("", "")),
        (b"/%ff", "/\ufffd", ("", "")),
    ],
)
def test_s18_a_target_is_a_path_and_parameters(target: bytes, path: str, parameters: tuple[str, str]) -> None:
    """Decoded; of a parameter that occurs twice, the first."""
    head = head_of(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    assert (head.method, head.path) == ("GET", path)
    assert (head.parameter("tenant"), head.parameter("service")) == parameters


def test_s18_fields_keep_their_order_and_their_duplicates() -> None:
    """The checks of Host and of the token count them."""
    head = head_of(
        b"POST / HTTP/1.0\r\nHOST:a\r\nX:  1\t \r\nhost: b\r\nContent-Length: 12\r\nE:\r\n\r\nbody"
    )
    assert head.values("host") == ["a", "b"]
    assert (head.value("host"), head.value("x"), head.value("e"), head.value("y")) == ("a", "1", "", None)
    assert (head.length, head.has_body) == (12, True)


@pytest.mark.parametrize(
    ("fields", "length", "has_body"),
    [
        (b"", None, False),
        (b"Content-Length: 0\r\n", 0, False),
        (b"Content-Length: 7\r\n", 7, True),
        (b"Transfer-Encoding: chunked\r\n", None, True),
    ],
)
def test_s18_a_body_has_a_length_if_its_head_states_it(
    fields: bytes, length: int | None, has_body: bool
) -> None:
    """A chunked one has none."""
    head = head_of(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n" % fields)
    assert (head.length, head.has_body) == (length, has_body)


@pytest.mark.parametrize(
    "part",
    [b"G", b"GET", b"GET /", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\nHost: a\r\n\r"],
)
def test_s18_a_part_of_a_head_waits_for_the_rest(part: bytes) -> None:
    """Also if it arrives a byte at a time."""
    assert complete_head(bytearray(part), 0) == b""
    whole = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for scanned in range(len(whole)):
        assert (complete_head(bytearray(whole[: scanned + 1]), scanned) == whole) is (
            scanned + 1 == len(whole)
        )


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),  # TLS
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /healthz\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\nHost: a\n\n", 400),
        (b"GET  /healthz HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: 1\r\n folded\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD + b"\r\n\r\n", 431),
    ],
)
def test_s18_bytes_that_are_no_head_are_refused(data: bytes, status: int) -> None:
    """As soon as the fault has arrived."""
    with pytest.raises(RequestRefused) as refused:
        head_of(data)
    assert refused.value.status == status


def test_s18_a_target_that_is_no_url_is_refused() -> None:
    """What llhttp accepts, `urlsplit` may not."""
    with pytest.raises(RequestRefused):
        head_of(b"GET http://[::1/status HTTP/1.1\r\nHost: a\r\n\r\n")


def test_s18_an_answer_to_head_has_no_body() -> None:
    """Its fields are those of the answer to GET."""
    answer = document(200, {"a": 1})
    head, _, body = answer.encoded("GET").partition(b"\r\n\r\n")
    assert body == b'{"a": 1}\n'
    assert answer.encoded("HEAD") == head + b"\r\n\r\n"
    assert b"Content-Length: 9" in head.split(b"\r\n")
    refused = problem(405, Allow="GET").encoded("POST")
    assert refused.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert b"\r\nAllow: GET\r\n" in refused
