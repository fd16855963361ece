"""What is no HTTP/1.x answer is known by its first bytes, and named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import MessageMalformed, UpstreamUnreachable
from sidecar.http1.foreign import check_beginning, cut_off, unasked
from sidecar.http1.message import parse_response

FOREIGN = {
    "bare line feeds": (b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "bare line feeds"),
    "bare line feeds, HTTP/1.0": (b"HTTP/1.0 200 OK\nServer: x\n\n", "bare line feeds"),
    "one bare line feed": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\n", "bare line feeds"),
    "bare line feed at the end": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\n", "bare line feeds"),
    "bare return": (b"HTTP/1.1 200 OK\rX: 1\r\n", "malformed status line"),
    "NUL": (b"HTTP/1.1 200 OK\r\nX: \x00\r\n", "control character"),
    "HTTP/2.0 in text": (b"HTTP/2.0 200 OK\r\n", "HTTP/2.0"),
    "HTTP/2 in text": (b"HTTP/2 200\r\n", "HTTP/2"),
    "HTTP/1.2": (b"HTTP/1.2 200 OK\r\n", "HTTP/1.2"),
    "HTTP/0.9 spelled out": (b"HTTP/0.9 200 OK\r\n", "HTTP/0.9"),
    "HTTP/1.10": (b"HTTP/1.10 200 OK\r\n", "HTTP of an unknown version"),
    "two spaces": (b"HTTP/1.1  200 OK\r\n", "malformed status line"),
    "two digits": (b"HTTP/1.1 20 OK\r\n", "malformed status line"),
    "four digits": (b"HTTP/1.1 2000 OK\r\n", "malformed status line"),
    "a status in words": (b"HTTP/1.1 OK\r\n", "malformed status line"),
    "TLS alert": (b"\x15\x03\x03\x00\x02\x02\x28", "TLS alert"),
    "TLS handshake": (b"\x16\x03\x01\x00\x7a\x02", "TLS"),
    "HTTP/2 SETTINGS": (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03", "HTTP/2 (a SETTINGS frame)"),
    "HTTP/2 empty SETTINGS": (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", "HTTP/2 (a SETTINGS frame)"),
    "HTTP/2 GOAWAY": (
        b"\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01",
        "HTTP/2 (a GOAWAY",
    ),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"),
    "SMTP": (b"220 mx.example.net ESMTP Postfix\r\n", "a mail server (SMTP)"),
    "SMTP in several lines": (b"220-mail.example.net\r\n220 ready\r\n", "a mail server (SMTP)"),
    "SMTP, too busy": (b"421 4.3.2 SMTP service not available\r\n", "a mail server (SMTP)"),
    "FTP": (b"220 (vsFTPd 3.0.3)\r\n", "an FTP server"),
    "FTP, ProFTPD": (b"220 ProFTPD Server ready.\r\n", "an FTP server"),
    "a greeting of either": (b"220 ready\r\n", "SMTP), FTP or news"),
    "NNTP": (b"200 news.example.net ready\r\n", "news (NNTP)"),
    "POP3": (b"+OK POP3 ready\r\n", "POP3"),
    "IMAP": (b"* OK IMAP4rev1 ready\r\n", "IMAP"),
    "SSH": (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH"),
    "Redis": (b"-ERR unknown command 'GET'\r\n", "Redis"),
    "Redis with a password": (b"-NOAUTH Authentication required.\r\n", "Redis"),
    "MySQL": (b"J\x00\x00\x00\x0a8.0.36\x00\x08", "MySQL"),
    "MySQL, refused": (b"E\x00\x00\x00\xffj\x04Host", "MySQL"),
    "PostgreSQL": (b"E\x00\x00\x00\x8cSFATAL\x00VFATAL\x00C0A000", "PostgreSQL"),
    "AMQP": (b"AMQP\x00\x00\x09\x01", "AMQP"),
    "RTSP": (b"RTSP/1.0 200 OK\r\n", "RTSP/1.0"),
    "SIP": (b"SIP/2.0 400 Bad Request\r\n", "SIP/2.0"),
    "Shoutcast": (b"ICY 200 OK\r\n", "Shoutcast"),
    "an echo": (b"GET /?canary HTTP/1.1\r\nAuthorization: Bearer canary\r\n", "sends back what it is sent"),
    "HTTP/0.9": (b"<html>hello</html>", "markup"),
    "JSON": (b'{"token": "canary"}', "JSON"),
    "text": (b"canary, and more of it\r\n", "text"),
    "gzip": (b"\x1f\x8b\x08\x00\x00", "compressed"),
    "an empty line": (b"\r\nHTTP/1.1 200 OK\r\n", "an empty line"),
    "a line feed": (b"\nHTTP/1.1 200 OK\r\n", "an empty line"),
    "lower case": (b"http/1.1 200 OK\r\n", "text"),
    "garbage": (b"\xde\xad\xbe\xef\x00\xff", "binary data"),
    "one byte": (b"\x00", "binary data"),
    "zeros": (b"\x00" * 16, "binary data"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_h7_what_cannot_become_an_answer_is_named(name: str) -> None:
    """As soon as it is there, by what it looks like; the bytes themselves may be secret."""
    data, words = FOREIGN[name]
    with pytest.raises(MessageMalformed) as caught:
        check_beginning(data, 0)
    assert words in str(caught.value)
    assert "canary" not in str(caught.value)


def first_refused(data: bytes) -> int:
    """How many bytes have come, one by one, when it is known that they begin no answer; one more than all if never."""
    for end in range(1, len(data) + 1):
        try:
            check_beginning(bytearray(data[:end]), max(0, end - 4))
        except MessageMalformed:
            return end
    return len(data) + 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x15", "TLS alert"),
        (b"\x15\x03", "TLS alert"),
        (b"\x16", "TLS: the server requires https"),
        (b"\x16\x03", "TLS: the server requires https"),
        (b"\x15\x00", "binary data"),
        (b"\x15\x03\x09", "binary data"),
    ],
)
def test_h7_the_first_piece_of_tls_is_tls(data: bytes, words: str) -> None:
    """An alert of seven bytes may arrive in two pieces."""
    with pytest.raises(MessageMalformed, match=words):
        check_beginning(data, 0)


@pytest.mark.parametrize("name", FOREIGN)
def test_h7_it_is_found_however_it_is_cut(name: str) -> None:
    """A byte at a time, judging nothing twice but the last three bytes; never later than all at once."""
    data, _ = FOREIGN[name]
    assert first_refused(data) <= len(data)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-8bit: \xff\t\r\n\r\n",
        b"HTTP/1.0 999 \xe4\r\nServer: a\r\n\r\n",
        b"HTTP/1.1 204\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    ],
)
def test_h7_the_beginning_of_an_answer_is_waited_on(head: bytes) -> None:
    """At each byte, the last ones of a line end too."""
    for end in range(1, len(head)):
        check_beginning(bytearray(head[:end]), 0)
        check_beginning(head[:end], max(0, end - 4))


BYTES = st.sampled_from(
    [b"\x00", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\x01", b"\x0b", b"\x1f", b"\x7f", b"\xff", b"a: b"]
)


@given(st.lists(BYTES, max_size=8).map(b"".join))
def test_h7_nothing_is_refused_early_that_would_be_accepted_whole(block: bytes) -> None:
    """When the head's bytes arrive must not decide whether it is good."""
    head = b"HTTP/1.1 200 OK\r\nA: " + block + b"\r\n\r\n"
    head = head[: head.index(b"\r\n\r\n") + 4]
    if first_refused(head[:-1]) < len(head):
        with pytest.raises(MessageMalformed):
            parse_response(head, b"GET")


