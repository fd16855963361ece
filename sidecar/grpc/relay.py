"""One gRPC call: an exchange over HTTP/2 whose status comes after the answer's head, or with it.

| what arrives                                          | then                                                      |
| ----------------------------------------------------- | --------------------------------------------------------- |
| a head that ends the stream, with a status            | judged at once                                            |
| a head with status 200 of a call that carries a token | held until the next frame, HOLD at most                   |
| … then the end or trailers, without a message         | judged by their status, before anything was relayed       |
| … then a message, or HOLD has passed                  | relayed; nothing is sent again                            |
| trailers with UNAUTHENTICATED, after that             | relayed, and the token is renewed for the calls to come   |
| any other head                                        | relayed at once, or judged by its HTTP status             |

UNAUTHENTICATED is judged as status 401 is, and PERMISSION_DENIED as 403, with `www-authenticate` of the head and the
trailers as the challenge. PERMISSION_DENIED is relayed, even if the route's `refused_statuses` have 403.

After a head was relayed, an error of the sidecar's own (a time-out, a malformed answer) ends the call with a status in
trailers. The sidecar relays a reset of the upstream as a reset. It also resets an answer that announced its length.
"""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Final

from sidecar.core.errors import UpstreamUnreachable
from sidecar.core.ports import Clock
from sidecar.core.problem import Grpc, Problem
from sidecar.grpc.fields import NONE, read_timeout, status_of
from sidecar.grpc.held_heads import HeldHeads
from sidecar.http1.message import Response
from sidecar.http1.next_hop import Moved
from sidecar.http1.request_body import ReplayBudget
from sidecar.http2.by_hand import ByHand
from sidecar.http2.heads import Head, ResponseHead, Trailers
from sidecar.http2.messages import Answer, Request, answer_of
from sidecar.http2.relay import Relay

if TYPE_CHECKING:
    from sidecar.http2.server import ClientStream

_OK: Final = int(Grpc.OK)
"""A plain number, which is faster to compare."""
_JUDGED: Final = {int(Grpc.UNAUTHENTICATED): 401, int(Grpc.PERMISSION_DENIED): 403}
"""The status of HTTP as which each status of gRPC is judged."""


def relays() -> Callable[["ClientStream", Request, ReplayBudget, Clock, ByHand], Relay]:
    """Return what makes the exchange of a request, by its head."""
    heads = HeldHeads()

    def relay(
        client: "ClientStream", request: Request, budget: ReplayBudget, clock: Clock, run: ByHand
    ) -> Relay:
        if request.head.is_grpc:
            return GrpcRelay(client, request, budget, clock, run, heads=heads)
        return Relay(client, request, budget, clock, run)

    return relay


class GrpcRelay(Relay):
    """See the head of this module."""

    __slots__ = ("_carries_token", "_heads", "_held")

    def __init__(
        self,
        client: "ClientStream",
        request: Request,
        budget: ReplayBudget,
        clock: Clock,
        run: ByHand,
        *,
        heads: HeldHeads,
    ) -> None:
        super().__init__(client, request, budget, clock, run)
        self._heads = heads
        self._held = False
        self._carries_token = False

    @property
    def patience(self) -> float | None:
        return read_timeout(self.request.value(b"grpc-timeout"))

    def send(self, authorization: bytes | None, idle_timeout: float) -> Coroutine[object, None, Response]:
        self._carries_token = authorization is not None
        return super().send(authorization, idle_timeout)

    # What arrives from the upstream

    def answer_arrived(self, head: ResponseHead, *, end: bool) -> None:
        """The answer's head arrived."""
        self._moved()
        self._answer = answer_of(head, ends=end)
        self._answer_ended = end
        if end:
            self._ended(head, None)
        elif head.status == 200 and self._carries_token:
            self._held = True
            self._heads.hold(self)
            return
        self._run.wake()

    def body_from_upstream(self, content: bytes, *, end: bool) -> None:
        """Content of the answer arrived."""
        if self._held and end and not content and self._answer is not None:
            self._ended(self._answer.received, None)
        super().body_from_upstream(content, end=end)
        self.held_long_enough()

    def trailers_from_upstream(self, trailers: Trailers) -> None:
        """The answer ended with trailers."""
        self._ended(trailers, trailers)
        super().trailers_from_upstream(trailers)
        self.held_long_enough()

    def held_long_enough(self) -> None:
        """Relay the head, unless it was relayed."""
        if self._held:
            self._held = False
            self._run.wake()

    def _ended(self, head: Head, trailers: Trailers | None) -> None:
        """Read the status in a head or trailers that end the answer. Before any message, it is judged."""
        self.grpc_status = status = status_of(head)
        answer = self._answer
        if status > _OK and status in _JUDGED and answer is not None and answer.status == 200:
            answer.trailers = trailers
            if not (self._piping or self._kept):
                answer.judged = _JUDGED[status]

    def drop(self) -> None:
        super().drop()
        self._held = False
        self.grpc_status = NONE

    # Answering

    def relocated(self, response: Response, moved: Moved) -> Response:
        answer = super().relocated(response, moved)
        assert isinstance(answer, Answer)
        self._answer = answer
        return answer

    def answer_ourselves(self, problem: Problem, *, close: bool) -> None:
        self.grpc_status = int(problem.grpc)
        super().answer_ourselves(problem, close=close)

    def cut(self, problem: Problem) -> None:
        answer = self._answer
        if (
            isinstance(self._error, UpstreamUnreachable)
            or answer is None
            or answer.received.content_length >= 0
        ):
            super().cut(problem)
        else:
            self.grpc_status = int(problem.grpc)
            self._client.end_ourselves(problem)
