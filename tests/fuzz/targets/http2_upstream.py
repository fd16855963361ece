"""What an upstream sends over HTTP/2. The first octet chooses which requests it has got, and whether a 401 is healed.

Oracles:

1. What the client gets is valid for h2 as the client, which has sent the requests: frames, states, header blocks.
2. h2, reading the upstream's bytes, finds the same answers: an answer that ends for the client has ended for h2, with
   the same status, fields, content and trailers. So no incomplete answer looks complete.
3. What the upstream gets is in the order that RFC 9113 demands, within the credit that it gave, and hpack reads it.
4. All cuts of the same bytes have the same result.
5. Memory is bounded at any time, and nothing is left after the end.
"""

from h2.connection import H2Connection

from sidecar.http2 import frames
from tests.fuzz.http2_reading import Credit, Fields, Message, Sent, h2_peer
from tests.fuzz.http2_rig import Rig, run
from tests.fuzz.target import Target, few_cuts
from tests.unit.http2.blocks import indexed, literal

HEALS = 0x80
SETTINGS = frames.settings([])
USUAL: Fields = [(b":scheme", b"http"), (b":authority", b"h"), (b":path", b"/a")]
GRPC: Fields = [*USUAL, (b"content-type", b"application/grpc"), (b"te", b"trailers")]
NEVER_RELAYED = (b"te", b"proxy-authenticate", b"proxy-authorization")

Requests = list[tuple[Fields, bytes | None]]
"""Fields and content; None if the request has not ended."""
REQUESTS: Requests = [
    ([(b":method", b"GET"), *USUAL], b""),
    ([(b":method", b"POST"), *USUAL], b"content"),
    ([(b":method", b"HEAD"), *USUAL], b""),
    ([(b":method", b"POST"), *GRPC], b"\0\0\0\0\0"),
    ([(b":method", b"PUT"), *USUAL], None),
]


def check(data: bytes) -> None:
    """Let the bytes arrive."""
    choice, data = (data[0], data[1:]) if data else (0, b"")
    requests = [each for bit, each in enumerate(REQUESTS) if choice >> bit & 1] or REQUESTS[:1]
    heals = bool(choice & HEALS)
    expected = Session(requests, heals=heals)
    run(expected.script([data]))
    if not heals:
        check_answers(expected, data)
    for pieces in few_cuts(data):
        session = Session(requests, heals=heals)
        run(session.script(pieces))
        assert session.client.messages == expected.client.messages, f"cut in {len(pieces)} pieces"


def send(peer: H2Connection, requests: Requests) -> None:
    """Send the requests."""
    for number, (fields, content) in enumerate(requests):
        stream = 2 * number + 1
        peer.send_headers(stream, fields, end_stream=content == b"")
        if content != b"":
            peer.send_data(stream, content or b"some", end_stream=content is not None)


class Session:
    """Both connections, and a client that has sent the requests."""

    def __init__(self, requests: Requests, *, heals: bool) -> None:
        self.requests = requests
        self.rig = Rig(heals=heals)
        self.client = h2_peer(client=True)
        self.sent = Sent()
        """What the upstream has got."""

    async def script(self, pieces: list[bytes]) -> None:
        """Let the upstream's bytes arrive, then end both connections."""
        rig = self.rig
        greeting = rig.to_upstream.take()
        assert greeting.startswith(frames.PREFACE)
        self.sent.add(greeting.removeprefix(frames.PREFACE))
        await self.take()
        await rig.feed(rig.upstream, rig.to_upstream, SETTINGS)
        send(self.client.peer, self.requests)
        await self.take()
        for piece in pieces:
            await rig.feed(rig.upstream, rig.to_upstream, piece)
            await self.take()
        assert set(self.sent.heads).issuperset(self.sent.reset), "an idle stream is reset"
        Credit().read(b"".join(pieces)).check(self.sent, opened_by_peer=False)
        await rig.end()

    async def take(self) -> None:
        """Hand on what the sidecar has sent, and what the client answers to it."""
        rig, client = self.rig, self.client
        self.sent.add(rig.to_upstream.take())
        if received := rig.to_client.take():
            client.read(received)  # oracle 1
        while sent := client.peer.data_to_send():
            await rig.feed(rig.client, rig.to_client, sent.removeprefix(frames.PREFACE))
            self.sent.add(rig.to_upstream.take())
            client.read(rig.to_client.take())


