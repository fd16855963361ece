"""What a client sends over HTTP/2, after the preface. The first octet chooses whether the upstream answers, and how
often the frames are repeated, with higher numbers of streams.

Oracles:

1. What reaches the upstream is valid for h2 as the server: frames, states of streams, header blocks, windows.
2. h2, reading the client's bytes, finds the same requests: fields, content, trailers. As long as it accepts the bytes,
   no request is lost: it gets a story, an answer or a reset.
3. What the client gets is in the order that RFC 9113 demands, within the credit that it gave, and hpack reads it.
4. All cuts of the same bytes have the same result, if the upstream does not answer in between.
5. Memory is bounded at any time, and nothing is left after the end.
"""

from sidecar.http2 import frames
from sidecar.http2.fields import PSEUDO
from tests.fuzz.http2_reading import Credit, Fields, Reading, Sent, frames_of, h2_peer, written
from tests.fuzz.http2_rig import Rig, WatchedRelay, run
from tests.fuzz.target import Target, few_cuts
from tests.support.http2_peer import Frame
from tests.unit.http2.blocks import indexed, literal

ANSWERS = 0x80
REPEATS = 0x0F
MOST = 64 * 1024
SETTINGS = frames.settings([])


def check(data: bytes) -> None:
    """Let the bytes arrive."""
    choice, data = (data[0], data[1:]) if data else (0, b"")
    received = repeated(data, choice & REPEATS)
    if choice & ANSWERS:
        run(check_connection(received, [received], answers=True))
        run(check_connection(received, in_frames(received), answers=True))
        return
    expected = Session(answers=False)
    run(check_connection(received, [received], expected, answers=False))
    for pieces in few_cuts(received) if len(received) < MOST // 16 else ():
        session = Session(answers=False)
        run(check_connection(received, pieces, session, answers=False))
        assert session.result == expected.result, f"cut in {len(pieces)} pieces"


def repeated(data: bytes, times: int) -> bytes:
    """Return the frames, and again with higher numbers of streams."""
    found = list(frames_of(data))
    if not found or not times:
        return data
    rest = data[sum(9 + len(frame.payload) for frame in found) :]
    span = max(frame.stream for frame in found) // 2 * 2 + 2
    again = b"".join(
        written(Frame(kind, flags, (stream + span * time) & frames.MAX_STREAM if stream else 0, payload))
        for time in range(times + 1)
        for kind, flags, stream, payload in found
    )
    return again[:MOST] + rest


def in_frames(data: bytes) -> list[bytes]:
    """Return the bytes cut between frames."""
    found = [written(frame) for frame in frames_of(data)]
    rest = data[sum(map(len, found)) :]
    return [*found, rest] if rest else found


class Session:
    """A connection, its upstream, and what both have got."""

    def __init__(self, *, answers: bool) -> None:
        self.rig = Rig()
        self.sent = Sent()
        self.server = h2_peer(client=False)
        self.answers = answers
        self.answered: set[int] = set()
        self.result: object = None

    async def take(self) -> None:
        """Hand on what the sidecar has sent."""
        rig = self.rig
        self.sent.add(rig.to_client.take())
        while sent := rig.to_upstream.take():
            self.server.read(sent)  # oracle 1
            if self.answers:
                self.answer()
            await rig.feed(rig.upstream, rig.to_upstream, self.server.peer.data_to_send())
            self.sent.add(rig.to_client.take())

    def answer(self) -> None:
        """Answer the requests that have arrived whole."""
        peer = self.server.peer
        for number, message in self.server.messages.items():
            if message.ended and message.reset is None and number not in self.answered:
                self.answered.add(number)
                head = (b":method", b"HEAD") in message.fields
                peer.send_headers(
                    number, [(b":status", b"200"), (b"x-number", b"%d" % number)], end_stream=head
                )
                if not head:
                    peer.send_data(number, b"content", end_stream=True)


async def check_connection(
    received: bytes, pieces: list[bytes], session: Session | None = None, *, answers: bool
) -> None:
    """Let the pieces arrive, and judge all oracles but the fourth."""
    session = session or Session(answers=answers)
    rig = session.rig
    await session.take()
    for piece in pieces:
        await rig.feed(rig.client, rig.to_client, piece)
        await session.take()
    Credit().read(received).check(session.sent, opened_by_peer=True)
    library = h2_peer(client=False)
    library.read(frames.PREFACE)
    library.read_frames(received)
    check_requests(library, session)
    sent = session.sent
    opened = max((each.stream for each in frames_of(received) if each.kind == frames.HEADERS), default=0)
    assert all(number % 2 and number <= opened for number in sent.reset), "an idle stream is reset"
    session.result = (
        {number: summary(relay) for number, relay in rig.seen.items()},
        sent.heads,
        sent.reset,
        sent.goaway,
        sent.others,
        {number: size for number, size in sent.content.items() if number not in sent.reset},
    )
    await rig.end()


