"""What both sides of an exchange share: one message read at a time into a sink, written with back-pressure.

Bytes that arrive are *held* until they are taken: first as a head, then, once there is a sink, as a body. What follows
a body (such as a pipelined request) is held again. More than HIGH_WATER held stops reading.

Back-pressure is a chain: when this connection's peer reads too slowly, the transport pauses its writer, and the
connection whose body is being written here (its *source*) stops reading, so its own peer is slowed in turn. Between the
two at most the transport's HIGH_WATER and one read lie in memory.
"""

import asyncio
import fcntl
import select
import socket
import struct
import termios
from abc import ABC, abstractmethod
from typing import Protocol, cast

from sidecar.core.errors import MessageMalformed, SidecarError
from sidecar.http1.body import Body
from sidecar.http1.deadlines import NEVER, Deadlines
from sidecar.http1.headers import CHUNKED
from sidecar.http1.next_hop import relayed_trailers

HIGH_WATER = 64 * 1024
"""Limit: buffer for each direction of a connection (bytes). Beyond: the sender is paused."""
LOW_WATER = 16 * 1024
LINGER = 2.0
"""Limit: time between two parts of a body that is dropped after an early response (seconds). Beyond: the connection
is closed."""
LINGER_IN_ALL = 30.0
"""Limit: time for a body that is dropped after an early response (seconds). Beyond: the connection is closed."""
LINGER_BYTES = 16 * 1024 * 1024
"""Limit: body that is dropped after an early response (bytes). Beyond: the connection is closed."""
_JOINED = 16 * 1024  # below this, one copy is cheaper than one more buffer for the kernel
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


def _writable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


class Sink(Protocol):
    """Where a body goes."""

    @property
    def write_paused(self) -> bool:
        """Whether it takes no more for now."""

    def write_body(self, pieces: list[bytes]) -> None:
        """Take the next content."""

    def end_body(self, trailers: list[bytes]) -> None:
        """The body is complete."""

    def break_body(self, error: SidecarError) -> None:
        """The rest of the body will never arrive."""


