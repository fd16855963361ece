"""An upstream's connection over TLS: decrypted into one buffer that all of them share.

Handed to us as `bytes`, each record (16 KiB at most) would be an object of its own, and a large answer several
reads joined again. As a BufferedProtocol we lend the event loop a buffer, it decrypts as many records as fit,
and we copy them out at once: between lending and copying no other connection can run, so one is enough.
"""

import asyncio

from sidecar.http1.upstream import UpstreamConnection

_PLAINTEXT = memoryview(bytearray(256 * 1024))


class TlsUpstreamConnection(UpstreamConnection, asyncio.BufferedProtocol):
    """See the head of this module."""

    __slots__ = ()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Lend the buffer."""
        return _PLAINTEXT

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was decrypted into it."""
        self.data_received(bytes(_PLAINTEXT[:nbytes]))
