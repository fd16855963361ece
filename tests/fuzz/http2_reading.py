"""What h2 reads of one side of a connection, and what must hold of frames that the sidecar sends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import H2Error
from h2.settings import SettingCodes, Settings
from hpack import Decoder
from hpack.exceptions import HPACKError
from hyperframe.exceptions import HyperframeError

from sidecar.http1.limits import MAX_HEAD
from sidecar.http2.limits import CONNECTION_WINDOW, MAX_STREAMS, STREAM_WINDOW
from tests.support.http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
)

Fields = list[tuple[bytes, bytes]]
HEAD = 9
_REFUSES = (H2Error, HyperframeError, HPACKError, ValueError, KeyError, IndexError)
"""What h2 raises for bytes that it refuses, some of it by accident."""


def frames_of(data: bytes) -> Iterator[Frame]:
    """Return the whole frames at the beginning of the bytes."""
    while len(data) >= HEAD and len(data) >= HEAD + (length := int.from_bytes(data[:3], "big")):
        stream = int.from_bytes(data[5:9], "big") & 0x7FFF_FFFF
        yield Frame(data[3], data[4], stream, data[HEAD : HEAD + length])
        data = data[HEAD + length :]


def written(frame: Frame) -> bytes:
    """Return the frame's bytes."""
    head = len(frame.payload).to_bytes(3, "big") + bytes((frame.kind, frame.flags))
    return head + frame.stream.to_bytes(4, "big") + frame.payload


@dataclass(slots=True)
class Message:
    """A request or an answer as h2 reads it."""

    fields: Fields
    content: bytes = b""
    trailers: Fields | None = None
    ended: bool = False
    reset: int | None = None


@dataclass(slots=True)
class Reading:
    """What h2 has read of a peer."""

    peer: H2Connection
    messages: dict[int, Message] = field(default_factory=dict)
    refused: str = ""
    """Why h2 reads no more, or has seen a GOAWAY."""

    def read(self, data: bytes) -> None:
        """Read bytes; raise what h2 raises for bytes that break the rules."""
        for event in self.peer.receive_data(data):
            self._note(event)

    def read_frames(self, data: bytes) -> None:
        """Read frame by frame, up to the first one that h2 refuses."""
        for frame in frames_of(data):
            try:
                self.read(written(frame))
            except _REFUSES as error:
                self.refused = f"{type(error).__name__}: {error}"
                return

    def _note(self, event: events.Event) -> None:
        match event:
            case events.RequestReceived() | events.ResponseReceived():
                self.messages[event.stream_id] = Message([(bytes(n), bytes(v)) for n, v in event.headers])
            case events.DataReceived():
                self.messages[event.stream_id].content += event.data
                if event.flow_controlled_length:
                    self.peer.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case events.TrailersReceived():
                trailers = [(bytes(n), bytes(v)) for n, v in event.headers]
                self.messages[event.stream_id].trailers = trailers
            case events.StreamEnded():
                self.messages[event.stream_id].ended = True
            case events.StreamReset() if event.stream_id in self.messages:
                self.messages[event.stream_id].reset = event.error_code
            case events.ConnectionTerminated():
                self.refused = "GOAWAY"


def h2_peer(*, client: bool) -> Reading:
    """Return h2 with the sidecar's own windows and limits, so that it refuses no more than the sidecar."""
    peer = H2Connection(H2Configuration(client_side=client, header_encoding=None))
    peer.local_settings = Settings(
        client=client,
        initial_values={
            SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
            SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: MAX_HEAD,
            SettingCodes.ENABLE_PUSH: 0,
        },
    )
    peer.initiate_connection()
    peer.increment_flow_control_window(CONNECTION_WINDOW - DEFAULT_WINDOW)
    return Reading(peer)


