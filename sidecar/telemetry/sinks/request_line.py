"""The fields of an access log line. Not compiled: mypyc ignores the options of a `Struct`."""

import msgspec


class RequestLine(msgspec.Struct, gc=False, omit_defaults=True):
    """In the order of the JSON object."""

    ts: str
    level: str
    event: str
    request_id: str
    trace_id: str
    method: str
    route: str
    path: str
    status: int
    duration_ms: float
    upstream_ms: float
    attempts: int
    token: str
    fp: str
    tenant: str
    bytes_in: int
    bytes_out: int
    error: str
    detail: str = ""
