"""Fields: which are well-formed, and what leaves for them."""

import pytest

from sidecar.http2.fields import (
    AUTHORIZATION,
    CONNECTION_SPECIFIC,
    HOST,
    MALFORMED,
    METHOD,
    ORDINARY,
    STATIC,
    TE,
    UNKNOWN_PSEUDO,
    field,
)
from tests.unit.http2.blocks import literal


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"A",
        b"Te",
        b"content-Type",
        b"a b",
        b" a",
        b"a ",
        b"a\x00",
        b"a\n",
        b"a\r\nb",
        b"a\x7f",
        b"a\x80",
        b"\xc3\xa9",
        b"a:",
        b"a:b",
        b"(a)",
        b"a,b",
        b"a/b",
        b'"a"',
        b"a@b",
        b"a[0]",
        b"{a}",
    ],
)
def test_rule_1_malformed_names(name: bytes) -> None:
    """No token in lower case."""
    assert field(name, b"v").kind == MALFORMED


@pytest.mark.parametrize(
    "name", [b"a", b"x-a", b"!#$%&'*+-.^_`|~09az", b"grpc-timeout", b"x_tenant", b"date"]
)
def test_rule_1_names_without_a_meaning(name: bytes) -> None:
    """Tokens in lower case."""
    assert field(name, b"v").kind == ORDINARY


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (b":method", METHOD),
        (b":protocol", UNKNOWN_PSEUDO),
        (b":", UNKNOWN_PSEUDO),
        (b":Method", UNKNOWN_PSEUDO),
        (b"host", HOST),
        (b"te", TE),
        (b"upgrade", CONNECTION_SPECIFIC),
        (b"authorization", AUTHORIZATION),
    ],
)
def test_rule_1_names_with_a_meaning(name: bytes, kind: int) -> None:
    """A colon begins pseudo-fields."""
    assert field(name, b"v").kind == kind


@pytest.mark.parametrize("name", [b"a", b"te", b":path", b"authorization"])
@pytest.mark.parametrize(
    "value",
    [
        b" ",
        b"\t",
        b" v",
        b"v ",
        b"\tv",
        b"v\t",
        b"a\rb",
        b"a\nb",
        b"a\r\nb",
        b"\n",
        b"a\x00b",
        b"\x00",
        b"a\x01b",
        b"a\x1fb",
        b"a\x7fb",
        b"a\x0bb",
    ],
)
def test_rule_2_malformed_values(name: bytes, value: bytes) -> None:
    """Of any name."""
    assert field(name, value).kind == MALFORMED


@pytest.mark.parametrize("value", [b"", b"v", b"a b", b"a\tb", b"!~", b"\x80\xff", "é".encode(), b'"q" , {}'])
def test_rule_2_wellformed_values(value: bytes) -> None:
    """Octets above ASCII too."""
    assert field(b"a", value).kind == ORDINARY


@pytest.mark.parametrize(
    ("name", "value", "wire"),
    [
        (b":method", b"GET", b"\x82"),
        (b":status", b"200", b"\x88"),
        (b"accept-encoding", b"gzip, deflate", b"\x90"),
        (b":method", b"PUT", b"\x02\x03PUT"),
        (b":authority", b"", b"\x81"),
        (b"te", b"trailers", b"\x00\x02te\x08trailers"),
        (b"authorization", b"Bearer t", b"\x0f\x08\x08Bearer t"),
        (b"content-type", b"a", b"\x0f\x10\x01a"),
        (b"www-authenticate", b"a", b"\x0f\x2e\x01a"),
        (b"a", b"v" * 127, b"\x00\x01a\x7f\x00" + b"v" * 127),
        (b"a", b"v" * 255, b"\x00\x01a\x7f\x80\x01" + b"v" * 255),
        (b"n" * 127, b"", b"\x00\x7f\x00" + b"n" * 127 + b"\x00"),
    ],
)
def test_rule_3_what_leaves_for_a_field(name: bytes, value: bytes, wire: bytes) -> None:
    """Indexed, under a static name, or under its own."""
    made = field(name, value)
    assert (made.name, made.value, made.wire) == (name, value, wire)
    assert made.size == len(name) + len(value) + 32


@pytest.mark.parametrize(
    ("name", "value", "wire"),
    [
        (b":method", b"GET", b"\x12\x03GET"),
        (b"authorization", b"Bearer t", b"\x1f\x08\x08Bearer t"),
        (b"x-key", b"k", b"\x10\x05x-key\x01k"),
    ],
)
def test_rule_4_what_is_never_indexed_leaves_as_that(name: bytes, value: bytes, wire: bytes) -> None:
    """A static pair too."""
    made = field(name, value, never=True)
    assert (made.never_indexed, made.wire) == (True, wire)


def test_a_static_pair_is_the_entry_of_the_table() -> None:
    """It is made once."""
    assert field(b":path", b"/") is STATIC[4]


def test_values_are_not_printed() -> None:
    """They may be secrets."""
    assert "secret" not in repr(field(b"authorization", b"Bearer secret"))


def test_the_tests_write_the_same_form() -> None:
    """For a literal under its own name."""
    assert field(b"a", b"v").wire == literal("without", b"a", b"v")
