"""An upstream's connection over TLS: decrypted into one buffer that all of them share.

If each record arrived as `bytes`, it (16 KiB at most) would be an object of its own, and a large answer several reads
joined again. As a BufferedProtocol we lend the event loop a buffer, it decrypts as many records as fit, and we copy
them out at once: between lending and copying no other connection can run, so one is enough.

What `arrived` reads is still encrypted here. When the event loop calls a TLS connection lost, its socket is closed
already, so the bytes are read one layer below: `_Ciphertext` stands between TCP and the event loop's TLS. That needs
TCP's transport, which the event loop exposes only if we start TLS ourselves on an open connection. `_Ciphertext` is
inserted at a connection's first upload, because the event loop reads faster straight into its own TLS.
"""

import asyncio
import ssl
from collections.abc import Callable
from socket import socket
from typing import TypeVar, cast

from sidecar.http1.arrived import read_arrived
from sidecar.http1.foreign import NotTls
from sidecar.http1.upstream import UpstreamConnection

_Made = TypeVar("_Made")
_PLAINTEXT = memoryview(bytearray(256 * 1024))
_UNHURRIED = 24 * 3600.0
"""Seconds that the event loop allows for the end of TLS; each connection sets its own time-out."""


class TlsUpstreamConnection(UpstreamConnection, asyncio.BufferedProtocol):
    """See the head of this module."""

    __slots__ = ("_below", "_watched")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._watched = False

    def stand_on(self, below: asyncio.Transport) -> None:
        """Name the transport of the TCP connection below, before the first request."""
        self._below = below

    def begin(self, head: bytes, length: int) -> None:
        super().begin(head, length)
        if not self._watched and not self._below.is_closing():
            self._watched = True
            self._below.set_protocol(cast(asyncio.BaseProtocol, _Ciphertext(self._below, self)))

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the buffer."""
        return _PLAINTEXT

    def buffer_updated(self, nbytes: int) -> None:
        """Take the decrypted bytes out of it."""
        self.data_received(bytes(_PLAINTEXT[:nbytes]))


class _Ciphertext:
    """The event loop's TLS, but for the loss of the connection: what arrived before it is decrypted first."""

    __slots__ = (
        "_connection",
        "_tls",
        "_transport",
        "buffer_updated",
        "eof_received",
        "get_buffer",
        "pause_writing",
        "resume_writing",
    )

    def __init__(self, transport: asyncio.Transport, connection: UpstreamConnection) -> None:
        self._transport = transport
        self._connection = connection
        self._tls = tls = cast(asyncio.BufferedProtocol, transport.get_protocol())
        self.get_buffer = tls.get_buffer
        self.buffer_updated = tls.buffer_updated
        self.eof_received = tls.eof_received
        self.pause_writing = tls.pause_writing
        self.resume_writing = tls.resume_writing

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, OSError) and self._connection.answering:
            self._connection.read_to_the_end()
            self.buffer_updated(0)  # decrypts what was held back while reading was paused
            read_arrived(self._transport, self._decrypt)
        self._tls.connection_lost(exc)

    def _decrypt(self, data: bytes) -> None:
        while data:
            buffer = memoryview(self.get_buffer(len(data)))
            taken = data[: len(buffer)]
            buffer[: len(taken)] = taken
            self.buffer_updated(len(taken))
            data = data[len(taken) :]


class _Unasked(asyncio.Protocol):
    """Notes what an upstream does before it is sent a request."""

    def __init__(self) -> None:
        self.data = b""
        self.error: Exception | None = None
        """Why the connection was lost."""

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = self.error or exc or ConnectionError("it closed the connection at once")


async def encrypt(
    sock: socket, context: ssl.SSLContext, host: str, make: Callable[[], _Made]
) -> tuple[_Made, asyncio.Transport]:
    """Return a connection over this TCP connection to `host`, once TLS is agreed on. Raises OSError.

    `make` makes its protocol.
    """
    loop = asyncio.get_running_loop()
    below, before = await loop.create_connection(_Unasked, sock=sock)
    after = _Unasked()
    try:
        if before.data:
            before.error = NotTls(before.data)
        _check(before)
        above = await loop.start_tls(
            below, after, context, server_hostname=host, ssl_shutdown_timeout=_UNHURRIED
        )
        _check(after)
    except BaseException:
        below.abort()
        raise
    assert above is not None
    connection = make()
    if isinstance(connection, TlsUpstreamConnection):
        connection.stand_on(below)
    protocol = cast(asyncio.Protocol, connection)
    above.set_protocol(protocol)
    protocol.connection_made(above)
    if after.data:
        protocol.data_received(after.data)
    return connection, above


def _check(upstream: _Unasked) -> None:
    if upstream.error is not None:
        raise upstream.error
