"""Identifiers of a request in our log, in the client's log and in traces."""

import re

from sidecar.telemetry.trace_context import read

_REQUEST_ID = re.compile(rb"[0-9A-Za-z._:/+=@-]{1,128}")


def request_id(field: bytes) -> str:
    """Return the client's X-Request-Id, "" if it is not fit for a log."""
    return field.decode() if _REQUEST_ID.fullmatch(field) else ""


def trace_id(traceparent: bytes) -> str:
    """Return the trace id of a W3C `traceparent`, "" if that is invalid."""
    parent = read(traceparent)
    return parent.trace_id.decode() if parent is not None else ""
