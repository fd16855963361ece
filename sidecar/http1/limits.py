"""Limits on what peers may send and hold.

`docs/reference/limits.md` is generated from docstrings like these, in all rooms.
"""

from dataclasses import dataclass

MAX_HEAD = 64 * 1024
"""Limit: head of a request or response (bytes). Beyond: 431; 502 for a response."""
MAX_LINE = 16 * 1024
"""Limit: target of a request (bytes). Beyond: 414."""
MAX_METHOD = 64
"""Limit: method of a request (bytes). Beyond: 400."""
MAX_FIELDS = 200
"""Limit: fields in a head (number). Beyond: 431; 502 for a response."""


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds on what clients may hold. Seconds."""

    head_timeout: float = 10.0
    """Limit: time for the head of a request, from its first byte or the connection's start (seconds). Beyond:
    408."""
    keep_alive_timeout: float = 75.0
    """Limit: time between two requests of a client (seconds). Beyond: the connection is closed."""
    max_connections: int = 10_000
    """Limit: client connections; fewer if few files may be open, see below (number). Beyond: new connections are
    closed at once."""
