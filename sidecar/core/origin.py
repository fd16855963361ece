"""Where requests are sent."""

from dataclasses import dataclass
from typing import Literal

from sidecar.core.tls import Tls


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
