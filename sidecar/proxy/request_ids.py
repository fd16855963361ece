"""By what a request is known: in our log, in the client's, and in traces."""

import re

from sidecar.telemetry.trace_context import read

_REQUEST_ID = re.compile(rb"[0-9A-Za-z._:/+=@-]{1,128}")


def request_id(field: bytes) -> str:
    """Return the client's X-Request-Id, "" when it is one that no log should hold."""
    return field.decode() if _REQUEST_ID.fullmatch(field) else ""


def trace_id(traceparent: bytes) -> str:
    """Return the trace's id of a W3C `traceparent`, "" when it is no valid one."""
    parent = read(traceparent)
    return parent.trace_id.decode() if parent is not None else ""
