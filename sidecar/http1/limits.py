"""What clients of the data port may hold."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds on what clients may hold. Seconds."""

    head_timeout: float = 10.0
    """From a request's first byte (or the connection's start) to the end of its head."""
    keep_alive_timeout: float = 75.0
    """Between two requests."""
    max_connections: int = 10_000
