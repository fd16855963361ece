"""What becomes of one request, for those who tell of it."""

from dataclasses import dataclass
from typing import Literal

from sidecar.telemetry.tracing import Trace

TokenOrigin = Literal["memory", "store", "fetch", "none"]
"""Where a request's token came from."""


@dataclass(frozen=True, slots=True)
class Send:
    """One of the two times that a request went to its upstream."""

    at: float
    seconds: float
    """To the head of the answer."""
    status: int


class RequestRecord:
    """What one request's log line, metrics and spans are made of, filled as the story goes.

    A plain slotted class, not a frozen dataclass: one is made for each request on the hot path.
    """

    __slots__ = (
        "attempts",
        "bytes_in",
        "bytes_out",
        "detail",
        "error",
        "finished",
        "first",
        "fp",
        "method",
        "path",
        "request_id",
        "route",
        "sent_at",
        "started",
        "status",
        "tenant",
        "token",
        "trace",
        "trace_id",
        "upstream_seconds",
        "upstream_status",
    )

    def __init__(self, started: float, method: str, path: str, request_id: str, trace_id: str) -> None:
        self.started = started
        self.finished = started
        self.method = method
        self.path = path
        """Without its query."""
        self.request_id = request_id
        self.trace_id = trace_id
        """Of the trace it belongs to, "" for none."""
        self.trace: Trace | None = None
        """None while nothing is traced."""
        self.route = ""
        self.status = 0
        """What the client was answered; 0 when it went away first."""
        self.attempts = 0
        """How often the request was sent upstream."""
        self.token: TokenOrigin = "none"
        self.fp = ""
        self.tenant = ""
        self.sent_at = 0.0
        """When it was last sent, or began to wait for a connection; 0 for neither."""
        self.upstream_seconds = 0.0
        """From each send to its answer's head, or its failure; of both sends together."""
        self.upstream_status = 0
        """What the upstream answered last; 0 without an answer."""
        self.first: Send | None = None
        """The send that was refused, where there was a second one."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.error = ""
        """A short word of our own (`upstream_unreachable`), "" when all went well."""
        self.detail = ""
        """What the upstream did, in words, where `error` is a fault of its."""
