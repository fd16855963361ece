"""How the fields of gRPC are read."""

import pytest

from sidecar.grpc.fields import NONE, read_status, read_timeout, status_of
from sidecar.http2.fields import GRPC_STATUS, field
from sidecar.http2.heads import Trailers


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"0", 0),
        (b"1", 1),
        (b"7", 7),
        (b"16", 16),
        (b"016", 16),
        (b"00", 0),
        (b"17", 2),
        (b"99999999999999999999", 2),
        (b"-1", 2),
        (b"1.0", 2),
        (b"", 2),
        (b"sixteen", 2),
        ("١٦".encode(), 2),
    ],
)
def test_grpc_status(value: bytes, status: int) -> None:
    """What is no known number is UNKNOWN."""
    assert read_status(value) == status


def test_status_of_trailers() -> None:
    """The first one counts; without one there is none."""
    message = field(b"grpc-message", b"x")
    first, second = field(b"grpc-status", b"16"), field(b"grpc-status", b"0")
    assert status_of(Trailers([message, first, second], GRPC_STATUS)) == 16
    assert status_of(Trailers([message], 0)) == NONE


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3600.0),
        (b"2M", 120.0),
        (b"3S", 3.0),
        (b"99999999m", 99999.999),
        (b"5u", 5e-6),
        (b"7n", 7e-9),
        (b"0S", 0.0),
        (None, None),
        (b"", None),
        (b"5", None),
        (b"S", None),
        (b"-5S", None),
        (b"123456789S", None),
        (b"5s", None),
        (b"5S ", None),
        (b"1.5S", None),
    ],
)
def test_grpc_timeout(value: bytes | None, seconds: float | None) -> None:
    """What is no number of a unit is no limit."""
    assert read_timeout(value) == (None if seconds is None else pytest.approx(seconds))
