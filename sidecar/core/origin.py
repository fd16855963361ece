"""The destination of requests, and its form in URLs and header fields."""

import re
from dataclasses import dataclass
from typing import Literal

from sidecar.core.tls import Tls

DEFAULT_PORTS = {b"http": 80, b"https": 443}
_AUTHORITY = re.compile(
    rb"(?:\[([0-9a-f:.]{2,45})\]|([a-z0-9_.-]{1,255}?)\.?)(?::([0-9]{0,5}))?", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: the destination of a pool of connections, and the only one that gets the route's token."""

    scheme: Literal["http", "https"]
    host: str
    """Lower case, without brackets for IPv6."""
    port: int
    tls: Tls = Tls()
    max_connections: int = 1024
    connect_timeout: float = 5.0
    http2: bool = False
    """Whether requests to it use HTTP/2; else HTTP/1.1."""

    @property
    def authority(self) -> bytes:
        """Return the Host field for requests to it (RFC 9110 section 7.2), without a default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return (host if self.port == default else f"{host}:{self.port}").encode()

    @property
    def serialized(self) -> bytes:
        """Return the Origin field of its own pages (RFC 6454 section 6.2)."""
        return b"%b://%b" % (self.scheme.encode(), self.authority)


def place(authority: bytes, scheme: bytes) -> tuple[str, int] | None:
    """Return the host and the port that a URL's authority or a Host field names; None where it is malformed.

    The host in lower case, without brackets and without the dot of an absolute name.
    """
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        return None
    return (match[1] or match[2]).decode().lower(), int(match[3] or DEFAULT_PORTS[scheme])


def same_origin(origin: bytes, authority: bytes, scheme: bytes = b"") -> bool:
    """Return whether an Origin field names the server that a Host field names as `authority`.

    `scheme` is how that server is reached; without one either will do, as TLS may end in front of it.
    """
    named, mark, rest = origin.partition(b"://")
    named = named.lower()
    if not mark or named not in DEFAULT_PORTS or (scheme and named != scheme):
        return False
    its = place(rest, named)
    return its is not None and its == place(authority, named)