class Connection(ABC, asyncio.BaseProtocol):
    """One transport; see the head of this module."""

    __slots__ = (
        "_body",
        "_drained",
        "_eof",
        "_head",
        "_held",
        "_loop",
        "_out",
        "_reading",
        "_sink",
        "body_bytes",
        "closed",
        "deadline",
        "deadlines",
        "idle_timeout",
        "source",
        "transport",
        "write_paused",
    )

    transport: asyncio.Transport

    def __init__(self, deadlines: Deadlines) -> None:
        self.deadline = NEVER
        self.closed = False
        self.write_paused = False
        self.source: Connection | None = None
        self.idle_timeout = NEVER
        self.body_bytes = 0
        """Content written so far, of the current message."""
        self.deadlines = deadlines
        self._loop = asyncio.get_running_loop()
        self._held: bytes | bytearray = b""
        self._body: Body | None = None
        self._sink: Sink | None = None
        self._eof = False
        self._reading = True
        self._head = b""
        self._out = 0
        self._drained: asyncio.Future[None] | None = None

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._sink is not None:
            self.deadline = self.deadlines.next_tick + self.idle_timeout
            self._pipe(data)
            return
        if not self._held:
            self._held = data
        elif isinstance(self._held, bytearray):
            self._held += data
        else:
            self._held = bytearray(self._held) + data  # later reads are appended to it, not copied
        self.bytes_held()

    @abstractmethod
    def bytes_held(self) -> None:
        """New bytes are held, or the input has ended; take a head from them, or leave them for later."""

    def body_ended(self) -> None:
        """The message being read is complete."""

    def pipe(self, sink: Sink) -> None:
        """Let the body being read flow into `sink`, beginning with what is held."""
        self._sink = sink
        held, self._held = self._held, b""
        if held:
            self._pipe(bytes(held))
        self._read_on()

    def expect_body(self) -> None:
        """From now on the peer's silence counts."""
        if self._sink is not None:
            self.deadline = self.deadlines.next_tick + self.idle_timeout

    def _read_on(self) -> None:
        """Continue with bytes that are not held yet, if the body has not ended."""
        if self._sink is None:
            return
        self.deadline = self.deadlines.next_tick + self.idle_timeout
        if self._eof:
            self._input_ended()
        elif self._sink.write_paused:
            self.pause_reading()
        else:
            self.resume_reading()

    def _pipe(self, data: bytes) -> None:
        body, sink = self._body, self._sink
        assert body is not None
        assert sink is not None
        try:
            pieces, rest = body.feed(data)
        except MessageMalformed as error:
            self._break(error)
            return
        if pieces:
            sink.write_body(pieces)
        if rest is not None:
            self._held = rest
            self._end(body, sink)

    def _end(self, body: Body, sink: Sink) -> None:
        self._body = self._sink = None
        self.deadline = NEVER
        self.resume_reading()  # what follows is held; the end of a connection shows only when it is read
        sink.end_body(body.trailers)
        self.body_ended()

    def _break(self, error: SidecarError) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.break_body(error)
        self.broken(error)

    @abstractmethod
    def broken(self, error: SidecarError) -> None:
        """The message being read will never be complete."""

    @abstractmethod
    def deadline_passed(self) -> None:
        """The deadline has passed; set a new one or close."""

    def _input_ended(self) -> None:
        """The peer has sent its last byte while a body was piped."""
        if self._body is not None and self._sink is not None and self._body.ends_with_connection():
            self._end(self._body, self._sink)
        else:
            self._break(MessageMalformed("the connection ended in the middle of a body"))

    def eof_received(self) -> bool:
        self._eof = True
        if self._sink is not None:
            self._input_ended()
        else:
            self.bytes_held()
        return not self.transport.get_extra_info("sslcontext")  # a TLS connection cannot stay half open

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(HIGH_WATER, LOW_WATER)
        self.deadlines.watch(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self.deadlines.forget(self)
        if self._sink is not None:
            self._break(MessageMalformed("the connection was lost in the middle of a body"))
        if self.source is not None:
            self.source.resume_reading()  # no reader is slow any longer: the sink takes everything
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`; what has been read is kept."""
        if self._reading and not self.closed:
            self._reading = False
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if not self._reading and not self.closed and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()

    def read_to_the_end(self) -> None:
        """Read without a pause from now on, however slow the sink: unread bytes are about to be lost."""
        self.resume_reading()
        self._reading = False  # so that nothing can pause it

    # Writing

    def begin(self, head: bytes, length: int) -> None:
        """Write a head for a body of this `length`; it leaves with the first content, or by flush()."""
        self._head = head
        self._out = length
        self.body_bytes = 0

    def flush(self) -> None:
        """Write the head now if no content has taken it along."""
        if self._head:
            head, self._head = self._head, b""
            self.write(head)

    def take_back(self) -> bool:
        """Drop a head that has not been written; return whether there was one."""
        dropped, self._head = bool(self._head), b""
        return dropped

    def write_body(self, pieces: list[bytes]) -> None:
        size = sum(map(len, pieces))
        if not size:
            return
        self.body_bytes += size
        if self._out == CHUNKED:
            pieces = [b"%x\r\n" % size, *pieces, b"\r\n"]
        if self._head:
            pieces = [self._head, *pieces]
            self._head = b""
        if len(pieces) == 1:
            self.write(pieces[0])
        elif size <= _JOINED:
            self.write(b"".join(pieces))
        elif not self.closed and not self.transport.is_closing():
            self.transport.writelines(pieces)

    def end_body(self, trailers: list[bytes]) -> None:
        head, self._head = self._head, b""
        if self._out == CHUNKED:
            lines = [line + b"\r\n" for line in relayed_trailers(trailers)]
            self.write(b"".join([head, b"0\r\n", *lines, b"\r\n"]))
        elif head:
            self.write(head)

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport, unless the connection is closed."""
        if not self.closed and not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self) -> None:
        self.write_paused = True
        if self.source is not None:
            self.source.pause_reading()

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.source is not None:
            self.source.resume_reading()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def unread(self) -> int:
        """Return the number of bytes that wait for a slow reader, 0 while the kernel takes all we have.

        Those the kernel holds are counted too: there may be megabytes of them, and a slow but steady reader shows there
        only. The kernel's state is checked because the TLS layer counts as sent what it has handed to TCP.
        """
        descriptor = self._descriptor()
        if descriptor < 0 or (not self.transport.get_write_buffer_size() and _writable(descriptor)):
            return 0
        return self.unconfirmed()

    def unconfirmed(self) -> int:
        """Return the number of bytes written that have not reached the peer's kernel, as far as ours knows."""
        descriptor = self._descriptor()
        if descriptor < 0:
            return 0
        (in_kernel,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
        return int(self.transport.get_write_buffer_size() + in_kernel)

    def _descriptor(self) -> int:
        sock = None if self.closed else self.transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    async def drained(self) -> None:
        """Wait until the peer has read most of what was written, or is disconnected."""
        if self.write_paused and not self.closed:
            self._drained = self._loop.create_future()
            await self._drained

    def end_output(self) -> None:
        """Send the end of our output; over TLS that is the end of the connection."""
        if self.closed or self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.close()

    def close(self) -> None:
        """Close once everything written has left."""
        if not self.closed:
            self.transport.close()

    def abort(self) -> None:
        """Close at once with a reset, so that the peer cannot take what it got for a whole message."""
        if self.closed:
            return
        sock = self.transport.get_extra_info("socket")
        if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()
