"""Frames: their heads, the checks of each kind, and how the sidecar writes them (RFC 9113 sections 4 and 6).

Rule 1. A frame is no longer than the sidecar allowed: FRAME_SIZE_ERROR.
Rule 2. DATA, HEADERS, PRIORITY, RST_STREAM and CONTINUATION belong to a stream, SETTINGS, PING and GOAWAY to the
        connection; WINDOW_UPDATE to either. On the other: PROTOCOL_ERROR.
Rule 3. A frame of fixed length has exactly that, the others at least what their flags announce: FRAME_SIZE_ERROR. The
        fault of a PRIORITY frame ends its stream, any other the connection.
Rule 4. Padding is shorter than the payload that it is in: PROTOCOL_ERROR.
Rule 5. PUSH_PROMISE is refused in both directions: the sidecar never allows it.
Rule 6. Frames of unknown kinds, unknown flags, unknown settings and the reserved bit are ignored.
Rule 7. A setting has a valid value: PROTOCOL_ERROR, or FLOW_CONTROL_ERROR for a window of 2^31 or more. A server does
        not enable push. Of a setting that a frame has more than once, every value is checked and the last one counts:
        a change concerns all streams.
Rule 8. A window grows by at least one: PROTOCOL_ERROR, on the stream or the connection that the frame names.
Rule 9. A stream does not depend on itself: PROTOCOL_ERROR (RFC 7540 section 5.3.1), on the stream for PRIORITY, on the
        connection for HEADERS, whose block is not decoded then. Priority is not read beyond that.
"""

from enum import IntEnum
from typing import Final

from sidecar.core.errors import SidecarError

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = 9
"""Octets of a frame's head."""

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5
MAX_HEADER_LIST_SIZE: Final = 6
ENABLE_CONNECT_PROTOCOL: Final = 8

MIN_MAX_FRAME: Final = 1 << 14
MAX_MAX_FRAME: Final = (1 << 24) - 1
MAX_WINDOW: Final = (1 << 31) - 1
DEFAULT_WINDOW: Final = (1 << 16) - 1
MAX_STREAM: Final = (1 << 31) - 1


class ErrorCode(IntEnum):
    """RFC 9113 section 7."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class FrameFault(SidecarError):
    """The peer broke a rule of HTTP/2: a stream or the connection ends with `code`."""

    def __init__(self, code: int, text: str, stream: int = 0) -> None:
        """Take the `stream` that ends; 0 for the connection."""
        super().__init__(text)
        self.code = code
        self.text = text
        self.stream = stream


def head(length: int, kind: int, flags: int, stream: int) -> bytes:
    """Write a frame's head."""
    return (length << 48 | kind << 40 | flags << 32 | stream).to_bytes(HEAD, "big")


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Write a frame."""
    return head(len(payload), kind, flags, stream) + payload


def settings(pairs: list[tuple[int, int]]) -> bytes:
    """Write a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join([(pair[0] << 32 | pair[1]).to_bytes(6, "big") for pair in pairs]))


SETTINGS_ACK: Final = head(0, SETTINGS, ACK, 0)


def ping(payload: bytes) -> bytes:
    """Write a PING; its payload has eight octets."""
    return frame(PING, 0, 0, payload)


def ping_ack(payload: bytes) -> bytes:
    """Write the answer to a PING."""
    return frame(PING, ACK, 0, payload)


def window_update(stream: int, by: int) -> bytes:
    """Write a WINDOW_UPDATE; stream 0 for the connection."""
    return ((4 << 48 | WINDOW_UPDATE << 40 | stream) << 32 | by).to_bytes(HEAD + 4, "big")


def rst_stream(stream: int, code: int) -> bytes:
    """Write a RST_STREAM."""
    return ((4 << 48 | RST_STREAM << 40 | stream) << 32 | code).to_bytes(HEAD + 4, "big")


def goaway(last: int, code: int, text: bytes = b"") -> bytes:
    """Write a GOAWAY."""
    return frame(GOAWAY, 0, 0, (last << 32 | code).to_bytes(8, "big") + text)


