"""Frames: each check at its bounds, and what the library hyperframe reads of ours."""

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http2 import frames
from sidecar.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    MAX_MAX_FRAME,
    MAX_STREAM,
    MAX_WINDOW,
    MIN_MAX_FRAME,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    ErrorCode,
    FrameFault,
    check,
    check_priority,
    header_fragment,
    padded,
    read_goaway,
    read_increment,
    read_settings,
)

OTHER = 10
"""A kind that RFC 9113 does not define."""
STREAM = 5
LARGE = MIN_MAX_FRAME
ACCEPTED = {
    DATA: [(0, 0), (0, LARGE), (PADDED, 1), (PADDED, LARGE), (0xF7, 0), (WITH_PRIORITY, 0)],
    HEADERS: [
        (0, 0),
        (0, LARGE),
        (PADDED, 1),
        (WITH_PRIORITY, 5),
        (PADDED | WITH_PRIORITY, 6),
        (PADDED | WITH_PRIORITY, LARGE),
    ],
    PRIORITY: [(0, 5), (0xFF, 5)],
    RST_STREAM: [(0, 4), (0xFF, 4)],
    SETTINGS: [(0, 0), (0, 6), (0, 12), (0, LARGE - LARGE % 6), (ACK, 0)],
    PING: [(0, 8), (ACK, 8)],
    GOAWAY: [(0, 8), (0, 9), (0, LARGE)],
    WINDOW_UPDATE: [(0, 4), (0xFF, 4)],
    CONTINUATION: [(0, 0), (0, LARGE), (0xFF, 0)],
    OTHER: [(0, 0), (0xFF, LARGE)],
    255: [(0, 0), (0xFF, LARGE)],
}
TOO_SHORT_OR_LONG = {
    DATA: [(0, LARGE + 1), (PADDED, 0)],
    HEADERS: [(0, LARGE + 1), (PADDED, 0), (WITH_PRIORITY, 4), (PADDED | WITH_PRIORITY, 5)],
    PRIORITY: [(0, 0), (0, 4), (0, 6)],
    RST_STREAM: [(0, 0), (0, 3), (0, 5)],
    SETTINGS: [(0, 1), (0, 5), (0, 7), (ACK, 6), (ACK, 1), (0, LARGE + 2)],
    PING: [(0, 0), (0, 7), (0, 9), (ACK, 7)],
    GOAWAY: [(0, 0), (0, 7), (0, LARGE + 1)],
    WINDOW_UPDATE: [(0, 0), (0, 3), (0, 5)],
    CONTINUATION: [(0, LARGE + 1)],
    OTHER: [(0, LARGE + 1)],
}
OF_STREAMS = (DATA, HEADERS, PRIORITY, RST_STREAM, CONTINUATION)
OF_THE_CONNECTION = (SETTINGS, PING, GOAWAY)


def rows(table: dict[int, list[tuple[int, int]]]) -> list[tuple[int, int, int]]:
    return [(kind, flags, length) for kind, entries in table.items() for flags, length in entries]


def place(kind: int) -> int:
    return 0 if kind in OF_THE_CONNECTION else STREAM


@pytest.mark.parametrize(("kind", "flags", "length"), rows(ACCEPTED))
def test_valid_frames_are_accepted(kind: int, flags: int, length: int) -> None:
    """At the bounds of each kind; flags without a meaning there are ignored (rule 6)."""
    check(kind, flags, place(kind), length)


@pytest.mark.parametrize(("kind", "flags", "length"), rows(TOO_SHORT_OR_LONG))
def test_rules_1_and_3_lengths_beyond_the_bounds(kind: int, flags: int, length: int) -> None:
    """Of the connection all but PRIORITY's."""
    with pytest.raises(FrameFault) as caught:
        check(kind, flags, place(kind), length)
    assert caught.value.code == ErrorCode.FRAME_SIZE_ERROR
    assert caught.value.stream == (STREAM if kind == PRIORITY else 0)
    assert str(length) in caught.value.text


def test_rule_1_a_larger_frame_where_it_was_allowed() -> None:
    """Up to that."""
    check(DATA, 0, STREAM, 1 << 20, 1 << 20)
    with pytest.raises(FrameFault):
        check(DATA, 0, STREAM, (1 << 20) + 1, 1 << 20)