WHOLE = {
    "SIP": (b"SIP/2.0 400 Bad\r\n\r\n", "SIP/2.0"),
    "empty lines": (b"\r\n\r\n", "empty line"),
    "bare line feeds before an empty line": (b"HTTP/1.1 200 OK\nA: b\n\nc\r\n\r\n", "bare line feeds"),
    "an alert with an empty line": (b"\x15\x03\x03\x00\x04\r\n\r\n", "TLS alert"),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\n\r\n", "HTTP/2.0"),
}


@pytest.mark.parametrize("name", WHOLE)
def test_h7_a_whole_head_is_named_too(name: str) -> None:
    """Where an empty line follows, of whatever protocol."""
    head, words = WHOLE[name]
    with pytest.raises(MessageMalformed) as caught:
        parse_response(head, b"GET")
    assert words in str(caught.value)


def test_h7_bytes_before_a_request_are_named() -> None:
    """An answer among them, which answers nothing."""
    assert "plain HTTP" in str(unasked(b"HTTP/1.1 408 Request Timeout\r\n"))
    assert "FTP" in str(unasked(b"220 ready\r\n"))
    assert isinstance(unasked(b""), UpstreamUnreachable)


def test_h7_half_a_head_is_malformed_and_none_is_no_answer() -> None:
    """By what had arrived when the connection ended."""
    assert isinstance(cut_off(bytearray(b"H"), "it was lost"), MessageMalformed)
    assert isinstance(cut_off(b"", "it was lost"), UpstreamUnreachable)