def headers(stream: int, block: bytes, end_stream: bool, max_frame: int = MIN_MAX_FRAME) -> bytes:
    """Write a header block: HEADERS, and CONTINUATION where it is longer than a frame may be."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= max_frame:
        return head(len(block), HEADERS, flags | END_HEADERS, stream) + block
    frames = [head(max_frame, HEADERS, flags, stream), block[:max_frame]]
    for at in range(max_frame, len(block), max_frame):
        part = block[at : at + max_frame]
        last = at + max_frame >= len(block)
        frames += (head(len(part), CONTINUATION, END_HEADERS if last else 0, stream), part)
    return b"".join(frames)


_ON_A_STREAM: Final = 1
_ON_THE_CONNECTION: Final = 2
_PLACE: Final[list[int]] = [1, 1, 1, 1, 2, 0, 2, 2, 0, 1]
"""By kind: where it belongs; 0 for either."""
_LENGTH: Final[list[int]] = [-1, -1, 5, 4, -1, -1, 8, -1, 4, -1]
"""By kind: the exact length; -1 where it varies."""
# Each by itself would be taken for a variable of the environment.
NAMES: Final = (
    "DATA HEADERS PRIORITY RST_STREAM SETTINGS PUSH_PROMISE PING GOAWAY WINDOW_UPDATE CONTINUATION".split()  # noqa: SIM905
)


def check(kind: int, flags: int, stream: int, length: int, max_frame: int = MIN_MAX_FRAME) -> None:
    """Check a frame by its head. Raises FrameFault."""
    if length > max_frame:
        raise _size_fault(kind, length)
    if kind > CONTINUATION:
        return
    place = _PLACE[kind]
    if place and (place == _ON_A_STREAM) != (stream != 0):
        belongs = "a stream" if place == _ON_A_STREAM else "the connection"
        raise FrameFault(ErrorCode.PROTOCOL_ERROR, f"{NAMES[kind]} belongs to {belongs}")
    exact = _LENGTH[kind]
    if exact >= 0:
        if length != exact:
            raise _size_fault(kind, length, stream if kind == PRIORITY else 0)
    elif kind <= HEADERS:
        if flags & (PADDED | WITH_PRIORITY) and length < _least(kind, flags):
            raise _size_fault(kind, length)
    elif kind == PUSH_PROMISE:
        raise FrameFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE is not allowed")
    elif (kind == SETTINGS and (length % 6 or (flags & ACK and length))) or (kind == GOAWAY and length < 8):
        raise _size_fault(kind, length)


def _least(kind: int, flags: int) -> int:
    """Return the least length of a DATA or HEADERS frame with these flags."""
    least = 1 if flags & PADDED else 0
    return least + 5 if kind == HEADERS and flags & WITH_PRIORITY else least


def _size_fault(kind: int, length: int, stream: int = 0) -> FrameFault:
    name = NAMES[kind] if kind <= CONTINUATION else f"frame of kind {kind}"
    return FrameFault(ErrorCode.FRAME_SIZE_ERROR, f"{name} cannot have {length} bytes", stream)


def padded(payload: bytes, flags: int) -> tuple[int, int]:
    """Return where the content of a checked DATA frame starts and ends. Raises FrameFault."""
    if not flags & PADDED:
        return 0, len(payload)
    end = len(payload) - payload[0]
    if end < 1:
        raise FrameFault(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
    return 1, end


def header_fragment(payload: bytes, flags: int, stream: int) -> tuple[int, int]:
    """Return where the block in a checked HEADERS frame starts and ends. Raises FrameFault."""
    start, end = padded(payload, flags)
    if flags & WITH_PRIORITY:
        if _depends_on(payload, start) == stream:
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, "a stream cannot depend on itself")
        start += 5
        if start > end:
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, "padding is longer than its frame")
    return start, end


def check_priority(payload: bytes, at: int, stream: int) -> None:
    """Check the five octets of a PRIORITY frame from `at`. Raises FrameFault."""
    if _depends_on(payload, at) == stream:
        raise FrameFault(ErrorCode.PROTOCOL_ERROR, "a stream cannot depend on itself", stream)


def _depends_on(payload: bytes, at: int) -> int:
    return int.from_bytes(payload[at : at + 4], "big") & MAX_STREAM


def read_settings(payload: bytes, *, from_server: bool = False) -> dict[int, int]:
    """Return the last value of each setting in a checked SETTINGS frame. Raises FrameFault."""
    last = {}
    for at in range(0, len(payload), 6):
        setting = int.from_bytes(payload[at : at + 2], "big")
        value = int.from_bytes(payload[at + 2 : at + 6], "big")
        _check_setting(setting, value, from_server=from_server)
        last[setting] = value
    return last


def _check_setting(setting: int, value: int, *, from_server: bool) -> None:
    if setting == INITIAL_WINDOW_SIZE:
        if value > MAX_WINDOW:
            raise FrameFault(ErrorCode.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE cannot be {value}")
    elif setting == MAX_FRAME_SIZE:
        if not MIN_MAX_FRAME <= value <= MAX_MAX_FRAME:
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, f"MAX_FRAME_SIZE cannot be {value}")
    elif setting == ENABLE_PUSH:
        if value > (0 if from_server else 1):
            raise FrameFault(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH cannot be {value}")
    elif setting == ENABLE_CONNECT_PROTOCOL and value > 1:
        raise FrameFault(ErrorCode.PROTOCOL_ERROR, f"ENABLE_CONNECT_PROTOCOL cannot be {value}")


def read_increment(payload: bytes, stream: int) -> int:
    """Return by how much a checked WINDOW_UPDATE frame grows the window. Raises FrameFault."""
    increment = int.from_bytes(payload, "big") & MAX_WINDOW
    if not increment:
        raise FrameFault(ErrorCode.PROTOCOL_ERROR, "a window cannot grow by 0", stream)
    return increment


def read_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Return the last stream, the code and the text of a checked GOAWAY frame."""
    last = int.from_bytes(payload[:4], "big") & MAX_STREAM
    return last, int.from_bytes(payload[4:8], "big"), payload[8:]