@pytest.mark.parametrize("kind", [*OF_STREAMS, *OF_THE_CONNECTION])
def test_rule_2_frames_in_the_wrong_place(kind: int) -> None:
    """Stream 0 for those of streams, another for those of the connection."""
    flags, length = ACCEPTED[kind][0]
    with pytest.raises(FrameFault, match="belongs to") as caught:
        check(kind, flags, 0 if kind in OF_STREAMS else STREAM, length)
    assert (caught.value.code, caught.value.stream) == (ErrorCode.PROTOCOL_ERROR, 0)


@pytest.mark.parametrize("kind", [WINDOW_UPDATE, OTHER])
def test_rule_2_frames_of_either_place(kind: int) -> None:
    """On the connection too."""
    check(kind, 0, 0, 4)


@pytest.mark.parametrize(
    ("payload", "content"),
    [
        (b"\x00", b""),
        (b"\x00data", b"data"),
        (b"\x01data\x00", b"data"),
        (b"\x04\x00\x00\x00\x00", b""),
        (b"\xff" + b"\x00" * 255, b""),
        (b"\x02data\xff\xff", b"data"),
    ],
)
def test_rule_4_padding_is_cut_off(payload: bytes, content: bytes) -> None:
    """Whatever octets it has."""
    start, end = padded(payload, PADDED)
    assert payload[start:end] == content
    start, end = header_fragment(payload, PADDED, STREAM)
    assert payload[start:end] == content
    assert padded(payload, 0) == (0, len(payload))
    assert padded(payload, WITH_PRIORITY) == (0, len(payload))


@pytest.mark.parametrize("payload", [b"\x01", b"\x05data", b"\xff" + b"\x00" * 254])
def test_rule_4_padding_longer_than_the_payload(payload: bytes) -> None:
    """By one octet."""
    with pytest.raises(FrameFault) as of_data:
        padded(payload, PADDED)
    with pytest.raises(FrameFault) as of_headers:
        header_fragment(payload, PADDED, STREAM)
    for caught in (of_data, of_headers):
        assert (caught.value.code, caught.value.stream) == (ErrorCode.PROTOCOL_ERROR, 0)


DEPENDS = b"\x80\x00\x00\x03\xff"


@pytest.mark.parametrize(
    ("payload", "flags", "content"),
    [
        (DEPENDS, WITH_PRIORITY, b""),
        (DEPENDS + b"block", WITH_PRIORITY, b"block"),
        (b"\x00" + DEPENDS, WITH_PRIORITY | PADDED, b""),
        (b"\x02" + DEPENDS + b"block\x00\x00", WITH_PRIORITY | PADDED, b"block"),
        (b"block", 0, b"block"),
    ],
)
def test_rule_9_priority_is_cut_off(payload: bytes, flags: int, content: bytes) -> None:
    """With padding and without."""
    start, end = header_fragment(payload, flags, STREAM)
    assert payload[start:end] == content


def test_rule_4_padding_that_covers_the_priority() -> None:
    """There is no room for the block then."""
    with pytest.raises(FrameFault) as caught:
        header_fragment(b"\x01" + DEPENDS, WITH_PRIORITY | PADDED, STREAM)
    assert caught.value.code == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("exclusive", [0, 1 << 31])
def test_rule_9_a_stream_that_depends_on_itself(exclusive: int) -> None:
    """PRIORITY ends the stream, HEADERS the connection: its block was not decoded."""
    payload = (STREAM | exclusive).to_bytes(4, "big") + b"\x10"
    with pytest.raises(FrameFault) as caught:
        check_priority(payload, 0, STREAM)
    assert (caught.value.code, caught.value.stream) == (ErrorCode.PROTOCOL_ERROR, STREAM)
    with pytest.raises(FrameFault) as caught:
        header_fragment(payload, WITH_PRIORITY, STREAM)
    assert (caught.value.code, caught.value.stream) == (ErrorCode.PROTOCOL_ERROR, 0)


@pytest.mark.parametrize("length", [0, 4, LARGE])
@pytest.mark.parametrize("stream", [0, 2, STREAM])
def test_rule_5_push_is_refused(length: int, stream: int) -> None:
    """On any stream, of any length."""
    with pytest.raises(FrameFault, match="PUSH_PROMISE is not allowed") as caught:
        check(PUSH_PROMISE, 0, stream, length)
    assert (caught.value.code, caught.value.stream) == (ErrorCode.PROTOCOL_ERROR, 0)


def setting(number: int, value: int) -> bytes:
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