def check_answers(session: Session, received: bytes) -> None:
    """Oracle 2."""
    library = h2_peer(client=True)
    send(library.peer, session.requests)
    library.read(SETTINGS)
    library.read_frames(received)
    for number, message in session.client.messages.items():
        if not message.ended or is_own(message):
            continue
        found = library.messages.get(number)
        if found is None or not found.ended:
            assert library.refused, f"answer {number} ends for the client only"
            continue
        assert message.content == found.content
        assert relayed(message.fields) == relayed(found.fields)
        assert all(pair in (found.trailers or ()) for pair in message.trailers or ())


def is_own(message: Message) -> bool:
    """Return whether the answer is one of the sidecar's own."""
    names = [name for name, _ in message.fields]
    return b"proxy-status" in names or names == [b":status", b"content-type", b"grpc-status", b"grpc-message"]


def relayed(fields: Fields) -> Fields:
    """Return the fields that are relayed."""
    cut = (*NEVER_RELAYED, b"content-length") if (b":status", b"204") in fields else NEVER_RELAYED
    return [pair for pair in fields if pair[0] not in cut]


def seed(choice: int, *sent: bytes) -> bytes:
    """Return an input."""
    return bytes((choice,)) + b"".join(sent)


def content(stream: int, data: bytes, flags: int = frames.END_STREAM) -> bytes:
    """Return a DATA frame."""
    return frames.frame(frames.DATA, flags, stream, data)


OK = indexed(8)
REFUSED = literal("indexing", 8, b"401") + literal("without", 61, b"Bearer")
ENDS = literal("indexing", b"grpc-status", b"0") + literal("without", b"grpc-message", b"m")
TARGET = Target(
    check,
    seeds=(
        seed(1, frames.headers(1, OK + literal("without", 28, b"5"), end_stream=False), content(1, b"he")),
        seed(1, frames.headers(1, OK + literal("without", 28, b"5"), end_stream=False), content(1, b"hello")),
        seed(1, frames.headers(1, OK, end_stream=False), content(1, b"he", 0), frames.rst_stream(1, 8)),
        seed(2, frames.headers(1, OK, end_stream=False), content(1, b"he", 0), frames.rst_stream(1, 0)),
        seed(1, frames.headers(1, OK, end_stream=False), content(1, b"hello")),
        seed(
            HEALS | 3,
            frames.headers(1, REFUSED, end_stream=True),
            frames.headers(3, REFUSED, end_stream=False),
        ),
        seed(HEALS | 1, frames.headers(1, REFUSED, end_stream=True), frames.headers(3, OK, end_stream=True)),
        seed(
            9,
            frames.headers(3, OK, end_stream=False),
            content(3, b"\0\0\0\0\0", 0),
            frames.headers(3, ENDS, end_stream=True),
            frames.headers(1, literal("without", 8, b"103"), end_stream=False),
            frames.headers(1, literal("without", 8, b"204"), end_stream=True),
        ),
        seed(31, frames.goaway(3, 0), frames.headers(3, OK + literal("without", 28, b"2"), end_stream=False)),
        seed(31, frames.rst_stream(1, 7), frames.rst_stream(3, 8), frames.headers(9, OK, end_stream=True)),
        seed(18, frames.settings([(4, 1), (3, 0)]), frames.window_update(1, 5), frames.ping(b"12345678")),
        seed(4, frames.headers(1, OK + literal("without", 28, b"5"), end_stream=True)),
        seed(2, frames.headers(1, OK, end_stream=False, max_frame=1), content(1, b"\3abc\0\0\0", 9)),
    ),
    words=(
        *(frames.head(0, kind, flags, 1) for kind in range(10) for flags in (0, 1, 4, 5)),
        *(
            SETTINGS,
            frames.SETTINGS_ACK,
            frames.rst_stream(1, 8),
            frames.window_update(1, 1),
            frames.goaway(1, 0),
        ),
        *(
            frames.headers(1, OK, end_stream=False),
            frames.headers(3, REFUSED, end_stream=True),
            content(1, b"a"),
        ),
        *(
            frames.headers(1, ENDS, end_stream=True),
            b"\x88",
            b"\x89",
            b"\x8d",
            b"\x48\x03401",
            b"\x0f\x0d\x015",
        ),
    ),
)
