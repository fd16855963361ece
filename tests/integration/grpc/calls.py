"""Raw calls of gRPC over HTTP/2."""

from tests.support.http2_client import Http2Client
from tests.support.http2_peer import Message
from tests.support.sidecar import Running

FIELDS = [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
HEAD = [(b"content-type", b"application/grpc")]
MESSAGE = b"\x00\x00\x00\x00\x05hello"
REPLY = b"\x00\x00\x00\x00\x02ok"
OK = [(b"grpc-status", b"0")]


async def connect(running: Running) -> Http2Client:
    return await Http2Client.connect(running.address)


async def call(client: Http2Client, *fields: tuple[bytes, bytes]) -> Message:
    return await client.ask(b"POST", b"/test.Calls/Echo", [*FIELDS, *fields], MESSAGE)


def status(answer: Message) -> int:
    """The status of a call, in its trailers or in its head."""
    fields = dict(answer.fields) | dict(answer.trailers)
    return int(fields[b"grpc-status"])
