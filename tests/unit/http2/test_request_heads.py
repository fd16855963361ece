"""Header blocks of requests: which are a message, and what it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RequestRefused
from sidecar.http1.limits import MAX_FIELDS, MAX_LINE, MAX_METHOD
from sidecar.http2.fields import AUTHORIZATION, CONTENT_TYPE, TE, TRACEPARENT
from sidecar.http2.frames import ErrorCode, FrameFault
from sidecar.http2.header_block import request_head
from tests.unit.http2.blocks import Pair, block

M, S, A, P = (b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"h:80"), (b":path", b"/a?b")
PSEUDO = (M, S, A, P)
STREAM = 3


def instead(name: bytes, value: bytes) -> list[Pair]:
    """The pseudo-fields, one with another value."""
    return [(name, value) if pair[0] == name else pair for pair in PSEUDO]


def without(*names: bytes) -> list[Pair]:
    """The pseudo-fields but for these."""
    return [pair for pair in PSEUDO if pair[0] not in names]


def fault(pairs: list[Pair]) -> str:
    """Why a request is malformed."""
    with pytest.raises(FrameFault) as caught:
        request_head(block(*pairs), STREAM)
    assert (caught.value.code, caught.value.stream) == (ErrorCode.PROTOCOL_ERROR, STREAM)
    return caught.value.text


MALFORMED_FIELDS = [
    (b"", b"v"),
    (b"A", b"v"),
    (b"X-Tenant", b"v"),
    (b"a b", b"v"),
    (b"a\x00", b"v"),
    (b"a:b", b"v"),
    (b"\xc3\xa9", b"v"),
    (b"a", b" v"),
    (b"a", b"v "),
    (b"a", b"v\t"),
    (b"a", b"a\r\nb: c"),
    (b"a", b"a\nb"),
    (b"a", b"a\x00"),
    (b"a", b"\x7f"),
    (b"cookie", b"a=b\x01"),
    (b"authorization", b" Bearer t"),
]


@pytest.mark.parametrize("pair", MALFORMED_FIELDS)
def test_rule_1_malformed_fields(pair: Pair) -> None:
    """First, last and between others."""
    assert "malformed name or value" in fault([*PSEUDO, pair])
    assert "malformed name or value" in fault([*PSEUDO, (b"a", b"v"), pair, (b"b", b"v")])


@pytest.mark.parametrize(
    "pair",
    [
        (b"connection", b"close"),
        (b"connection", b""),
        (b"connection", b"keep-alive"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-connection", b"keep-alive"),
        (b"transfer-encoding", b"chunked"),
        (b"transfer-encoding", b"identity"),
        (b"upgrade", b"h2c"),
        (b"upgrade", b"websocket"),
    ],
)
def test_rule_1_fields_of_a_connection(pair: Pair) -> None:
    """HTTP/2 has none (RFC 9113 section 8.2.2)."""
    assert fault([*PSEUDO, (b"a", b"v"), pair]).endswith("is not allowed in HTTP/2")


@pytest.mark.parametrize(
    "value", [b"", b"gzip", b"trailers, deflate", b"trailers;q=0.5", b"deflate", b"trailer"]
)
def test_rule_1_te_is_trailers(value: bytes) -> None:
    """Nothing else."""
    assert fault([*PSEUDO, (b"te", value)]) == "te must be `trailers`"


@pytest.mark.parametrize("value", [b"trailers", b"Trailers"])
def test_rule_1_te_that_is_trailers(value: bytes) -> None:
    """Case does not count."""
    assert request_head(block(*PSEUDO, (b"te", value))).kinds & TE


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([(b"a", b"v"), *PSEUDO], "follows a field"),
        ([M, (b"a", b"v"), S, A, P], "follows a field"),
        ([*PSEUDO, (b"a", b"v"), P], "follows a field"),
        ([*PSEUDO, (b"a", b"v"), (b":x", b"v")], "follows a field"),
        ([M, S, P, (b"host", b"h:80"), A], "follows a field"),
        ([M, *PSEUDO], ":method is there more than once"),
        ([*PSEUDO, (b":method", b"PUT")], ":method is there more than once"),
        ([*PSEUDO, S], ":scheme is there more than once"),
        ([*PSEUDO, P], ":path is there more than once"),
        ([*PSEUDO, A], ":authority is there more than once"),
        (instead(b":method", b""), ":method is empty"),
        (instead(b":scheme", b""), ":scheme is empty"),
        (instead(b":path", b""), ":path is empty"),
        (instead(b":authority", b""), ":authority is empty"),
        ([*PSEUDO, (b":protocol", b"websocket")], ":protocol does not belong into this message"),
        ([*PSEUDO, (b":status", b"200")], ":status does not belong into this message"),
        ([*PSEUDO, (b":test", b"v")], ":test does not belong into this message"),
        ([*PSEUDO, (b":", b"v")], ": does not belong into this message"),
        ([*PSEUDO, (b":Path", b"/")], ":Path does not belong into this message"),
        ([*PSEUDO, (b":\r\n\xff", b"/")], ":\\r\\n\\xff does not belong into this message"),
    ],
)
def test_rule_2_pseudo_fields_out_of_place(pairs: list[Pair], reason: str) -> None:
    """Late, twice, empty or unknown."""
    assert reason in fault(pairs)


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([], "a request needs :method"),
        ([(b"a", b"v")], "a request needs :method"),
        (without(b":method"), "a request needs :method"),
        (without(b":scheme"), "a request needs :scheme and :path"),
        (without(b":path"), "a request needs :scheme and :path"),
        (without(b":authority"), "a request needs :authority"),
        ([*without(b":authority"), (b"host", b"")], "a request needs :authority"),
        ([*PSEUDO, (b"host", b"")], "host differs from :authority"),
        ([*PSEUDO, (b"host", b"other:80")], "host differs from :authority"),
        ([*PSEUDO, (b"host", b"h")], "host differs from :authority"),
        ([*PSEUDO, (b"host", b"h:80, h:80")], "host differs from :authority"),
        (instead(b":method", b"CONNECT"), "CONNECT has :method and :authority only"),
        ([(b":method", b"CONNECT"), S, A], "CONNECT has :method and :authority only"),
        ([(b":method", b"CONNECT")], "CONNECT has :method and :authority only"),
        ([(b":method", b"CONNECT"), A, P], "CONNECT has :method and :authority only"),
    ],
)
def test_rule_3_what_a_request_needs(pairs: list[Pair], reason: str) -> None:
    """And an authority that is unambiguous."""
    assert fault(pairs) == reason


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (b":method", b"G T", "method"),
        (b":method", b"GET/", "method"),
        (b":method", b"G\xc3\x89T", "method"),
        (b":method", b"M" * (MAX_METHOD + 1), "method"),
        (b":scheme", b"1http", "scheme"),
        (b":scheme", b"http:", "scheme"),
        (b":scheme", b"ht tp", "scheme"),
        (b":authority", b"user@h", "authority"),
        (b":authority", b"user:secret@h", "authority"),
        (b":authority", b"h/path", "authority"),
        (b":authority", b"h?", "authority"),
        (b":authority", b"h#", "authority"),
        (b":authority", b"h\\", "authority"),
        (b":authority", b"h h", "authority"),
        (b":authority", b"\xff", "authority"),
        (b":path", b"a", "path"),
        (b":path", b"http://h/", "path"),
        (b":path", b"?a", "path"),
        (b":path", b"**", "path"),
        (b":path", b"*/", "path"),
        (b":path", b"h:80", "path"),
    ],
)
def test_rule_4_values_of_pseudo_fields(name: bytes, value: bytes, reason: str) -> None:
    """Each has a form."""
    assert f"the {reason} " in fault(instead(name, value))


def test_rule_4_the_host_has_the_form_of_an_authority() -> None:
    """Where it stands in for one."""
    assert "the authority " in fault([*without(b":authority"), (b"host", b"user@h")])


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"+1", b"1 2", b"0x1", b"1,1", b"1, 1", b"1.0", b"9" * 19, b"one", b"\xb2"]
)
def test_rule_5_a_length_is_one_decimal_number(value: bytes) -> None:
    """Nothing that two readers could read differently."""
    assert fault([*PSEUDO, (b"content-length", value)]) == "content-length must be one plain decimal number"


@pytest.mark.parametrize("pair", [(b"content-length", b"5"), (b"host", b"h:80")])
def test_rule_5_what_stands_once(pair: Pair) -> None:
    """Even if both are the same."""
    assert fault([*PSEUDO, pair, (b"a", b"v"), pair]).endswith("is there more than once")


@pytest.mark.parametrize(
    ("pairs", "status"),
    [
        ([(b":method", b"CONNECT"), A], 400),
        (instead(b":method", b"connect"), 400),
        (instead(b":method", b"TRACE"), 400),
        (instead(b":method", b"Trace"), 400),
        (instead(b":path", b"/" * (MAX_LINE + 1)), 414),
        ([*PSEUDO, *[(b"a", b"v")] * (MAX_FIELDS + 1)], 431),
        ([*PSEUDO, (b"expect", b"200-ok")], 417),
        ([*PSEUDO, (b"expect", b"")], 417),
    ],
)
def test_rule_8_what_is_refused_with_a_status(pairs: list[Pair], status: int) -> None:
    """As over HTTP/1.1."""
    with pytest.raises(RequestRefused) as caught:
        request_head(block(*pairs), STREAM)
    assert caught.value.status == status


@pytest.mark.parametrize(
    "pairs",
    [
        [P, A, S, M],
        [*PSEUDO, (b"host", b"h:80")],
        [*PSEUDO, (b"host", b"H:80")],
        [*PSEUDO, *[(b"a", b"v")] * MAX_FIELDS],
        [*PSEUDO, (b"expect", b"100-Continue")],
        [*PSEUDO, (b"content-length", b"0")],
        [*PSEUDO, (b"content-length", b"9" * 18)],
        [*PSEUDO, (b"proxy-authorization", b"Basic x")],
        [*PSEUDO, (b"trailer", b"grpc-status")],
        [*PSEUDO, (b"a", b"")],
        [*PSEUDO, (b"a", b"a\tb \xff")],
        [*PSEUDO, (b"x_tenant", b"v"), (b"x_tenant", b"w")],
        instead(b":method", b"M" * MAX_METHOD),
        instead(b":method", b"get"),
        instead(b":scheme", b"https"),
        instead(b":scheme", b"HTTP+x.1-2"),
        instead(b":path", b"/" * MAX_LINE),
        instead(b":path", b"*"),
        instead(b":path", b"//a/../b#c"),
        instead(b":authority", b"[::1]:80"),
        instead(b":authority", b"xn--h.example"),
        [*without(b":authority"), (b"host", b"h:80")],
    ],
)
def test_valid_requests(pairs: list[Pair]) -> None:
    """What they mean is checked below; the path's meaning is checked by `proxy.target`."""
    head = request_head(block(*pairs), STREAM)
    given_ = dict(pairs)
    assert (head.method, head.scheme, head.path) == (given_[b":method"], given_[b":scheme"], given_[b":path"])
    assert head.authority == given_.get(b":authority", b"h:80")
    assert [(entry.name, entry.value) for entry in head.fields] == [
        pair for pair in pairs if pair[0][:1] != b":"
    ]
    assert (head.method_field.value, head.path_field.value) == (head.method, head.path)