def summary(relay: WatchedRelay) -> tuple[Fields, bytes, Fields | None, bool]:
    """Return what arrived of a request."""
    trailing = relay.trailing
    return (
        [(each.name, each.value) for each in relay.head.fields],
        relay.content,
        None if trailing is None else [(each.name, each.value) for each in trailing.fields],
        relay.ended,
    )


def check_requests(library: Reading, session: Session) -> None:
    """Oracle 2."""
    sent, seen = session.sent, session.rig.seen
    failed = bool(sent.goaway)
    for number, message in library.messages.items():
        relay = seen.get(number)
        if relay is None:
            assert failed or number in sent.heads or number in sent.reset, f"request {number} is lost"
            continue
        fields = [pair for pair in message.fields if pair[0][:1] != b":"]
        pseudo = dict(pair for pair in message.fields if pair[0][:1] == b":")
        head = relay.head
        assert [(each.name, each.value) for each in head.fields] == fields
        assert not any(each.kind & PSEUDO for each in head.fields)
        assert (pseudo[b":method"], pseudo[b":path"]) == (head.method, head.path)
        short, long = sorted((message.content, relay.content), key=len)
        assert long.startswith(short), "other content"
        if message.ended and relay.ended:
            assert message.content == relay.content
            assert bool(message.trailers) == bool(relay.trailing and relay.trailing.fields)
    if not library.refused:
        assert set(seen) <= set(library.messages), "a request that h2 does not find"


USUAL = indexed(3) + indexed(6) + literal("indexing", 1, b"h") + indexed(4)
GRPC = indexed(3) + indexed(6) + literal("indexing", 1, b"h") + literal("without", 4, b"/a.B/C")
GRPC += literal("indexing", 31, b"application/grpc") + literal("without", b"te", b"trailers")


def seed(choice: int, *sent: bytes) -> bytes:
    """Return an input."""
    return bytes((choice,)) + SETTINGS + b"".join(sent)


def content(stream: int, data: bytes, flags: int = frames.END_STREAM) -> bytes:
    """Return a DATA frame."""
    return frames.frame(frames.DATA, flags, stream, data)


REFUSED = indexed(3) + indexed(6) + literal("indexing", 1, b"h") + literal("without", 4, b"*")
TWICE = indexed(2) + indexed(6) + literal("indexing", 1, b"h") + literal("without", 4, b"/plain")
TWICE += literal("never", 23, b"a") + literal("never", 23, b"b")
TRAILER = literal("without", b"grpc-status", b"0")
TARGET = Target(
    check,
    seeds=(
        seed(0, frames.headers(1, USUAL, end_stream=True), frames.headers(1, TRAILER, end_stream=True)),
        seed(
            2,
            frames.settings([(4, 10)]),
            frames.headers(1, REFUSED, end_stream=True),
            frames.window_update(1, 9),
        ),
        seed(0, frames.headers(1, TWICE, end_stream=True)),
        seed(0, frames.headers(1, USUAL, end_stream=True)),
        seed(ANSWERS | 3, frames.headers(1, USUAL, end_stream=False), content(1, b"hello")),
        seed(
            ANSWERS,
            frames.headers(1, GRPC, end_stream=False),
            content(1, b"\0\0\0\0\1a", 0),
            frames.headers(1, TRAILER, end_stream=True),
        ),
        seed(
            0,
            frames.settings([(4, 0)]),
            frames.headers(1, indexed(2) + indexed(6) + indexed(4), end_stream=True),
        ),
        seed(
            2, frames.headers(1, USUAL, end_stream=False), frames.rst_stream(1, 8), frames.ping(b"12345678")
        ),
        seed(
            0,
            frames.headers(1, USUAL, end_stream=False, max_frame=3),
            frames.window_update(1, 5),
            content(1, b"a"),
        ),
        seed(
            0, frames.goaway(0, 0, b"bye"), frames.window_update(0, 1), frames.frame(2, 0, 3, b"\0\0\0\1\xff")
        ),
        seed(ANSWERS, frames.headers(1, b"\x20" + USUAL, end_stream=False), content(1, b"\2hello\0\0", 9)),
    ),
    words=(
        *(frames.head(0, kind, flags, 1) for kind in range(10) for flags in (0, 1, 4, 5)),
        *(
            SETTINGS,
            frames.SETTINGS_ACK,
            frames.rst_stream(1, 8),
            frames.window_update(1, 1),
            frames.window_update(0, 1),
        ),
        *(
            frames.headers(3, USUAL, end_stream=True),
            frames.headers(5, USUAL, end_stream=False),
            content(1, b"a"),
        ),
        *(
            b"\x82",
            b"\x83",
            b"\x84",
            b"\x86",
            b"\x41\x01h",
            b"\x00\x02te\x08trailers",
            b"\x0f\x0d\x015",
            b"\x00\x00\x00\x03",
        ),
    ),
)
