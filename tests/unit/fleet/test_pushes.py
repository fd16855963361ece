"""What a server sends to a subscriber: however the bytes are cut, the same pushes come of them."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.fleet.redis.library import InvalidResponse
from sidecar.fleet.redis.pushes import ERROR, LONGEST, MOST, Push, PushParser

PONG = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"
SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"


def message(payload: bytes, channel: bytes = b"ch") -> bytes:
    """As Redis sends it."""
    return b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (
        len(channel),
        channel,
        len(payload),
        payload,
    )


def parsed(pieces: Iterable[bytes]) -> list[Push]:
    parser = PushParser()
    pushes: list[Push] = []
    for piece in pieces:
        parser.feed(piece)
        pushes += parser.pushes()
    return pushes


@pytest.mark.parametrize(
    ("sent", "push"),
    [
        (message(b"x"), (b"message", b"ch", b"x")),
        (message(b""), (b"message", b"ch", b"")),
        (message(b"\r\n*3\r\n"), (b"message", b"ch", b"\r\n*3\r\n")),
        (message(b"x", b"a\r\n$1\r\nb"), (b"message", b"a\r\n$1\r\nb", b"x")),
        (message(b"x", b""), (b"message", b"", b"x")),
        (SUBSCRIBED, (b"subscribe", b"ch", b"1")),
        (PONG, (b"pong", b"", b"")),
        (b"*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", (b"unsubscribe", b"", b"0")),
        (b"-NOPERM no\r\n", (ERROR, b"NOPERM no", b"")),
    ],
)
def test_s11_every_push_is_read_however_it_is_cut(sent: bytes, push: Push) -> None:
    """At once, byte by byte, and with others around it."""
    assert parsed([sent]) == [push]
    assert parsed(sent[at : at + 1] for at in range(len(sent))) == [push]
    assert parsed([PONG + sent + message(b"y")])[1:] == [push, (b"message", b"ch", b"y")]


@given(st.lists(st.binary(max_size=40)), st.integers(1, 50))
def test_s11_messages_come_out_as_they_went_in(payloads: list[bytes], size: int) -> None:
    """Whatever they are, and whatever a read brings."""
    sent = b"".join(map(message, payloads))
    pushes = parsed(sent[at : at + size] for at in range(0, len(sent), size))
    assert [payload for _, _, payload in pushes] == payloads


@pytest.mark.parametrize("size", [LONGEST - 1, LONGEST, LONGEST + 1, 2 * MOST])
@pytest.mark.parametrize("piece", [4096, 65536, 10**7])
def test_s11_a_payload_is_kept_within_bounds(size: int, piece: int) -> None:
    """Of a longer one the beginning, and what follows it is read as ever."""
    sent = message(b"x" * size) + message(b"y")
    pushes = parsed(sent[at : at + piece] for at in range(0, len(sent), piece))
    assert [len(payload) for _, _, payload in pushes] == [min(size, LONGEST), 1]
    assert pushes[-1] == (b"message", b"ch", b"y")


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"*x\r\n",
        b"*9\r\n",
        b"+OK\r\n",
        b"*3\r\n$x\r\n",
        b"*3\r\n*1\r\n",
        b"-" + b"x" * (MOST + 1),
        b"*3\r\n$7\r\nmessage\r\n$900000\r\n" + b"x" * (MOST + 1),
    ],
)
def test_s11_what_is_no_push_ends_the_reading(sent: bytes) -> None:
    """And what would be kept without an end."""
    with pytest.raises(InvalidResponse):
        parsed([sent])