def test_notes_hold_what_the_sidecar_reads() -> None:
    """By name, several of one name as a list; no other field."""
    noted = [
        (b"authorization", b"Bearer t"),
        (b"origin", b"http://h"),
        (b"sec-fetch-site", b"none"),
        (b"traceparent", b"00-1-2-01"),
        (b"x-request-id", b"1"),
        (b"expect", b"100-continue"),
        (b"content-length", b"5"),
        (b"te", b"trailers"),
        (b"host", b"h:80"),
    ]
    states = [(b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    head = request_head(block(*PSEUDO, (b"a", b"v"), *noted, *states, (b"accept", b"*/*")))
    assert head.notes == {**dict(noted), b"tracestate": b"a=1, b=2"}
    assert head.content_length == 5
    assert head.kinds & AUTHORIZATION
    assert head.kinds & TRACEPARENT
    assert not head.kinds & CONTENT_TYPE


def test_a_request_without_such_fields() -> None:
    """Has no length and no notes."""
    head = request_head(block(*PSEUDO, (b"a", b"v")))
    assert (head.content_length, head.notes, head.kinds) == (-1, {}, 0)


@pytest.mark.parametrize(
    ("value", "grpc"),
    [
        (b"application/grpc", True),
        (b"application/grpc+proto", True),
        (b"application/grpc;charset=utf-8", True),
        (b"Application/GRPC", True),
        (b"application/json", False),
        (b"text/application/grpc", False),
        (b"", False),
    ],
)
def test_calls_of_grpc_are_known_by_their_type(value: bytes, grpc: bool) -> None:
    """Nothing else announces them."""
    assert request_head(block(*PSEUDO, (b"content-type", value))).is_grpc is grpc


def test_values_are_found_by_name() -> None:
    """Several as a list, cookies as one cookie (RFC 9113 section 8.2.3)."""
    head = request_head(
        block(*PSEUDO, (b"cookie", b"a=1"), (b"accept", b"x"), (b"cookie", b"b=2"), (b"accept", b"y"))
    )
    assert head.value(b"accept") == b"x, y"
    assert head.values(b"accept") == [b"x", b"y"]
    assert head.value(b"cookie") == b"a=1; b=2"
    assert head.value(b"a") is None


def test_a_block_that_comes_again_is_not_read_again() -> None:
    """Its head is the same object."""
    decoded = block(*PSEUDO)
    head = request_head(decoded, 1)
    assert request_head(decoded, 3) is head


def test_a_fault_names_the_stream_each_time() -> None:
    """Faults are not remembered."""
    decoded = block(M)
    for stream in (1, 3):
        with pytest.raises(FrameFault) as caught:
            request_head(decoded, stream)
        assert caught.value.stream == stream


NAMES = st.sampled_from(
    b":method :scheme :authority :path :status :x host te connection content-length a A cookie expect".split()
)
VALUES = st.sampled_from(
    [b"", b"GET", b"http", b"h:80", b"/", b"*", b"5", b"trailers", b"a b", b" ", b"\n", b"CONNECT"]
)


@given(
    st.lists(st.sampled_from(PSEUDO), max_size=5, unique=True),
    st.lists(st.tuples(NAMES, VALUES), max_size=4),
)
def test_any_block_is_a_request_or_refused(first: list[Pair], rest: list[Pair]) -> None:
    """A request that is accepted keeps the rules."""
    try:
        head = request_head(block(*first, *rest), STREAM)
    except (FrameFault, RequestRefused):
        return
    names = [name for name, _ in (*first, *rest)]
    assert all(names.count(name) == 1 for name in (b":method", b":scheme", b":path"))
    assert {b":status", b":x", b"connection", b"A"}.isdisjoint(names)
    assert head.authority
    assert head.path[:1] in (b"/", b"*")
    assert head.method != b"CONNECT"
