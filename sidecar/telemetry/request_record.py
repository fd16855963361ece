"""The record of one request, for log, metrics and spans."""

from dataclasses import dataclass
from typing import Literal

from sidecar.telemetry.tracing import Trace

TokenOrigin = Literal["memory", "store", "fetch", "none"]
"""Source of a request's token."""


@dataclass(frozen=True, slots=True)
class Send:
    """One of the two times that a request went to its upstream."""

    at: float
    seconds: float
    """Seconds to the head of the answer."""
    status: int


class RequestRecord:
    """The data of one request's log line, metrics and spans, filled in while the request is handled.

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
        "http2",
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
        """Path without the query."""
        self.request_id = request_id
        self.trace_id = trace_id
        """Id of its trace, "" for none."""
        self.trace: Trace | None = None
        """None if the request is not traced."""
        self.http2 = False
        """Whether it came over HTTP/2; else HTTP/1.1."""
        self.route = ""
        self.status = 0
        """Status of the client's answer; 0 if the client disconnected first."""
        self.attempts = 0
        """Number of times the request was sent upstream."""
        self.token: TokenOrigin = "none"
        self.fp = ""
        self.tenant = ""
        self.sent_at = 0.0
        """When it was last sent, or began to wait for a connection; 0 for neither."""
        self.upstream_seconds = 0.0
        """Seconds from each send to its answer's head, or its failure; both sends together."""
        self.upstream_status = 0
        """Status of the upstream's last answer; 0 without an answer."""
        self.first: Send | None = None
        """The send that was refused, if there was a second one."""
        self.bytes_in = 0
        self.bytes_out = 0
        self.error = ""
        """A short word of our own (`upstream_unreachable`), "" without an error."""
        self.detail = ""
        """What the upstream did, in words, if `error` is its fault."""
