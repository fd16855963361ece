"""The fields of an access log line. Not compiled: mypyc ignores the options of a `Struct`."""

import msgspec


class RequestLine(msgspec.Struct, gc=False, omit_defaults=True):
    """The line of a finished request in the log."""

    ts: str
    """Time when the request ended, in UTC."""
    level: str
    """`info`; the console shows a 5xx as `warning`."""
    event: str
    """`request`."""
    request_id: str
    """Id of the request: its `X-Request-Id`, or an id of the sidecar's own. The sidecar does not add it to the
    request."""
    trace_id: str
    """Trace id in the client's `traceparent`; without one, that of the trace that the sidecar began, if it traces."""
    method: str
    """Method as sent; empty if the head was refused."""
    route: str
    """Name of the route; `token_api/` and the name of the entry for a call of the token API; empty if none matched."""
    path: str
    """Path as sent, without the query; empty if it was refused. Of a proxy's call, only the part before its client's
    path."""
    status: int
    """Status returned to the client; 0 if the client left first."""
    duration_ms: float
    """Milliseconds from the request's head to the end of its response."""
    upstream_ms: float
    """Milliseconds from sending to the head of the response, or to the failure; both sends together."""
    attempts: int
    """Number of times the request was sent to the upstream, including a send without a connection. 0: there was no
    token."""
    token: str
    """Where the token came from: `memory`, `store` (Redis), `fetch` (the request waited for it) or `none`."""
    fp: str
    """Fingerprint of the token that was sent last."""
    tenant: str
    """Tenant; empty if there is none."""
    bytes_in: int
    """Bytes of the request's body; of a WebSocket, bytes from the client."""
    bytes_out: int
    """Bytes of the response's body; of a WebSocket, bytes to the client."""
    error: str
    """Word of the [error](errors.md); `client_gone`: the client left; `drained`: cut off at the end of the drain;
    empty: no error."""
    protocol: str = ""
    """`http2` for a request over HTTP/2; else absent."""
    detail: str = ""
    """What the upstream did, if `error` is `upstream_unreachable`, `upstream_malformed` or `upstream_timeout`; else
    absent."""
