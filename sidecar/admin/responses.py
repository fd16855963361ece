"""Whole answers, used for everything but the live events."""

import json
from collections.abc import Mapping

from aiohttp import web

from sidecar.core.problem import CONTENT_TYPE, details

JSON = "application/json"
COMMON = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "sidecar",  # else aiohttp names itself, Python and both versions
}
"""Fields of every answer."""


def encode(document: Mapping[str, object]) -> bytes:
    """Encode as JSON; of an unknown type, above all a Secret, use the repr."""
    return json.dumps(document, default=repr, separators=(",", ":")).encode()


def document(status: int, body: Mapping[str, object], content_type: str = JSON) -> web.Response:
    """Answer with JSON."""
    return whole(status, json.dumps(body, default=repr).encode() + b"\n", content_type)


def problem(status: int, detail: str = "", **fields: str) -> web.Response:
    """Answer with an RFC 9457 problem, which names no causes but our own `detail`."""
    body = details(status, detail=detail) if detail else details(status)
    response = document(status, body, CONTENT_TYPE)
    response.headers.update(fields)
    return response


def whole(
    status: int, body: bytes, content_type: str, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer with these bytes and close the connection."""
    fields = {**COMMON, **(headers or {}), "Content-Type": content_type}
    response = web.Response(status=status, body=body, headers=fields)
    response.force_close()
    return response
