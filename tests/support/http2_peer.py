"""One side of an HTTP/2 connection for the tests, strict about what it gets and free in what it sends.

It shares no code with the product. `hpack` is its codec; frames, windows and streams are its own, because a test sends
what no library would, and goes on after a GOAWAY.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError
from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple

from tests.support.waiting import PATIENCE
from tests.support.wire_client import Fields, TruncatedError, WireError, values

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)
DEFAULT_WINDOW, DEFAULT_FRAME = 65_535, 16_384
_CONNECTION_SPECIFIC = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"host")
)


class Frame(NamedTuple):
    """One frame as it arrived."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Goaway(NamedTuple):
    """What a GOAWAY frame tells."""

    last: int
    code: int
    text: bytes


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Any frame, the malformed too."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    """A SETTINGS frame."""
    payload = b"".join(number.to_bytes(2, "big") + value.to_bytes(4, "big") for number, value in pairs)
    return frame(SETTINGS, 0, 0, payload)


@dataclass(eq=False)
class Message:
    """One request or answer as it arrived; it grows while it is read."""

    stream: int
    connection: int = 0
    fields: Fields = ()
    """Pseudo-fields first."""
    never_indexed: frozenset[bytes] = frozenset()
    """Names of fields that came as never indexed."""
    interim: list[Fields] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: Fields = ()
    whole: bool = False
    reset: int | None = None
    """The code of the reset that ended it."""

    def values(self, name: str) -> list[bytes]:
        return values(self.fields, name)

    @property
    def status(self) -> int:
        return int(self.values(":status")[0])

    @property
    def token(self) -> str:
        """The bearer token it carried, "" for none."""
        return b"".join(self.values("authorization")).removeprefix(b"Bearer ").decode()

    @property
    def over(self) -> bool:
        return self.whole or self.reset is not None


@dataclass(eq=False)
class _Stream:
    message: Message
    credit: int
    """What we may send."""
    granted: int
    """What the peer may send."""


class Peer:
    """Sends and receives frames, counting both directions' windows."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        number: int = 0,
        window: int = DEFAULT_WINDOW,
        max_frame: int = DEFAULT_FRAME,
        table: int = 4096,
        streams: int | None = None,
        credit: bool = True,
    ) -> None:
        """Allow the other side `window` bytes of each stream, and `streams` at once. Without `credit` return none."""
        self.reader = reader
        self.writer = writer
        self.number = number
        self.credit = credit
        self.frames: list[Frame] = []
        """All that arrived, but for DATA."""
        self.goaways: list[Goaway] = []
        self.fault: WireError | None = None
        self.closed = False
        self.settings = {INITIAL_WINDOW_SIZE: DEFAULT_WINDOW, MAX_FRAME_SIZE: DEFAULT_FRAME}
        """The other side's."""
        self._window, self._max_frame, self._table, self._limit = window, max_frame, table, streams
        self._encoder = Encoder()
        self._decoder = Decoder()
        self._decoder.max_header_list_size = 1 << 20
        self._decoder.max_allowed_table_size = max(table, 4096)
        self._streams: dict[int, _Stream] = {}
        self._credit = DEFAULT_WINDOW
        self._granted = DEFAULT_WINDOW
        self._reset_here: set[int] = set()
        self._block: Frame | None = None
        self._condition = asyncio.Condition()
        self._pump: asyncio.Task[None] | None = None

    def begin(self, preface: bytes = b"") -> None:
        """Send the preface and our settings, and read from now on."""
        pairs = [(INITIAL_WINDOW_SIZE, self._window), (MAX_FRAME_SIZE, self._max_frame)]
        pairs += [(HEADER_TABLE_SIZE, self._table)] if self._table != 4096 else []
        pairs += [(ENABLE_PUSH, 0)] if preface else []
        pairs += [(MAX_CONCURRENT_STREAMS, self._limit)] if self._limit is not None else []
        self.write(preface + settings(*pairs))
        self._pump = asyncio.ensure_future(self._read())

    async def finished(self) -> None:
        """Wait until the other side has closed, or broke a rule."""
        assert self._pump is not None
        await self._pump

    def write(self, data: bytes) -> None:
        """Send any bytes."""
        with suppress(ConnectionError):
            if not self.writer.transport.is_closing():
                self.writer.write(data)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a state of the connection or a stream. Raise the fault that the other side made instead."""
        async with asyncio.timeout(PATIENCE), self._condition:
            await self._condition.wait_for(lambda: condition() or self.closed)
        if self.fault is not None:
            raise self.fault
        if not condition():
            raise TruncatedError(b"", reset=False)

    def message(self, stream: int) -> Message:
        return self._streams[stream].message

    def opened(self, stream: int) -> Message:
        """Open a stream."""
        message = Message(stream, self.number)
        self._streams[stream] = _Stream(message, self.settings[INITIAL_WINDOW_SIZE], self._window)
        return message

    def encoded(self, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
        """A header block; `authorization` is never indexed."""
        return self._encoder.encode(
            [
                NeverIndexedHeaderTuple(name, value) if name == b"authorization" else HeaderTuple(name, value)
                for name, value in fields
            ]
        )

    def send_fields(self, stream: int, fields: Sequence[tuple[bytes, bytes]], *, end: bool = False) -> None:
        """Send a head or trailers, in as many frames as it takes."""
        block = self.encoded(fields)
        size = self.settings[MAX_FRAME_SIZE]
        parts = [block[at : at + size] for at in range(0, len(block), size)] or [b""]
        for number, part in enumerate(parts):
            flags = END_HEADERS if number == len(parts) - 1 else 0
            flags |= END_STREAM if end and not number else 0
            self.write(frame(CONTINUATION if number else HEADERS, flags, stream, part))

    async def send(self, stream: int, data: bytes, *, end: bool = False) -> None:
        """Send DATA, as windows allow."""
        state = self._streams[stream]
        while data:
            await self.until(lambda: min(state.credit, self._credit) > 0 or state.message.reset is not None)
            if state.message.reset is not None:
                return
            size = min(state.credit, self._credit, self.settings[MAX_FRAME_SIZE], len(data))
            part, data = data[:size], data[size:]
            state.credit -= size
            self._credit -= size
            self.write(frame(DATA, END_STREAM if end and not data else 0, stream, part))
            await self.drained()
            if end and not data:
                return
        if end:
            self.write(frame(DATA, END_STREAM, stream))

    async def drained(self) -> None:
        """Wait until the transport takes more."""
        with suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                await self.writer.drain()

    def grant(self, stream: int, size: int) -> None:
        """Allow more DATA of a stream; of the connection for 0."""
        if stream:
            self._streams[stream].granted += size
        else:
            self._granted += size
        self.write(frame(WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big")))

    def reset(self, stream: int, code: int) -> None:
        """Reset a stream; what is still on its way to us is ignored."""
        self._reset_here.add(stream)
        self.write(frame(RST_STREAM, 0, stream, code.to_bytes(4, "big")))

    def goaway(self, last: int, code: int = 0) -> None:
        self.write(frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big")))

    async def ping(self, payload: bytes = b"12345678") -> None:
        """Send a PING and wait for its answer."""
        before = self.frames.count(pong := Frame(PING, ACK, 0, payload))
        self.write(frame(PING, 0, 0, payload))
        await self.until(lambda: self.frames.count(pong) > before)

    async def _read(self) -> None:
        try:
            while True:
                self._receive(await self._read_frame())
                await self._notify()
        except WireError as error:
            self.fault = error
        except HPACKError as error:
            self.fault = WireError(f"a header block that cannot be decoded: {error}")
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed = True
            await self._notify()

    async def _read_frame(self) -> Frame:
        head = await self.reader.readexactly(9)
        length = int.from_bytes(head[:3], "big")
        if length > self._max_frame:
            raise WireError(f"a frame of {length} bytes")
        payload = await self.reader.readexactly(length)
        return Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)

    async def _notify(self) -> None:
        async with self._condition:
            self._condition.notify_all()

    def _receive(self, arrived: Frame) -> None:
        if self._block is not None and (arrived.kind, arrived.stream) != (CONTINUATION, self._block.stream):
            raise WireError(f"{arrived!r} within a header block")
        if arrived.kind == DATA:
            self._receive_data(arrived)
            return
        self.frames.append(arrived)
        receive = {
            HEADERS: self._receive_block,
            CONTINUATION: self._receive_block,
            RST_STREAM: self._receive_reset,
            SETTINGS: self._receive_settings,
            PING: self._receive_ping,
            GOAWAY: self._receive_goaway,
            WINDOW_UPDATE: self._receive_update,
        }.get(arrived.kind)
        if receive is None:
            raise WireError(f"unexpected {arrived!r}")
        receive(arrived)

    def _open(self, arrived: Frame) -> _Stream:
        state = self._streams.get(arrived.stream)
        if state is None:
            raise WireError(f"a frame of a stream that is not open: {arrived!r}")
        if state.message.over:
            raise WireError(f"a frame after the end of its stream: {arrived!r}")
        return state

    def _receive_data(self, arrived: Frame) -> None:
        size = len(arrived.payload)
        self._granted -= size
        if arrived.stream in self._reset_here:
            if size:
                self.grant(0, size)
            return
        state = self._open(arrived)
        state.granted -= size
        if state.granted < 0 or self._granted < 0:
            raise WireError("more DATA than the window allowed")
        if not state.message.fields or arrived.flags & ~END_STREAM:
            raise WireError(f"DATA before the head, or padded: {arrived!r}")
        state.message.body += arrived.payload
        state.message.whole = bool(arrived.flags & END_STREAM)
        if self.credit and size:
            self.grant(0, size)
            if not state.message.whole:
                self.grant(arrived.stream, size)

    def _receive_block(self, arrived: Frame) -> None:
        before = self._block
        if (arrived.kind == CONTINUATION) != (before is not None):
            raise WireError(f"unexpected {arrived!r}")
        if before is not None:
            arrived = before._replace(
                payload=before.payload + arrived.payload, flags=before.flags | arrived.flags
            )
        if not arrived.flags & END_HEADERS:
            self._block = arrived
            return
        self._block = None
        decoded = list(self._decoder.decode(arrived.payload, raw=True))
        fields = tuple((bytes(entry[0]), bytes(entry[1])) for entry in decoded)
        never = frozenset(bytes(entry[0]) for entry in decoded if isinstance(entry, NeverIndexedHeaderTuple))
        self._receive_fields(arrived, fields, never)

    def _receive_fields(self, arrived: Frame, fields: Fields, never: frozenset[bytes]) -> None:
        if arrived.stream in self._reset_here:
            return
        if arrived.stream not in self._streams:
            self.peer_opens(arrived.stream)
        message = self._open(arrived).message
        end = bool(arrived.flags & END_STREAM)
        interim = (
            not message.fields and values(fields, ":status")[:1] and values(fields, ":status")[0][:1] == b"1"
        )
        _check(fields, trailers=bool(message.fields))
        if interim:
            message.interim.append(fields)
        elif message.fields:
            if not end:
                raise WireError("trailers that do not end their stream")
            message.trailers = fields
        else:
            message.fields = fields
            message.never_indexed = never
        message.whole = end
        if message.fields and not message.trailers and not interim:
            self.head_arrived(message)

    def peer_opens(self, stream: int) -> None:
        """The other side opens a stream, which only a client does."""
        raise WireError(f"the other side opened stream {stream}")

    def head_arrived(self, message: Message) -> None:
        """A head, not an interim one, has arrived."""

    def _receive_reset(self, arrived: Frame) -> None:
        if arrived.stream not in self._streams or len(arrived.payload) != 4:
            raise WireError(f"unexpected {arrived!r}")
        message = self._streams[arrived.stream].message
        if message.reset is None:
            message.reset = int.from_bytes(arrived.payload, "big")

    def _receive_settings(self, arrived: Frame) -> None:
        if arrived.flags & ACK:
            self._decoder.max_allowed_table_size = self._table
            return
        for at in range(0, len(arrived.payload), 6):
            number = int.from_bytes(arrived.payload[at : at + 2], "big")
            value = int.from_bytes(arrived.payload[at + 2 : at + 6], "big")
            if number == INITIAL_WINDOW_SIZE:
                for state in self._streams.values():
                    state.credit += value - self.settings[number]
            elif number == HEADER_TABLE_SIZE:
                self._encoder.header_table_size = min(value, 4096)
            self.settings[number] = value
        self.write(frame(SETTINGS, ACK, 0))

    def _receive_ping(self, arrived: Frame) -> None:
        if len(arrived.payload) != 8:
            raise WireError(f"unexpected {arrived!r}")
        if not arrived.flags & ACK:
            self.write(frame(PING, ACK, 0, arrived.payload))

    def _receive_goaway(self, arrived: Frame) -> None:
        last, code = int.from_bytes(arrived.payload[:4], "big"), int.from_bytes(arrived.payload[4:8], "big")
        if self.goaways and last > self.goaways[-1].last:
            raise WireError("a GOAWAY with a greater stream than the one before")
        self.goaways.append(Goaway(last, code, arrived.payload[8:]))

    def _receive_update(self, arrived: Frame) -> None:
        size = int.from_bytes(arrived.payload, "big")
        if not size:
            raise WireError("a WINDOW_UPDATE of 0")
        if not arrived.stream:
            self._credit += size
        elif arrived.stream in self._streams:
            self._streams[arrived.stream].credit += size
        else:
            raise WireError(f"unexpected {arrived!r}")

    async def ending(self) -> Goaway | None:
        """Wait until the other side closes; return its last GOAWAY. Raise the fault that it made instead."""
        async with asyncio.timeout(PATIENCE), self._condition:
            await self._condition.wait_for(lambda: self.closed)
        if self.fault is not None:
            raise self.fault
        return self.goaways[-1] if self.goaways else None

    async def close(self) -> None:
        """Close without GOAWAY."""
        self.writer.close()
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)


def _check(fields: Fields, *, trailers: bool) -> None:
    """Accept less than RFC 9113 section 8 allows: also no Host, and one `authorization` at most."""
    names = [name for name, _ in fields]
    pseudo = [name for name in names if name[:1] == b":"]
    allowed = {b":status"} if b":status" in pseudo else {b":method", b":scheme", b":authority", b":path"}
    if names[: len(pseudo)] != pseudo or (set() if trailers else allowed) != set(pseudo):
        raise WireError(f"pseudo-fields {pseudo!r}")
    if len(set(pseudo)) != len(pseudo) or names.count(b"authorization") > 1:
        raise WireError(f"a field more than once: {names!r}")
    for name, value in fields:
        if name != name.lower() or name in _CONNECTION_SPECIFIC or value != value.strip(b" \t\r\n\0"):
            raise WireError(f"field {name!r}")
        if name == b"te" and value != b"trailers":
            raise WireError(f"te {value!r}")