class Sent:
    """Frames that the sidecar sends to a peer, judged one by one."""

    def __init__(self) -> None:
        self.decoder = Decoder()
        self.heads: dict[int, list[Fields]] = {}
        self.content: dict[int, int] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.goaway: list[bytes] = []
        self.others: dict[int, list[tuple[int, int, bytes]]] = {}
        """Frames of other kinds, by stream; of WINDOW_UPDATE the sum."""
        self._rest = b""
        self._block: list[Frame] = []

    def add(self, data: bytes) -> None:
        """Judge what was sent."""
        data = self._rest + data
        for frame in frames_of(data):
            self._judge(frame)
            data = data[HEAD + len(frame.payload) :]
        self._rest = data

    def _judge(self, frame: Frame) -> None:
        number = frame.stream
        assert not self._block or frame.kind == CONTINUATION, "a frame interrupts a header block"
        if frame.kind in (HEADERS, CONTINUATION):
            self._block.append(frame)
            if frame.flags & END_HEADERS:
                self._head()
        elif frame.kind == DATA:
            self._open(number)
            assert any(map(begins, self.heads.get(number, ()))), "DATA before a head"
            self.content[number] = self.content.get(number, 0) + len(frame.payload)
            if frame.flags & END_STREAM:
                self.ended.add(number)
        elif frame.kind == RST_STREAM:
            assert number not in self.reset, "reset twice"
            self.reset[number] = int.from_bytes(frame.payload, "big")
        elif frame.kind == GOAWAY:
            self.goaway.append(frame.payload)
        elif frame.kind == WINDOW_UPDATE:
            assert int.from_bytes(frame.payload, "big") > 0
        else:
            self.others.setdefault(number, []).append((frame.kind, frame.flags, frame.payload))

    def _open(self, number: int) -> None:
        assert number not in self.ended, "a frame after END_STREAM"
        assert number not in self.reset, "a frame after RST_STREAM"

    def _head(self) -> None:
        first, number = self._block[0], self._block[0].stream
        block, self._block = b"".join(frame.payload for frame in self._block), []
        self._open(number)
        fields = [(bytes(pair[0]), bytes(pair[1])) for pair in self.decoder.decode(block, raw=True)]
        before = self.heads.setdefault(number, [])
        is_head = fields[:1] != [] and fields[0][0][:1] == b":"
        assert any(map(begins, before)) != is_head, "a head after the head, or trailers before it"
        assert all(name and name == name.lower() for name, _ in fields)
        before.append(fields)
        if first.flags & END_STREAM:
            self.ended.add(number)


def begins(fields: Fields) -> bool:
    """Return whether content may follow this head: that of a request, or of a final answer."""
    found = dict(fields)
    return b":method" in found or int(found.get(b":status", 0)) >= 200


@dataclass(slots=True)
class Credit:
    """The most that a peer's bytes ever allow to send."""

    connection: int = DEFAULT_WINDOW
    initial: int = DEFAULT_WINDOW
    """With which a stream begins that the peer opens now."""
    largest: int = DEFAULT_WINDOW
    opened: dict[int, int] = field(default_factory=dict)
    """The largest initial window since the peer opened the stream."""
    granted: dict[int, int] = field(default_factory=dict)

    def read(self, received: bytes) -> "Credit":
        """Count what the frames grant."""
        for frame in frames_of(received):
            if frame.kind == WINDOW_UPDATE and len(frame.payload) == 4:
                self._grant(frame.stream, int.from_bytes(frame.payload, "big") & 0x7FFF_FFFF)
            elif frame.kind == HEADERS:
                self.opened.setdefault(frame.stream, self.initial)
            elif frame.kind == SETTINGS and not frame.flags & ACK:
                for setting, value in settings_of(frame.payload):
                    if setting == INITIAL_WINDOW_SIZE:
                        self._begin_with(value)
        return self

    def _begin_with(self, size: int) -> None:
        self.initial = size
        self.largest = max(self.largest, size)
        self.opened = {stream: max(largest, size) for stream, largest in self.opened.items()}

    def _grant(self, stream: int, by: int) -> None:
        if stream:
            self.granted[stream] = self.granted.get(stream, 0) + by
        else:
            self.connection += by

    def check(self, sent: Sent, *, opened_by_peer: bool) -> None:
        """Check that no more was sent, on streams that the peer has opened or the sidecar."""
        assert sum(sent.content.values()) <= self.connection, "more than the connection's window"
        for stream, size in sent.content.items():
            initial = self.opened[stream] if opened_by_peer else self.largest
            assert size <= initial + self.granted.get(stream, 0), "more than the stream's window"


def settings_of(payload: bytes) -> Sequence[tuple[int, int]]:
    """Return the settings in a frame."""
    return [
        (int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 6], "big"))
        for at in range(0, len(payload) - 5, 6)
    ]
