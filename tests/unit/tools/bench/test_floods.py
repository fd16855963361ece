"""The benchmark's floods."""

import pytest

from tests.bench.cells import FLOODS as KINDS
from tests.bench.floods import code_of_goaway, variants
from tests.bench.stream_frames import GOAWAY, SETTINGS, frame
from tests.support.http2_floods import FLOODS


def test_each_flood_is_a_variant_of_one_kind() -> None:
    """No flood of the tests is left out, and none counts twice."""
    found = [name for kind in KINDS for name in variants(kind)]
    assert sorted(found) == sorted(FLOODS)


def test_each_kind_has_variants() -> None:
    """Such as both of SETTINGS."""
    assert all(variants(kind) for kind in KINDS)
    assert variants("settings") == ["SETTINGS", "SETTINGS that change windows"]


@pytest.mark.parametrize(
    ("received", "code"),
    [
        (b"", None),
        (frame(SETTINGS, 0, 0), None),
        (frame(SETTINGS, 0, 0, bytes(12)) + frame(GOAWAY, 0, 0, bytes(7) + b"\x0btext"), 11),
        (frame(GOAWAY, 0, 0, bytes(8)), 0),
        (frame(SETTINGS, 0, 0) + b"\0\0", None),
        (frame(GOAWAY, 0, 0, bytes(7) + b"\x01")[:-3], None),
    ],
)
def test_the_code_of_a_goaway(received: bytes, code: int | None) -> None:
    """Of whole frames."""
    assert code_of_goaway(received) == code
