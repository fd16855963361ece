"""Fields of gRPC. The input is the value of each field, and a text of the sidecar's own.

Oracles:

1. A status is what Python's int reads of ASCII digits, if gRPC knows it, else UNKNOWN. The first one counts.
2. A time-out is what exact arithmetic yields, and no limit for anything else.
3. Trailers are relayed with their status and metadata, as `hpack` reads them; fields that frame or authenticate are
   not.
4. A refusal's text arrives whole, decoded as gRPC's clients do, in a block that `hpack` reads.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import isclose
from urllib.parse import unquote

from hpack import Decoder as LibraryDecoder

from sidecar.core.errors import RequestRefused
from sidecar.core.problem import Grpc, render
from sidecar.grpc.fields import NONE, read_status, read_timeout, status_of
from sidecar.http2.fields import field
from sidecar.http2.frames import FrameFault
from sidecar.http2.header_block import trailers
from sidecar.http2.heads import Trailers, relayed_trailers
from sidecar.http2.hpack import RESET
from sidecar.http2.messages import own_answer
from tests.fuzz.target import Target
from tests.unit.http2.blocks import block

UNITS: Mapping[bytes, Fraction] = {
    b"H": Fraction(3600),
    b"M": Fraction(60),
    b"S": Fraction(1),
    b"m": Fraction(1, 10**3),
    b"u": Fraction(1, 10**6),
    b"n": Fraction(1, 10**9),
}
NEVER = (b"host", b"content-length", b"authorization", b"te", b"expect", b"proxy-authorization")


def check(data: bytes) -> None:
    """Read the bytes as each field."""
    assert read_status(data) == expected_status(data)
    check_timeout(data)
    check_trailers(data)
    check_refusal(data)


def expected_status(value: bytes) -> int:
    """Return the status by another reading."""
    digits = value and not value.strip(b"0123456789")
    number = int(value[:5000]) if digits and len(value) < 4000 else -1
    return number if number in set(Grpc) else Grpc.UNKNOWN


def check_timeout(value: bytes) -> None:
    """Oracle 2."""
    number, unit = value[:-1], value[-1:]
    seconds = read_timeout(value)
    if unit in UNITS and 1 <= len(number) <= 8 and not number.strip(b"0123456789"):
        assert seconds is not None
        assert isclose(seconds, float(int(number) * UNITS[unit]))
    else:
        assert seconds is None


def accepted(data: bytes) -> Trailers | None:
    """Return trailers with these bytes as status, message and metadata; None if they are malformed."""
    name, _, value = data.partition(b"\n")
    fields = [(b"grpc-message", value), (name, value), (b"grpc-status", value), (b"grpc-status", b"0")]
    try:
        return trailers(block(*fields))
    except FrameFault:
        return None


def check_trailers(data: bytes) -> None:
    """Oracles 1 and 3."""
    head = accepted(data)
    if head is None:
        return
    statuses = [value for name, value in pairs(head) if name == b"grpc-status"]
    assert status_of(head) == expected_status(statuses[0])
    assert status_of(Trailers([], 0)) == NONE
    wire = relayed_trailers(head, grpc=True)
    relayed = read(wire)
    assert relayed == [
        pair for pair in pairs(head) if pair[0] not in NEVER and pair[0] != b"proxy-authenticate"
    ]
    ordinary = read(relayed_trailers(head, grpc=False))
    assert all(pair in relayed for pair in ordinary)


def pairs(head: Trailers) -> list[tuple[bytes, bytes]]:
    """Return the fields of trailers."""
    return [(each.name, each.value) for each in head.fields]


def read(wire: bytes) -> list[tuple[bytes, bytes]]:
    """Return what `hpack` reads."""
    return [(bytes(pair[0]), bytes(pair[1])) for pair in LibraryDecoder().decode(RESET + wire, raw=True)]


def check_refusal(data: bytes) -> None:
    """Oracle 4."""
    text = data.decode(errors="replace")
    wire, body = own_answer(render(RequestRefused(400, text), "id"), grpc=True, head_only=False)
    fields = dict(read(wire))
    assert body == b""
    assert fields[b"grpc-status"] == b"%d" % Grpc.INVALID_ARGUMENT
    message = fields[b"grpc-message"]
    assert message.isascii()
    assert field(b"grpc-message", message).kind == field(b"grpc-message", b"x").kind, "malformed"
    assert unquote(message.decode()) == text


TARGET = Target(
    check,
    seeds=(
        b"0",
        b"016",
        b" a ",
        b"99999999m",
        b"1H",
        b"x-meta-bin\nAAEC",
        b"authorization\nBearer a",
        b"grpc-status\n7",
        "ä % \u2028 \x00".encode(),
    ),
    words=(
        b"grpc-status",
        b"grpc-message",
        b"te",
        b"host",
        b"\n",
        b"%",
        b"%41",
        b"H",
        b"M",
        b"S",
        b"m",
        b"u",
        b"n",
        b"00",
    ),
)
