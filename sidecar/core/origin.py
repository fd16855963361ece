"""Which route a request belongs to, and what the upstream sees of it."""

import re
from dataclasses import dataclass
from typing import Literal

from sidecar.core.tls import Tls
from sidecar.oauth.token import TokenRequest

On401 = Literal["lenient", "strict", "ignore"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port: what a pool of connections leads to, and all a token is ever sent to."""

    scheme: Literal["http", "https"]
    host: str
    """Lower case, without brackets for IPv6."""
    port: int
    tls: Tls = Tls()
    max_connections: int = 1024
    connect_timeout: float = 5.0

    @property
    def authority(self) -> bytes:
        """The Host field for requests to it (RFC 9110 section 7.2), without a default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return (host if self.port == default else f"{host}:{self.port}").encode()


@dataclass(frozen=True, slots=True)
class Route:
    """One way through the sidecar. Time-outs in seconds, 0 for none."""

    name: str
    origin: Origin
    host: str = ""
    """Lower-case host to match, "" for any."""
    prefix: str = "/"
    """Path prefix to match, on segment bounds."""
    base_path: str = ""
    """The upstream's own path, without a trailing slash, put before the relayed one."""
    strip_prefix: bool = False
    token: TokenRequest | None = None
    """None relays the client's own credentials untouched."""
    hidden: re.Pattern[bytes] | None = None
    """Matches the client's field lines that the upstream does not get."""
    on_401: On401 = "lenient"
    refused_statuses: frozenset[int] = frozenset({401})
    idle_timeout: float = 60.0
    """Longest silence of the upstream (or of a sending client) within one exchange."""
    total_timeout: float = 0.0
