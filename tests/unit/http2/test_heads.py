"""Which fields go on to the next hop."""

import pytest
from hpack import Decoder

from sidecar.core.header_names import Hidden, hiding
from sidecar.http2.fields import AUTHORIZATION, ORIGIN, TRACEPARENT, TRACESTATE
from sidecar.http2.header_block import request_head, response_head, trailers
from sidecar.http2.heads import relayed_request, relayed_response, relayed_trailers
from sidecar.http2.hpack import RESET
from tests.unit.http2.blocks import Pair, block

PSEUDO = ((b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"h"), (b":path", b"/"))


def read(wire: bytes) -> list[Pair]:
    """What the next hop reads."""
    return [(bytes(entry[0]), bytes(entry[1])) for entry in Decoder().decode(RESET + wire, raw=True)]


def requested(*pairs: Pair, cut: int = 0, hidden: Hidden | None = None) -> list[Pair]:
    """What the upstream reads of a request's fields."""
    return read(relayed_request(request_head(block(*PSEUDO, *pairs)), cut, hidden))


def test_rule_1_fields_go_on_as_they_came() -> None:
    """In order, with duplicates, and with `te`."""
    pairs = [
        (b"a", b"1"),
        (b"te", b"trailers"),
        (b"cookie", b"a"),
        (b"a", b"1"),
        (b"cookie", b"b"),
        (b"b", b""),
    ]
    assert requested(*pairs) == pairs


def test_rule_1_host_and_fields_for_proxies_stay_here() -> None:
    """The upstream gets an authority of its own."""
    assert requested((b"host", b"h"), (b"a", b"1"), (b"proxy-authorization", b"Basic x")) == [(b"a", b"1")]


@pytest.mark.parametrize(
    ("cut", "names"),
    [
        (0, b"authorization origin traceparent tracestate a"),
        (AUTHORIZATION, b"origin traceparent tracestate a"),
        (ORIGIN, b"authorization traceparent tracestate a"),
        (TRACEPARENT | TRACESTATE, b"authorization origin a"),
    ],
)
def test_rule_1_what_the_sidecar_replaces_is_cut(cut: int, names: bytes) -> None:
    """All fields of that kind."""
    pairs = [(name, b"v") for name in b"authorization origin traceparent tracestate a".split()]
    assert [name for name, _ in requested(*pairs, *pairs, cut=cut)] == names.split() * 2


@pytest.mark.parametrize(
    ("name", "stays"),
    [
        (b"x-tenant", False),
        (b"x_tenant", False),
        (b"x.tenant", False),
        (b"x-tenant2", True),
        (b"a-x-tenant", True),
        (b"x-kept", True),
        (b"x_kept", False),
    ],
)
def test_rule_1_hidden_fields_and_their_twins_stay_here(name: bytes, stays: bool) -> None:
    """By the rules of `core.header_names`, first, last or between others."""
    hidden = hiding([b"x-tenant"], [b"x-kept"])
    for pairs in ([(name, b"v")], [(b"a", b"v"), (name, b"v"), (b"b", b"v")], [(b"a", b"v"), (name, b"v")]):
        assert requested(*pairs, hidden=hidden) == [pair for pair in pairs if stays or pair[0] != name]


def test_what_goes_on_is_remembered_for_the_same_cut_only() -> None:
    """A reload or another route requires other fields."""
    head = request_head(block(*PSEUDO, (b"authorization", b"v"), (b"a", b"v"), (b"x-tenant", b"v")))
    hidden = hiding([b"x-tenant"], [])
    cut = relayed_request(head, AUTHORIZATION, None)
    assert relayed_request(head, AUTHORIZATION, None) is cut
    assert read(cut) == [(b"a", b"v"), (b"x-tenant", b"v")]
    assert read(relayed_request(head, 0, None)) == [
        (b"authorization", b"v"),
        (b"a", b"v"),
        (b"x-tenant", b"v"),
    ]
    assert read(relayed_request(head, 0, hidden)) == [(b"authorization", b"v"), (b"a", b"v")]
    assert read(relayed_request(head, AUTHORIZATION, hidden)) == [(b"a", b"v")]
    assert relayed_request(head, AUTHORIZATION, None) == cut


@pytest.mark.parametrize(
    ("status", "length"), [(b"200", True), (b"304", True), (b"204", False), (b"103", False)]
)
def test_rule_1_of_responses(status: bytes, length: bool) -> None:
    """What has no body announces none."""
    pairs = [(b"content-length", b"0"), (b"a", b"v"), (b"set-cookie", b"1"), (b"set-cookie", b"2")]
    fields = [(b":status", status), *pairs, (b"te", b"gzip"), (b"proxy-authenticate", b"Basic")]
    wire = relayed_response(response_head(block(*fields)))
    assert read(wire) == (pairs if length else pairs[1:])


TRAILERS = [
    (b"grpc-status", b"0"),
    (b"location", b"aisle 5"),
    (b"x-checksum", b"1"),
    (b"content-length", b"5"),
    (b"host", b"h"),
    (b"te", b"trailers"),
    (b"authorization", b"Bearer x"),
    (b"proxy-authenticate", b"Basic"),
    (b"expect", b"100-continue"),
    (b"x_tenant", b"t"),
    (b"content_type", b"text/plain"),
]


@pytest.mark.parametrize(
    ("grpc", "hidden", "names"),
    [
        (True, None, b"grpc-status location x-checksum x_tenant content_type"),
        (False, None, b"grpc-status x-checksum x_tenant"),
        (True, hiding([b"x-tenant"], []), b"grpc-status location x-checksum content_type"),
        (False, hiding([b"x-tenant"], []), b"grpc-status x-checksum"),
    ],
)
def test_rule_2_trailers_that_go_on(grpc: bool, hidden: Hidden | None, names: bytes) -> None:
    """Of a gRPC call all that change neither framing nor authentication."""
    head = trailers(block(*TRAILERS))
    for _ in range(2):
        assert [name for name, _ in read(relayed_trailers(head, hidden, grpc=grpc))] == names.split()


def test_no_trailers_are_nothing() -> None:
    """The stream ends without a block then."""
    assert relayed_trailers(trailers(block((b"te", b"trailers"))), grpc=True) == b""
