"""Header blocks of responses and trailers: which are a message, and what it means."""

import pytest

from sidecar.http1.limits import MAX_FIELDS
from sidecar.http2.frames import ErrorCode, FrameFault
from sidecar.http2.header_block import response_head, trailers
from tests.unit.http2.blocks import Pair, block

STREAM = 3
OK = (b":status", b"200")


def fault(pairs: list[Pair]) -> str:
    """Why a response is malformed."""
    with pytest.raises(FrameFault) as caught:
        response_head(block(*pairs), STREAM)
    assert (caught.value.code, caught.value.stream) == (ErrorCode.PROTOCOL_ERROR, STREAM)
    return caught.value.text


@pytest.mark.parametrize(
    "pair",
    [
        (b"A", b"v"),
        (b"a", b" v"),
        (b"a", b"v\r\nb: c"),
        (b"connection", b"close"),
        (b"keep-alive", b"timeout=5"),
        (b"transfer-encoding", b"chunked"),
        (b"upgrade", b"websocket"),
        (b"proxy-connection", b"close"),
    ],
)
def test_rule_1_fields_that_no_response_has(pair: Pair) -> None:
    """As in requests; and in trailers."""
    fault([OK, pair])
    with pytest.raises(FrameFault):
        trailers(block(pair), STREAM)


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([], "a response needs :status"),
        ([(b"a", b"v")], "a response needs :status"),
        ([OK, OK], ":status is there more than once"),
        ([OK, (b":status", b"204")], ":status is there more than once"),
        ([(b"a", b"v"), OK], ":status follows a field that is no pseudo-field"),
        ([(b":status", b"")], ":status is empty"),
        ([OK, (b":path", b"/")], ":path does not belong into this message"),
        ([(b":method", b"GET")], ":method does not belong into this message"),
        ([OK, (b":x", b"v")], ":x does not belong into this message"),
        ([OK, *[(b"a", b"v")] * (MAX_FIELDS + 1)], f"more than {MAX_FIELDS} header fields"),
        (
            [OK, (b"content-length", b"5"), (b"content-length", b"5")],
            "content-length is there more than once",
        ),
        ([OK, (b"content-length", b"5, 5")], "content-length must be one plain decimal number"),
        ([OK, (b"content-length", b"")], "content-length must be one plain decimal number"),
        ([OK, (b"content-length", b"-5")], "content-length must be one plain decimal number"),
        ([(b":status", b"100"), (b"content-length", b"5")], "an interim response announces a body"),
    ],
)
def test_rules_2_5_and_6_malformed_responses(pairs: list[Pair], reason: str) -> None:
    """Each by its reason."""
    assert fault(pairs) == reason


@pytest.mark.parametrize("status", [b"20", b"2000", b"099", b"abc", b"+20", b"2 0", b"101", b"\xb2\xb2\xb2"])
def test_rule_6_malformed_statuses(status: bytes) -> None:
    """Three digits, and never 101."""
    assert fault([(b":status", status)]) == "the status is malformed, or 101"


@pytest.mark.parametrize(
    ("status", "length", "method", "expected"),
    [
        (b"200", b"5", b"GET", 5),
        (b"200", b"0", b"GET", 0),
        (b"200", None, b"GET", -1),
        (b"200", b"5", b"HEAD", 0),
        (b"200", None, b"HEAD", 0),
        (b"204", b"5", b"GET", 0),
        (b"204", None, b"GET", 0),
        (b"304", b"5", b"GET", 0),
        (b"100", None, b"POST", 0),
        (b"103", b"0", b"GET", 0),
        (b"401", b"7", b"GET", 7),
        (b"999", None, b"GET", -1),
    ],
)
def test_the_body_that_is_expected(status: bytes, length: bytes | None, method: bytes, expected: int) -> None:
    """By status, method and Content-Length."""
    lengths = [] if length is None else [(b"content-length", length)]
    head = response_head(block((b":status", status), (b"a", b"v"), *lengths), STREAM)
    assert head.status == int(status)
    assert head.status_field.value == status
    assert head.content_length == (-1 if length is None else int(length))
    assert head.expected(method) == expected
    assert [(entry.name, entry.value) for entry in head.fields] == [(b"a", b"v"), *lengths]


def test_a_response_that_comes_again_is_not_read_again() -> None:
    """Its head is the same object."""
    decoded = block(OK)
    assert response_head(decoded) is response_head(decoded)


@pytest.mark.parametrize(
    "pairs", [[OK], [(b"a", b"v"), OK], [(b":path", b"/")], [(b":x", b"v")], [(b"a", b"v"), (b":x", b"v")]]
)
def test_rule_2_trailers_have_no_pseudo_fields(pairs: list[Pair]) -> None:
    """Neither first nor last."""
    with pytest.raises(FrameFault) as caught:
        trailers(block(*pairs), STREAM)
    assert (caught.value.code, caught.value.stream) == (ErrorCode.PROTOCOL_ERROR, STREAM)


def test_trailers_are_read_once() -> None:
    """With the values of their fields."""
    decoded = block((b"grpc-status", b"16"), (b"grpc-message", b""))
    head = trailers(decoded, STREAM)
    assert (head.value(b"grpc-status"), head.value(b"grpc-message"), head.value(b"a")) == (b"16", b"", None)
    assert trailers(decoded, STREAM) is head
    assert trailers(block(), STREAM).fields == []


def test_a_block_is_read_for_what_it_is() -> None:
    """The same block may be trailers in one place, and no response in another."""
    decoded = block((b"a", b"v"))
    trailers(decoded, STREAM)
    with pytest.raises(FrameFault):
        response_head(decoded, STREAM)
