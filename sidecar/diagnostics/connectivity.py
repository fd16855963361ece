"""Whether a server is reachable: the name, the connection and TLS, one after the other."""

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import aiohappyeyeballs

from sidecar.core.finding import Finding
from sidecar.core.tls import Tls
from sidecar.system import threads
from sidecar.system.client_tls import UnusableFiles, client_context, reason

CONNECT_LIMIT = 5.0
"""Seconds for a connection, and for TLS on it."""
SOON = 14
"""Days before its end at which a certificate is reported."""
_NEXT_ADDRESS_AFTER = 0.25
_DAY = 86_400.0
_HINTS = {
    ssl.SSLZeroReturnError: "it closed the connection: it may require a client certificate",
    ssl.SSLCertVerificationError: "the certificate must be valid for this name, within its dates, "
    "and signed by a trusted authority: check the address, or give ca_file",
}


class Place:
    """A host and a port. Each step continues with the result of the one before."""

    def __init__(self, host: str, port: int, tls: Tls | None, *, http2: bool = False) -> None:
        """Take `tls`, None if the server does not use it; and whether to agree on HTTP/2 in its handshake."""
        self._http2 = http2
        self._host = host
        self._port = port
        self._tls = tls
        self._addresses: Sequence[Any] = ()
        self._socket: socket.socket | None = None

    async def resolve(self) -> Finding:
        """Resolve the name."""
        loop = asyncio.get_running_loop()
        try:
            self._addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as error:
            return Finding(
                error.strerror or "no address", "failed", "check the name, and the DNS of this pod"
            )
        return Finding(", ".join(dict.fromkeys(str(info[4][0]) for info in self._addresses)))

    async def connect(self) -> Finding:
        """Connect to one of the addresses."""
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                self._socket = await aiohappyeyeballs.start_connection(
                    self._addresses, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER
                )
        except TimeoutError:
            hint = "check address, port, network policies and firewalls"
            return Finding(f"no answer within {CONNECT_LIMIT:g} s", "failed", hint)
        except OSError as error:
            return Finding(reason(error), "failed", "check address and port, and that it is running")
        return Finding(str(self._socket.getpeername()[0]))

    async def secure(self) -> Finding:
        """Do the TLS handshake: verify the certificate, present ours."""
        assert self._tls is not None
        assert self._socket is not None
        try:
            context = await threads.beside(str(self._tls), partial(client_context, self._tls))
        except (UnusableFiles, OSError) as error:
            cause = error.cause if isinstance(error, UnusableFiles) else error
            return Finding(
                f"cannot use {', '.join(self._tls.files)}: {reason(cause)}",
                "failed",
                "check these files: they must be PEM, the key without a passphrase",
            )
        if self._http2:
            context.set_alpn_protocols(["h2"])
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                _, writer = await asyncio.open_connection(
                    sock=self._socket, ssl=context, server_hostname=self._host
                )
        except TimeoutError:
            return Finding(f"no TLS within {CONNECT_LIMIT:g} s", "failed", "check that this port serves TLS")
        except OSError as error:
            hint = next((hint for kind, hint in _HINTS.items() if isinstance(error, kind)), "")
            return Finding(reason(error), "failed", hint or "check that this port serves TLS 1.2 or later")
        found = _certificate(writer.get_extra_info("peercert"), time.time())
        agreed = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        writer.transport.abort()
        if self._http2 and agreed != "h2":
            hint = "remove `protocol: http2` from the route, or let the server offer h2 (ALPN)"
            return Finding("the server does not agree on HTTP/2", "failed", hint)
        return found

    def close(self) -> None:
        """Close what is open."""
        if self._socket is not None:
            self._socket.close()


def _certificate(certificate: dict[str, Any], now: float) -> Finding:
    names = ", ".join(value for _, value in certificate.get("subjectAltName", ())[:4])
    days = int((ssl.cert_time_to_seconds(certificate["notAfter"]) - now) // _DAY)
    hint = "renew it soon" if days < SOON else ""
    return Finding(f"certificate for {names}, {days} more days", hint=hint)
