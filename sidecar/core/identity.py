"""By what a request is known: in our log, in the client's, and in traces."""

import re
from collections.abc import Mapping

_REQUEST_ID = re.compile(rb"[0-9A-Za-z._:/+=@-]{1,128}")
_TRACE_PARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")


def request_id(fields: Mapping[bytes, bytes]) -> str:
    """Return the client's X-Request-Id, "" when it sent none or one that no log should hold."""
    value = fields.get(b"x-request-id")
    return value.decode() if value is not None and _REQUEST_ID.fullmatch(value) else ""


def trace_id(fields: Mapping[bytes, bytes]) -> str:
    """Return the trace's id of the W3C `traceparent`, "" without a valid one."""
    value = fields.get(b"traceparent")
    found = _TRACE_PARENT.fullmatch(value) if value is not None else None
    return found[1].decode() if found else ""
