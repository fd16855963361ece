"""Header fields as they stand on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.header_names import folded, hiding, values

LINES = st.lists(
    st.tuples(
        st.sampled_from([b"X-Tenant-Id", b"x-tenant-id", b"X-Tenant", b"Tenant-Id", b"A"]),
        st.sampled_from([b"", b" ", b" acme", b"acme ", b"\tAcMe\t", b"X-Tenant-Id: b", b"a, b"]),
    ),
    max_size=6,
)


@given(LINES)
def test_every_value_is_found_in_order_and_no_other(lines: list[tuple[bytes, bytes]]) -> None:
    """In any case, without the white space around it, wherever it stands."""
    block = b"".join(b"\r\n%b:%b" % line for line in lines)
    expected = [value.strip(b" \t") for name, value in lines if name.lower() == b"x-tenant-id"]
    assert values(block, b"x-tenant-id") == expected


NAMES = (
    "X-Who",
    "x-WHO",
    "X_Who",
    "X-Who-2",
    "X-Tenant-Id",
    "x-tenant-id",
    "X_Tenant-Id",
    "X-Tenant_ID",
    "X",
    "Xwho",
)


@pytest.mark.parametrize(
    ("consumed", "relayed", "left"),
    [
        ([b"x-who"], [], NAMES[3:]),
        ([b"x_who"], [], NAMES[3:]),
        ([], [b"x-tenant-id"], (*NAMES[:6], *NAMES[8:])),
        ([], [b"x_tenant-id"], (*NAMES[:4], NAMES[6], *NAMES[8:])),
        ([b"x-who"], [b"x-tenant-id"], (*NAMES[3:6], *NAMES[8:])),
        ([b"x", b"x-who"], [b"x-tenant-id"], (*NAMES[3:6], NAMES[9])),
        ([], [b"x"], NAMES),
        ([], [], NAMES),
    ],
)
def test_twins_of_what_is_read_here_do_not_travel_on(
    consumed: list[bytes], relayed: list[bytes], left: tuple[str, ...]
) -> None:
    """What is consumed goes in every spelling; of what is relayed too only the spelling that was read stays."""
    block = b"".join(b"\r\n%b: X_Who: b" % name.encode() for name in NAMES)
    hidden = hiding(consumed, relayed)
    pattern = hidden.head if hidden is not None else None
    kept = block if pattern is None else pattern.sub(b"", block)
    assert kept == b"".join(b"\r\n%b: X_Who: b" % name.encode() for name in left)
    assert (pattern is None) == (left == NAMES)
    assert (hidden is None) == (not consumed and not relayed)


LOOKALIKES = (
    "X_Tenant_Id",
    "X.Tenant.Id",
    "x.tenant-ID",
    "X Tenant Id",
    "X~Tenant+Id",
    "X!TENANT'ID",
    "X-Tenant_Id",
)
OTHERS = ("X-Tenant-Id-2", "X--Tenant-Id", "XTenantId", "X-Tenant", "-X-Tenant-Id", "X1Tenant1Id")


def test_s9_names_that_some_servers_cannot_tell_apart_have_one_form() -> None:
    """They differ in case and in characters that are neither letter nor digit; anything else keeps them apart."""
    assert {folded(name) for name in LOOKALIKES} == {"x-tenant-id"}
    assert "x-tenant-id" not in {folded(name) for name in OTHERS}


@pytest.mark.parametrize("name", [b"x-tenant-id", b"x_tenant.id"])
def test_s9_one_rule_says_what_a_lookalike_is(name: bytes) -> None:
    """What has the same form is hidden in a head, but for the field itself, and in trailers without exception."""
    hidden = hiding([], [name])
    assert hidden is not None
    assert hidden.head is not None
    for written in (*LOOKALIKES, *OTHERS):
        same = folded(written) == folded(name.decode())
        line = b"%b: globex" % written.encode()
        itself = written.lower().encode() == name
        assert bool(hidden.head.fullmatch(b"\r\n" + line)) == (same and not itself)
        assert hidden.from_trailers([line]) == ([] if same else [line])
    assert hidden.from_trailers([name.upper() + b": globex", b"X-Sum: 1"]) == [b"X-Sum: 1"]
