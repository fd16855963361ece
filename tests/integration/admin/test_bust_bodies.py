"""What `POST /bust` answers to bodies that it does not take: never a 500, and nothing is bust."""

import gzip
import zlib

import pytest

from sidecar.admin.bust import MAX_BODY
from tests.support.admin_server import TOKEN, State, bust, running

ALL = b'{"all": true}'
ZIPPED = gzip.compress(ALL, mtime=0)
BOMB = gzip.compress(b" " * (4 << 20) + ALL, mtime=0)
LENGTH = f"Content-Length: {len(ALL)}"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (ZIPPED, "gzip"),
        (ZIPPED, "GZip"),
        (ZIPPED, "x-gzip"),
        (ZIPPED, "identity, gzip"),
        (ZIPPED, "identity\r\nContent-Encoding: gzip"),
        (ZIPPED[:-9], "gzip"),
        (ALL, "gzip"),
        (b"", "gzip"),
        (BOMB, "gzip"),
        (zlib.compress(ALL), "deflate"),
        (ALL, "br"),
        (ALL, "zstd"),
        (ALL, "unheard-of"),
    ],
)
async def test_s15_an_encoded_body_gets_415(body: bytes, coding: str) -> None:
    """Which says what to send instead (RFC 9110 section 15.5.16)."""
    assert len(body) <= MAX_BODY
    async with running(State()) as rig:
        head, told = await bust(rig, body, f"Content-Encoding: {coding}")
        assert head.startswith(b"HTTP/1.1 415 ")
        assert b"Accept-Encoding: identity" in head
        assert "Content-Encoding" in str(told["detail"])
        assert (rig.state.busted, rig.journal.events) == ([], [])
        head, _ = await bust(rig, ALL, "Content-Encoding: identity", "Content-Type: text/plain")
        assert head.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("fields", "body", "status"),
    [
        ([f"Content-Length: {MAX_BODY + 1}"], b"", 413),
        (["Content-Length: 99999999999999999999"], b"", 400),
        ([CHUNKED], b"", 413),
        ([CHUNKED], b"d\r\n" + ALL, 413),
        ([CHUNKED], b"d\r\n" + ALL + b"\r\n0\r\n\r\n", 413),
        ([CHUNKED], b"xyz\r\n", 413),
        ([CHUNKED, "Content-Encoding: gzip"], b"d\r\n" + ALL + b"\r\n0\r\n\r\n", 415),
        (["Transfer-Encoding: gzip, chunked"], b"d\r\n" + ALL + b"\r\n0\r\n\r\n", 413),
        ([CHUNKED, LENGTH], ALL, 400),
        (["Content-Length: -1"], ALL, 400),
        (["Content-Length: x"], ALL, 400),
        ([LENGTH, "Content-Length: 1"], ALL, 400),
        ([], b"", 413),
        (["Content-Length: 0"], b"", 400),
    ],
)  # fmt: skip
async def test_s15_a_body_that_is_too_large_or_without_a_length_gets_its_4xx(
    fields: list[str], body: bytes, status: int
) -> None:
    """At once, and no bug is reported; the server lives on."""
    head = ["POST /bust HTTP/1.1", "Host: localhost", f"Authorization: Bearer {TOKEN}", *fields, "", ""]
    async with running(State()) as rig:
        answer = await rig.send("\r\n".join(head).encode() + body)
        assert answer.split()[1] == b"%d" % status
        assert (rig.state.busted, rig.journal.events) == ([], [])
        assert (await bust(rig, ALL))[0].startswith(b"HTTP/1.1 200 ")
