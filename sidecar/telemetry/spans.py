"""The spans of a request: pure functions of its record."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from sidecar.core.problem import Grpc
from sidecar.telemetry.events import Event, SecretRead, SecretUnread, TokenFetched, TokenFetchFailed
from sidecar.telemetry.instruments import METHODS, OTHER_METHOD
from sidecar.telemetry.request_counters import GRPC_FAULTS
from sidecar.telemetry.request_record import RequestRecord, Send
from sidecar.telemetry.tracing import CAUSE, Cause, Hop, Trace, Tracer, new_id

_SERVER_FAULTS = frozenset(GRPC_FAULTS) - {Grpc.UNAUTHENTICATED}
"""Statuses that are errors of a server; to a client, all but OK are."""
LONGEST_TEXT = 1024
"""Characters of a path that are kept."""

Attributes = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Span:
    """One span that has ended, between two moments."""

    name: str
    kind: Literal["server", "client", "internal"]
    trace_id: int
    span_id: int
    parent_id: int
    """0 for none."""
    began: float
    ended: float
    attributes: Attributes
    failed: bool = False
    remote: bool = False
    """Whether the parent is another program's."""
    state: bytes = b""


def of_request(record: RequestRecord, trace: Trace) -> Iterator[Span]:
    """Yield the request's own span, then those of its sends and waits."""
    yield _of_whole(record, trace)
    for resend, (hop, send) in enumerate(zip(trace.hops, _sends(record), strict=False)):
        if send.at:  # else it failed before anything was sent
            yield _of_send(record, trace, hop, send, resend)
    for wait in trace.waits:
        yield Span(
            name="wait for token",
            kind="internal",
            trace_id=int(trace.trace_id, 16),
            span_id=wait.span_id,
            parent_id=trace.span_id,
            began=wait.began,
            ended=wait.ended,
            attributes={},
            state=trace.state,
        )


def _of_whole(record: RequestRecord, trace: Trace) -> Span:
    error = record.error or (str(record.status) if record.status >= 500 else "")
    if record.grpc_status in _SERVER_FAULTS:
        error = record.error or Grpc(record.grpc_status).name
    name, method = _method(record)
    call = _of_call(record, record.grpc_status)
    attributes: Attributes = {
        **method,
        **call,
        "url.scheme": "http",
        "url.path": record.path[:LONGEST_TEXT],
        "network.protocol.version": "2" if record.http2 else "1.1",
        "http.route": record.route,
        "http.response.status_code": record.status,
        "error.type": error,
        "sidecar.request.id": record.request_id,
        "sidecar.token.source": record.token,
        "sidecar.token.fingerprint": record.fp,
        "sidecar.tenant": record.tenant,
    }
    return Span(
        name=str(call.get("rpc.method")) if call else f"{name} {record.route}" if record.route else name,
        kind="server",
        trace_id=int(trace.trace_id, 16),
        span_id=trace.span_id,
        parent_id=int(trace.parent.span_id, 16) if trace.parent else 0,
        began=record.started,
        ended=record.finished,
        attributes=_present(attributes),
        failed=bool(error),
        remote=True,
        state=trace.state,
    )


def _of_call(record: RequestRecord, status: int) -> Attributes:
    """Return the attributes of a gRPC call with this status; none without one."""
    if status < 0:
        return {}
    return {
        "rpc.system.name": "grpc",
        "rpc.method": record.path[1 : LONGEST_TEXT + 1],
        "rpc.response.status_code": Grpc(status).name,
    }


def _method(record: RequestRecord) -> tuple[str, Attributes]:
    """Return the span's name by its method, and the method's attributes."""
    if record.method in METHODS:
        return record.method, {"http.request.method": record.method}
    original = record.method[:LONGEST_TEXT]
    return "HTTP", {"http.request.method": OTHER_METHOD, "http.request.method_original": original}


def _sends(record: RequestRecord) -> Iterator[Send]:
    """Yield the span of each send; the last one may have failed."""
    seconds = record.upstream_seconds
    if record.first is not None:
        yield record.first
        seconds -= record.first.seconds
    status = record.grpc_status if record.upstream_status else -1
    yield Send(record.sent_at, seconds, record.upstream_status, status)


def _of_send(record: RequestRecord, trace: Trace, hop: Hop, send: Send, resend: int) -> Span:
    error = str(send.status) if send.status >= 400 else "" if send.status else record.error
    if send.grpc_status > 0:
        error = error or Grpc(send.grpc_status).name
    call = _of_call(record, send.grpc_status)
    origin = hop.origin
    path = hop.target.partition(b"?")[0].decode("ascii", "replace")
    name, method = _method(record)
    attributes: Attributes = {
        **method,
        **call,
        "server.address": origin.host,
        "server.port": origin.port,
        "url.full": f"{origin.scheme}://{origin.authority.decode()}{path}"[:LONGEST_TEXT],
        "network.protocol.version": "2" if record.http2 else "1.1",
        "http.request.resend_count": resend,
        "http.response.status_code": send.status,
        "error.type": error,
    }
    return Span(
        name=str(call.get("rpc.method")) if call else name,
        kind="client",
        trace_id=int(trace.trace_id, 16),
        span_id=hop.span_id,
        parent_id=trace.span_id,
        began=send.at,
        ended=send.at + send.seconds,
        attributes=_present(attributes),
        failed=bool(error),
        state=trace.state,
    )


def of_event(event: Event, now: float, tracer: Tracer) -> Span | None:
    """Return the span of a request to an authorization server or a secret store, None for any other event.

    It belongs to the request that waits for the answer. Without such a request it is a trace of its own.
    """
    if not isinstance(event, TokenFetched | TokenFetchFailed | SecretRead | SecretUnread):
        return None
    cause = CAUSE.get()
    if cause is None:
        number = new_id(tracer.bits, 128)
        cause = Cause(b"%032x" % number, 0, tracer.sampler.samples(number, None))
    if not cause.sampled:
        return None
    return Span(
        name="fetch token" if isinstance(event, TokenFetched | TokenFetchFailed) else "read secret",
        kind="client",
        trace_id=int(cause.trace_id, 16),
        span_id=new_id(tracer.bits, 64),
        parent_id=cause.span_id,
        began=now - event.duration_ms / 1000,
        ended=now,
        attributes=_of_event(event),
        failed=isinstance(event, TokenFetchFailed | SecretUnread),
    )


def _of_event(event: TokenFetched | TokenFetchFailed | SecretRead | SecretUnread) -> Attributes:
    known: Attributes = {"sidecar.service": event.service, "sidecar.tenant": event.tenant}
    special: Attributes
    match event:
        case TokenFetched(token=token, fp=fingerprint, reason=reason):
            special = {
                "sidecar.token": token,
                "sidecar.token.fingerprint": fingerprint,
                "sidecar.reason": reason,
            }
        case TokenFetchFailed(token=token, outcome=outcome):
            special = {"sidecar.token": token, "error.type": outcome}
        case SecretRead(secret=secret):
            special = {"sidecar.secret": secret}
        case SecretUnread(secret=secret, reason=reason):
            special = {"sidecar.secret": secret, "error.type": reason}
    return _present({**known, **special})


def _present(attributes: Attributes) -> Attributes:
    """Leave out unknown values."""
    return {name: value for name, value in attributes.items() if value}
