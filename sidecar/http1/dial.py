"""Opening a connection to an origin: all addresses of its name, then TLS.

TLS verifies the certificate chain and the host's name, always. Its files (an own authority, a client certificate) are
checked before each connection, so that the next connection uses a rotated certificate without a restart.

A peer that has vanished acknowledges nothing. An HTTP/1.1 connection has one exchange, whose time-outs end it. Over
HTTP/2, other streams may keep a connection busy. So the kernel ends it (TCP_USER_TIMEOUT) after the longest idle
time-out of its routes. The kernel's own limit is about 15 minutes.
"""

import asyncio
import os
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar, cast

import aiohappyeyeballs

from sidecar.core.errors import MessageMalformed, UpstreamTimeout, UpstreamUnreachable
from sidecar.core.origin import Origin
from sidecar.core.tls import Tls
from sidecar.http1.foreign import NotTls
from sidecar.http1.tls import encrypt
from sidecar.system import threads
from sidecar.system.certificates import PeerCertificate
from sidecar.system.client_tls import UnusableFiles, client_context, reason

_Made = TypeVar("_Made")
_NEXT_ADDRESS_AFTER = 0.25  # RFC 8305 section 8

_LONGEST = 2**31 - 1  # milliseconds

_OTHER_PROTOCOL = "does not answer in TLS; if it serves plain HTTP, `upstream` must begin with http://"
_FOREIGN = {
    "wrong version number": _OTHER_PROTOCOL,
    "http request": _OTHER_PROTOCOL,
    "https proxy request": _OTHER_PROTOCOL,
}
"""OpenSSL's texts (not always as a `reason`) where the other side uses another protocol, and what they mean."""

Signature = tuple[tuple[str, int, int], ...]


def _signature(tls: Tls) -> Signature:
    files = []
    for path in tls.files:
        with _naming(path):
            stat = os.stat(path)  # noqa: PTH116  follows the links of mounted secrets, as open() does
        files.append((path, stat.st_mtime_ns, stat.st_ino))
    return tuple(files)


Alpn = Literal["http/1.1", "h2"]
_VERSIONS: dict[Alpn, str] = {"http/1.1": "HTTP/1.1", "h2": "HTTP/2"}
_OTHERS: dict[Alpn, str] = {
    "http/1.1": "only other protocols, such as HTTP/2: set `protocol: http2` for the route",
    "h2": "only other protocols: remove `protocol: http2` from the route",
}


def _refuses(alpn: Alpn) -> str:
    return f"does not accept {_VERSIONS[alpn]} over TLS, {_OTHERS[alpn]}"


def _context(tls: Tls, alpn: Alpn) -> ssl.SSLContext:
    try:
        context = client_context(tls)
    except UnusableFiles as unusable:
        raise _unusable(unusable.paths, unusable.cause) from None
    context.set_alpn_protocols([alpn])
    return context


@contextmanager
def _naming(path: str) -> Iterator[None]:
    """Add the file that cannot be used to the error."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from None


def _unusable(paths: str, error: Exception) -> UpstreamUnreachable:
    return UpstreamUnreachable(f"cannot use {paths} for TLS: {reason(error)}")


async def open_socket(origin: Origin) -> socket.socket:
    """Return a socket that is connected to one of the addresses of the origin's name. Raises OSError."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    return await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER)


def _limit_silence(sock: socket.socket, seconds: float) -> None:
    """Let the kernel end the connection if the peer acknowledges nothing for that long; Linux only."""
    if sys.platform == "linux":
        milliseconds = min(round(seconds * 1000), _LONGEST)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


class Dialler:
    """Open connections to one origin."""

    def __init__(self, origin: Origin, alpn: Alpn = "http/1.1") -> None:
        """Take `alpn`: the protocol to agree on over TLS."""
        self._origin = origin
        self._alpn = alpn
        self._context: ssl.SSLContext | None = None
        self._signature: Signature | None = None
        self.acknowledged_within = 0.0
        """Seconds within which the peer of a new HTTP/2 connection must acknowledge data; 0: the kernel's own limit."""
        self.certificate: PeerCertificate | None = None
        """The server's, as of the last handshake; None before."""

    async def connect(self, protocol: Callable[[], _Made]) -> _Made:
        """Return an open connection. Raises UpstreamUnreachable, UpstreamTimeout, MessageMalformed."""
        origin = self._origin
        where = f"{origin.host}:{origin.port}"
        try:
            async with asyncio.timeout(origin.connect_timeout or None):
                return await self._connect(protocol)
        except TimeoutError:
            raise UpstreamTimeout(
                f"{where} did not accept a connection within {origin.connect_timeout:g} s"
            ) from None
        except NotTls as error:
            raise MessageMalformed(f"{where} sent bytes before the TLS handshake: {error}") from None
        except ssl.SSLError as error:
            for text, meaning in (*_FOREIGN.items(), ("no application protocol", _refuses(self._alpn))):
                if text in str(error):
                    raise MessageMalformed(f"{where} {meaning}") from None
            raise UpstreamUnreachable(f"TLS with {where} failed: {reason(error)}") from None
        except OSError as error:
            raise UpstreamUnreachable(f"cannot connect to {where}: {reason(error)}") from None

    async def _connect(self, protocol: Callable[[], _Made]) -> _Made:
        origin = self._origin
        sock = await open_socket(origin)
        try:
            if self._alpn == "h2" and self.acknowledged_within:
                _limit_silence(sock, self.acknowledged_within)
            if origin.scheme == "https":
                connection, transport = await encrypt(sock, await self._tls(), origin.host, protocol)
                self.certificate = transport.get_extra_info("peercert")
                self._check_version(transport)
                return connection
            connection = protocol()
            made = cast(asyncio.BaseProtocol, connection)
            await asyncio.get_running_loop().create_connection(lambda: made, sock=sock)
        except BaseException:
            sock.close()
            raise
        return connection

    def _check_version(self, transport: asyncio.Transport) -> None:
        """Raise MessageMalformed if HTTP/2 was not agreed on, as with a server without ALPN (RFC 9113 section 3.2)."""
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        if self._alpn == "h2" and chosen != "h2":
            transport.abort()
            where = f"{self._origin.host}:{self._origin.port}"
            raise MessageMalformed(f"{where} {_refuses(self._alpn)}")

    async def _tls(self) -> ssl.SSLContext:
        tls = self._origin.tls
        if self._context is not None and not tls.files:
            return self._context
        with _naming(", ".join(tls.files)):
            context, self._signature = await threads.beside(str(tls), self._read)
        self._context = context
        return context

    def _read(self) -> tuple[ssl.SSLContext, Signature]:
        """Return the context and the state of its files; waits for the disk."""
        signature = _signature(self._origin.tls)
        if self._context is None or signature != self._signature:
            return _context(self._origin.tls, self._alpn), signature
        return self._context, signature
