"""The benchmark's large bodies: what is sent is what is counted."""

from email.message import Message
from io import BytesIO

import pytest

from tests.bench.bodies import MIB, framing, receive, send


def sent(kind: str, size: int) -> bytes:
    wire: list[bytes] = []
    send(wire.append, kind, size)
    return b"".join(wire)


def fields(kind: str, size: int) -> Message:
    message = Message()
    message[framing(kind, size)[0]] = framing(kind, size)[1]
    return message


@pytest.mark.parametrize("kind", ["sized", "chunked"])
def test_every_byte_is_counted_and_none_after_the_body(kind: str) -> None:
    """The reader stops at the end of the body, however it is framed."""
    stream = BytesIO(sent(kind, 2 * MIB) + b"next")
    assert receive(stream, fields(kind, 2 * MIB)) == 2 * MIB
    assert stream.read() == b"next"


@pytest.mark.parametrize("kind", ["sized", "chunked"])
def test_a_body_that_breaks_off_is_counted_short(kind: str) -> None:
    """A proxy that loses bytes is found out."""
    stream = BytesIO(sent(kind, 2 * MIB)[: MIB + 5000])
    assert receive(stream, fields(kind, 2 * MIB)) < 2 * MIB
