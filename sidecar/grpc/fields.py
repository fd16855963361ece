"""The fields of gRPC that the sidecar reads ("gRPC over HTTP2" of the gRPC project).

Rule 1. `grpc-status` is a decimal number. One that is no number, or not known, is UNKNOWN, as for clients.
Rule 2. `grpc-timeout` is up to eight digits and a unit. Anything else is no limit: the upstream judges it.
"""

import re
from typing import Final

from sidecar.core.problem import Grpc
from sidecar.http2.fields import GRPC_STATUS
from sidecar.http2.heads import Head

NONE: Final = -1
_STATUSES: Final = {b"%d" % status: int(status) for status in Grpc}
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def status_of(head: Head) -> int:
    """Return the gRPC status in a head or in trailers, NONE if there is none."""
    if not head.kinds & GRPC_STATUS:
        return NONE
    for field in head.fields:
        if field.kind == GRPC_STATUS:
            return read_status(field.value)
    return NONE


def read_status(value: bytes) -> int:
    """Return the status of a `grpc-status` (rule 1)."""
    known = _STATUSES.get(value)
    if known is None and value.isdigit():
        known = _STATUSES.get(value.lstrip(b"0") or b"0")
    return int(Grpc.UNKNOWN) if known is None else known


def read_timeout(value: bytes | None) -> float | None:
    """Return the seconds of a `grpc-timeout`, None for no limit (rule 2)."""
    found = _TIMEOUT.fullmatch(value) if value is not None else None
    return int(found[1]) * _UNITS[found[2]] if found is not None else None
