"""Recognise answers that are not HTTP/1.x, so that the log names the protocol and what to change.

Nothing is quoted but a protocol's own name, because an upstream may send back what it was sent, token included.
"""

import re
import ssl

from sidecar.core.errors import MessageMalformed, SidecarError, UpstreamUnreachable
from sidecar.system.client_tls import reason

_ANSWER = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}[ \r]")
_SAMPLE = b"HTTP/1.1 200 "
_BARE_LF = re.compile(rb"(?<!\r)\n")
NEVER_IN_HEAD = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)|\x00")
_VERSION = re.compile(rb"(HTTP/[0-9](?:\.[0-9])?)(?![0-9.])")
_NAMED = re.compile(rb"([A-Z]{2,8}/[0-9]\.[0-9])(?![0-9.])")

_KINDS = tuple(
    (re.compile(pattern, re.DOTALL), words)
    for pattern, words in (
        (rb"\x15(?:\Z|\x03(?:\Z|[\x00-\x04]))", "a TLS alert: the server requires https"),
        (rb"[\x14\x16\x17](?:\Z|\x03(?:\Z|[\x00-\x04]))", "TLS: the server requires https"),
        (rb"\x00..\x04.\x00\x00\x00\x00", "HTTP/2 (a SETTINGS frame): the server must accept HTTP/1.1"),
        (rb"\x00..\x07.\x00\x00\x00\x00", "HTTP/2 (a GOAWAY frame): the server must accept HTTP/1.1"),
        (rb"PRI \*", "the preface of an HTTP/2 client"),
        (rb"SSH-", "an SSH server"),
        (rb"(?:220|421|554)[ -][^\n]*(?i:smtp|mail)", "a mail server (SMTP)"),
        (rb"(?:120|220|421)[ -][^\n]*(?i:ftp)", "an FTP server"),
        (rb"(?:120|200|201|220|400|421|500|502|503|530|554)[ -]", "a mail (SMTP), FTP or news (NNTP) server"),
        (rb"\* (?:OK|BYE|PREAUTH)\b", "a mail server (IMAP)"),
        (rb"\+OK\b", "a mail server (POP3)"),
        (rb"-(?:ERR|NOAUTH|DENIED|WRONGPASS|LOADING|MOVED)\b", "a Redis server"),
        (rb"...\x00(?:\x0a[0-9]|\xff..)", "a MySQL server"),
        (rb"E\x00\x00..S(?:FATAL|ERROR)", "a PostgreSQL server"),
        (rb"AMQP", "an AMQP broker"),
        (rb"ICY ", "a Shoutcast server"),
        (
            rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) ",
            "a request: the server sends back what it is sent",
        ),
        (rb"[\r\n]", "an empty line before the status line"),
        (rb"\x1f\x8b", "compressed content without a head"),
        (rb"[ \t]*<", "markup without a head (HTTP/0.9)"),
        (rb"[ \t]*[\[{]", "JSON without a head (HTTP/0.9)"),
        (rb"[\x20-\x7e\r\n\t]{1,16}\Z|[\x20-\x7e\r\n\t]{16}", "text without a head"),
        (rb"", "binary data"),
    )
)


def check_beginning(held: bytes | bytearray, judged: int) -> None:
    """Raise MessageMalformed if an incomplete answer's head can no longer become valid.

    Without this, an upstream of another protocol would keep the request waiting until the idle time-out. The first
    `judged` bytes have been checked before.
    """
    start = bytes(held[: len(_SAMPLE)])
    if not _ANSWER.match(start + _SAMPLE[len(start) :]) or NEVER_IN_HEAD.search(held, judged):
        raise malformed_answer(bytes(held))


def malformed_answer(head: bytes) -> MessageMalformed:
    """Return the error for an answer whose beginning is not HTTP/1.x."""
    return MessageMalformed(f"the answer is not HTTP/1.x; it looks like {_looks_like(head)}")


def unasked(data: bytes) -> SidecarError:
    """Return the error for what a new connection carried before a request was sent: these bytes, or its end."""
    if not data:
        return UpstreamUnreachable("the upstream closed the connection before the request")
    return MessageMalformed(
        f"the upstream sent bytes before the request; they look like {_unasked_kind(data)}"
    )


class NotTls(OSError):
    """A server that should use TLS sent these bytes before the handshake."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"the bytes look like {_unasked_kind(data)}")


def malformed_greeting(data: bytes) -> MessageMalformed | None:
    """Return the error for a beginning that no SETTINGS frame of HTTP/2 has; None while it may be one."""
    if data[:1] in (b"", b"\0") and data[3:4] in (b"", b"\4") and not any(data[5:9]):
        return None
    return MessageMalformed(f"the server does not use HTTP/2; its bytes look like {_unasked_kind(data)}")


def _unasked_kind(data: bytes) -> str:
    return "plain HTTP" if data.startswith(b"HTTP/1.") else _looks_like(data)


def cut_off(head: bytes | bytearray, how: str, cause: Exception | None = None) -> SidecarError:
    """Return the error for a connection that ended with this much of an answer's head. A fault of TLS is named."""
    why = f": {reason(cause)}" if isinstance(cause, ssl.SSLError) else ""
    if head:
        return MessageMalformed(f"{how} in the middle of the answer's head{why}")
    return UpstreamUnreachable(f"{how} before it answered{why}")


def _looks_like(data: bytes) -> str:
    if data.startswith(b"HTTP/"):
        return _looks_like_http(data)
    named = _NAMED.match(data)
    if named is not None:
        return named[1].decode()
    return next(words for pattern, words in _KINDS if pattern.match(data))


def _looks_like_http(data: bytes) -> str:
    version = _VERSION.match(data)
    if version is None or version[1] not in (b"HTTP/1.0", b"HTTP/1.1"):
        return "HTTP of an unknown version" if version is None else version[1].decode()
    if _BARE_LF.search(data):
        return "HTTP/1.x whose lines end in bare line feeds"
    return "HTTP/1.x with a malformed status line or a control character"
