"""Header fields as they stand on the wire."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.fields import values

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