ANY = 0xFFFF_FFFF
VALID_SETTINGS = [
    (frames.HEADER_TABLE_SIZE, 0),
    (frames.HEADER_TABLE_SIZE, ANY),
    (frames.ENABLE_PUSH, 0),
    (frames.ENABLE_PUSH, 1),
    (frames.MAX_CONCURRENT_STREAMS, 0),
    (frames.MAX_CONCURRENT_STREAMS, ANY),
    (frames.INITIAL_WINDOW_SIZE, 0),
    (frames.INITIAL_WINDOW_SIZE, MAX_WINDOW),
    (frames.MAX_FRAME_SIZE, MIN_MAX_FRAME),
    (frames.MAX_FRAME_SIZE, MAX_MAX_FRAME),
    (frames.MAX_HEADER_LIST_SIZE, 0),
    (frames.MAX_HEADER_LIST_SIZE, ANY),
    (frames.ENABLE_CONNECT_PROTOCOL, 0),
    (frames.ENABLE_CONNECT_PROTOCOL, 1),
    (0, ANY),
    (0xFFFF, ANY),
]


def test_rule_6_settings_are_read() -> None:
    """At the bounds of each; unknown ones too."""
    assert [read_settings(setting(*pair)) for pair in VALID_SETTINGS] == [
        dict([pair]) for pair in VALID_SETTINGS
    ]
    assert read_settings(b"") == {}


def test_rule_7_the_last_value_of_a_setting_counts() -> None:
    """However often a frame has it, there is one change to carry out."""
    assert read_settings(b"".join(setting(*pair) for pair in VALID_SETTINGS)) == dict(VALID_SETTINGS)
    windows = [(frames.INITIAL_WINDOW_SIZE, 65_535 + number % 2) for number in range(2730)]
    assert read_settings(b"".join(setting(*pair) for pair in windows)) == {frames.INITIAL_WINDOW_SIZE: 65_536}


@pytest.mark.parametrize(
    ("number", "value", "from_server", "code"),
    [
        (frames.ENABLE_PUSH, 2, False, ErrorCode.PROTOCOL_ERROR),
        (frames.ENABLE_PUSH, ANY, False, ErrorCode.PROTOCOL_ERROR),
        (frames.ENABLE_PUSH, 1, True, ErrorCode.PROTOCOL_ERROR),
        (frames.INITIAL_WINDOW_SIZE, MAX_WINDOW + 1, False, ErrorCode.FLOW_CONTROL_ERROR),
        (frames.INITIAL_WINDOW_SIZE, ANY, True, ErrorCode.FLOW_CONTROL_ERROR),
        (frames.MAX_FRAME_SIZE, MIN_MAX_FRAME - 1, False, ErrorCode.PROTOCOL_ERROR),
        (frames.MAX_FRAME_SIZE, 0, False, ErrorCode.PROTOCOL_ERROR),
        (frames.MAX_FRAME_SIZE, MAX_MAX_FRAME + 1, False, ErrorCode.PROTOCOL_ERROR),
        (frames.ENABLE_CONNECT_PROTOCOL, 2, True, ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_rule_7_settings_beyond_the_bounds(
    number: int, value: int, from_server: bool, code: ErrorCode
) -> None:
    """Alone and after valid ones."""
    for before in (b"", setting(frames.HEADER_TABLE_SIZE, 0)):
        with pytest.raises(FrameFault) as caught:
            read_settings(before + setting(number, value), from_server=from_server)
        assert (caught.value.code, caught.value.stream) == (code, 0)


@pytest.mark.parametrize(
    ("payload", "increment"),
    [(b"\x00\x00\x00\x01", 1), (b"\x7f\xff\xff\xff", MAX_WINDOW), (b"\x80\x00\x00\x01", 1)],
)
def test_rule_8_windows_grow(payload: bytes, increment: int) -> None:
    """The reserved bit is ignored."""
    assert read_increment(payload, 0) == increment


@pytest.mark.parametrize("payload", [b"\x00\x00\x00\x00", b"\x80\x00\x00\x00"])
@pytest.mark.parametrize("stream", [0, STREAM])
def test_rule_8_windows_do_not_grow_by_nothing(payload: bytes, stream: int) -> None:
    """The fault is the stream's where there is one."""
    with pytest.raises(FrameFault) as caught:
        read_increment(payload, stream)
    assert (caught.value.code, caught.value.stream) == (ErrorCode.PROTOCOL_ERROR, stream)


@pytest.mark.parametrize(
    ("payload", "read"),
    [
        (b"\x00" * 8, (0, 0, b"")),
        (b"\x7f\xff\xff\xff\x00\x00\x00\x0btext", (MAX_STREAM, ErrorCode.ENHANCE_YOUR_CALM, b"text")),
        (b"\x80\x00\x00\x01\xff\xff\xff\xff", (1, ANY, b"")),
    ],
)
def test_goaway_is_read(payload: bytes, read: tuple[int, int, bytes]) -> None:
    """Unknown codes too; the reserved bit is ignored."""
    assert read_goaway(payload) == read


def parsed(data: bytes) -> list[Frame]:
    """The frames that hyperframe reads."""
    found = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + length]))
        assert frame.serialize() == data[: 9 + length]
        found.append(frame)
        data = data[9 + length :]
    return found


