"""What authenticates us to an authorization server."""

from dataclasses import dataclass

from sidecar.core.secret import Secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """A client id and its secret, and when they were read from their source (epoch seconds)."""

    client_id: str
    client_secret: Secret
    read_at: float
