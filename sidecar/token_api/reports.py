"""A refusal as a program, or a proxy, reports it."""

import json
import re
from dataclasses import dataclass

from sidecar.core.errors import RequestRefused
from sidecar.core.header_names import values
from sidecar.core.secret import fingerprint
from sidecar.http1.message import Request

MAX_REPORT = 64 * 1024
"""Limit: body of a reported refusal (bytes). Beyond: 400."""

_MEMBERS = frozenset(("fp", "status", "www_authenticate"))
_STATUS = re.compile(rb"[45][0-9]{2}")
_FIELD = re.compile(rb"(?i:bearer) +([!-~]+)")


@dataclass(frozen=True, slots=True)
class Report:
    """An upstream's answer to a request with a token from here."""

    fp: str
    """Fingerprint of the token."""
    status: int
    challenges: tuple[bytes, ...]
    """The values of the fields WWW-Authenticate in that answer."""


def read_report(body: bytes) -> Report:
    """Return the report in a program's JSON. Raises RequestRefused (400)."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        raise _malformed("the body is not JSON") from None
    if not isinstance(members, dict) or not members.keys() <= _MEMBERS:
        raise _malformed("the body is not an object with these members")
    fp, status, said = members.get("fp"), members.get("status"), members.get("www_authenticate", [])
    if not isinstance(fp, str) or not fp:
        raise _malformed("fp is missing or not a string")
    if not isinstance(status, int) or not 400 <= status < 600:
        raise _malformed("status is missing or not from 400 to 599")
    texts = [said] if isinstance(said, str) else said
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _malformed("www_authenticate is neither a string nor a list of strings")
    return Report(fp, status, tuple(text.encode("latin-1", "replace") for text in texts))


def read_proxy_report(request: Request, key: bytes) -> Report:
    """Return the report in a proxy's fields; `key` is that of fingerprints. Raises RequestRefused (400)."""
    token = _FIELD.fullmatch(request.value(b"authorization") or b"")
    if token is None:
        raise RequestRefused(400, "Authorization must hold the refused token, as Bearer and the token")
    status = request.value(b"sidecar-refused-status") or b""
    if not _STATUS.fullmatch(status):
        raise RequestRefused(400, "Sidecar-Refused-Status must be the status of the refusal, such as 401")
    challenges = tuple(values(request.block, b"www-authenticate"))
    return Report(fingerprint(key, token[1].decode()), int(status), challenges)


def _malformed(fault: str) -> RequestRefused:
    form = '{"fp": "…", "status": 401, "www_authenticate": "…"}'
    return RequestRefused(400, f"cannot read the report: {fault}; send {form}")