def test_frames_of_the_connection_are_written() -> None:
    """As another library reads them."""
    pairs = [(frames.INITIAL_WINDOW_SIZE, MAX_WINDOW), (frames.ENABLE_PUSH, 0)]
    settings, ack, ping, pong, away, update = parsed(
        frames.settings(pairs)
        + frames.SETTINGS_ACK
        + frames.ping(b"12345678")
        + frames.ping_ack(b"87654321")
        + frames.goaway(MAX_STREAM, ErrorCode.ENHANCE_YOUR_CALM, b"text")
        + frames.window_update(0, MAX_WINDOW)
    )
    assert isinstance(settings, SettingsFrame)
    assert settings.settings == dict(pairs)
    assert isinstance(ack, SettingsFrame)
    assert "ACK" in ack.flags
    assert isinstance(ping, PingFrame)
    assert (ping.opaque_data, set(ping.flags)) == (b"12345678", set())
    assert isinstance(pong, PingFrame)
    assert (pong.opaque_data, set(pong.flags)) == (b"87654321", {"ACK"})
    assert isinstance(away, GoAwayFrame)
    assert (away.last_stream_id, away.error_code, away.additional_data) == (MAX_STREAM, 11, b"text")
    assert isinstance(update, WindowUpdateFrame)
    assert (update.stream_id, update.window_increment) == (0, MAX_WINDOW)


@pytest.mark.parametrize("stream", [1, 2, MAX_STREAM])
def test_frames_of_streams_are_written(stream: int) -> None:
    """As another library reads them."""
    reset, update = parsed(frames.rst_stream(stream, ErrorCode.CANCEL) + frames.window_update(stream, 1))
    assert isinstance(reset, RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (stream, 8)
    assert isinstance(update, WindowUpdateFrame)
    assert (update.stream_id, update.window_increment) == (stream, 1)


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("length", [0, 1, 99, 100, 101, 199, 200, 201, 1000])
def test_header_blocks_are_split(length: int, end: bool) -> None:
    """END_HEADERS is on the last frame and END_STREAM on the first, whatever their number."""
    block = bytes(number % 251 for number in range(length))
    first, *rest = parsed(frames.headers(STREAM, block, end, max_frame=100))
    assert isinstance(first, HeadersFrame)
    data = first.data
    for frame in rest:
        assert isinstance(frame, ContinuationFrame)
        assert frame.data
        data += frame.data
    assert data == block
    everything = [first, *rest]
    assert {frame.stream_id for frame in everything} == {STREAM}
    assert ["END_HEADERS" in frame.flags for frame in everything] == [False] * len(rest) + [True]
    assert ["END_STREAM" in frame.flags for frame in everything] == [end] + [False] * len(rest)
    assert len(everything) == max(1, -(-length // 100))


@given(
    st.integers(0, 255), st.integers(0, 255), st.sampled_from([0, 1, 2, MAX_STREAM]), st.integers(0, 1 << 24)
)
def test_any_frame_is_accepted_or_ends_something(kind: int, flags: int, stream: int, length: int) -> None:
    """No other error than a fault, of the connection or of the frame's stream."""
    try:
        check(kind, flags, stream, length)
    except FrameFault as fault:
        assert fault.stream in (0, stream)  # noqa: PT017 - most frames are accepted
        assert fault.code in (ErrorCode.FRAME_SIZE_ERROR, ErrorCode.PROTOCOL_ERROR)  # noqa: PT017
    else:
        assert length <= MIN_MAX_FRAME
