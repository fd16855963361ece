"""One request and its answer, as the story directs it: sent once or twice, answered once.

The story (`sidecar.proxy`) calls in this order:

1. `reach`, and where that finds no idle connection, `connect`; then `send`, which returns the answer's head;
2. to send once more: `hold_body`, then `drop`, which gives the first connection back, and 1 again;
3. one of `answer_at_once`, `stream_answer`, `tunnel` and `answer_ourselves`; `cut` when that must break off;
4. `end`, always, which gives back the connection and the memory of the body.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Coroutine
from typing import TypeVar

from sidecar.core.header_names import Hidden
from sidecar.core.problem import Problem
from sidecar.http1.message import Request, Response
from sidecar.http1.next_hop import Moved
from sidecar.http1.pool import OriginPool
from sidecar.telemetry.tracing import Trace

_Result = TypeVar("_Result")


class Exchange(ABC):
    """One request and its answer, of either version of HTTP: what the story reads and calls."""

    __slots__ = (
        "begun",
        "grpc_status",
        "hidden",
        "http2",
        "request",
        "sent_at",
        "trace",
        "upstream_seconds",
        "upstream_status",
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        self.trace: Trace | None = None
        """The trace whose span goes to the upstream; without one, the client's trace fields are relayed."""
        self.hidden: Hidden | None = None
        """Which of the request's fields are not forwarded."""
        self.http2 = False
        self.grpc_status = -1
        """Status with which a gRPC call ended; -1 without one."""
        self.begun = False
        """Whether a byte of the answer may have been sent to the client."""
        self.sent_at = 0.0
        """When the request was last sent, or began to wait for a connection; 0 for neither."""
        self.upstream_seconds = 0.0
        """Total time from each send to its answer's head, or to the end of the wait for it."""
        self.upstream_status = 0
        """Status of the last answer; 0 while there is none to the last send."""

    @property
    @abstractmethod
    def dismissed(self) -> bool:
        """Whether the client was cut off because the sidecar stops."""

    @property
    def patience(self) -> float | None:
        """Seconds from the request's head after which the client gives up, None if it names no limit."""
        return None

    def waiting(self, work: Coroutine[object, None, _Result]) -> Awaitable[_Result]:
        """Return `work`, which may wait for more than this exchange's own events, as the story must await it."""
        return work

    @abstractmethod
    def reach(self, pool: OriginPool, target: bytes, owner: str) -> bool:
        """Begin a send of this target: borrow a connection that only `owner` has used; if False, `connect` is next."""

    @abstractmethod
    async def connect(self) -> None:
        """Open a connection, or wait for one. Raises UpstreamUnreachable, UpstreamTimeout."""

    @abstractmethod
    async def send(self, authorization: bytes | None, idle_timeout: float) -> Response:
        """Send the request, with `authorization` if any, and return the answer's head.

        Raises UpstreamUnreachable, UpstreamTimeout, MessageMalformed, and RequestRefused for the client's body.
        """

    @abstractmethod
    def hold_body(self) -> bool:
        """Keep what arrives of the body for the second send; return False if it cannot be sent again."""

    @abstractmethod
    def drop(self) -> None:
        """Release the connection whose answer is not relayed."""

    @abstractmethod
    def relocated(self, response: Response, moved: Moved) -> Response:
        """Return the answer with its locations replaced by those of `moved`."""

    @abstractmethod
    def must_close(self) -> bool:
        """Return whether the client's connection cannot carry another request after an answer that begins now."""

    @abstractmethod
    def answer_at_once(self, response: Response, *, close: bool) -> bool:
        """Relay the answer if all of it has arrived; else do nothing and return False."""

    @abstractmethod
    async def stream_answer(self, response: Response, *, close: bool) -> bool:
        """Relay the answer as it arrives; return whether its end was sent. Raises what breaks it off."""

    @abstractmethod
    async def tunnel(self, response: Response) -> None:
        """Relay the upstream's 101, then both directions to their ends. Raises what breaks the tunnel."""

    @abstractmethod
    def answer_ourselves(self, problem: Problem, *, close: bool) -> None:
        """Answer without the upstream."""

    @abstractmethod
    def cut(self, problem: Problem) -> None:
        """Break off an answer that has begun, because of this problem."""

    @abstractmethod
    def end(self) -> tuple[int, int]:
        """Release everything; return how many bytes of bodies the client has sent and received."""
