"""Requests to the admin server, and whole answers: everything but the live events."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from sidecar.core.errors import RequestRefused
from sidecar.core.problem import CONTENT_TYPE, details

JSON = "application/json"
COMMON = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "sidecar",
    "Connection": "close",
}
"""Fields of every answer."""


class Head(NamedTuple):
    """A request's head."""

    method: str
    path: str
    """Without the query, decoded."""
    query: str
    fields: tuple[tuple[str, str], ...]
    """Names, in lower case, and values."""
    waits: bool
    """Whether the client waits for a 100 before it sends the body (RFC 9110 section 10.1.1)."""

    def values(self, name: str) -> list[str]:
        """Return the values of a field, its name in lower case."""
        return [value for field, value in self.fields if field == name]

    def value(self, name: str) -> str | None:
        """Return the first value of a field, or None."""
        return next(iter(self.values(name)), None)

    def parameter(self, name: str) -> str:
        """Return the first value of a parameter of the query, or ""."""
        return next((value for key, value in parse_qsl(self.query) if key == name), "")

    @property
    def length(self) -> int | None:
        """Bytes of the body; None if the head does not state it."""
        value = self.value("content-length")
        return int(value) if value is not None and value.isdecimal() else None

    @property
    def has_body(self) -> bool:
        """Whether a body may follow."""
        return bool(self.length) or self.value("transfer-encoding") is not None


def read_head(head: bytes) -> Head:
    """Read a head that llhttp has accepted, its empty line included. Raises RequestRefused."""
    line, *lines = head[:-4].decode("utf-8", "surrogateescape").split("\r\n")
    method, target, version = line.split(" ")
    pairs = (field.partition(":") for field in lines)
    path, query = _split(target)
    fields = tuple((name.lower(), value.strip(" \t")) for name, _, value in pairs)
    waits = version != "HTTP/1.0" and ("expect", "100-continue") in ((name, v.lower()) for name, v in fields)
    return Head(method, unquote(path), query, fields, waits)


def _split(target: str) -> tuple[str, str]:
    """Return path and query."""
    if target.startswith("/"):
        path, _, query = target.partition("?")
        return path, query
    try:
        url = urlsplit(target)
    except ValueError:
        raise RequestRefused(400, "cannot read the target as a URL; send a path") from None
    return url.path, url.query


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    def encoded(self, method: str) -> bytes:
        """Return its bytes, without the body if the method is HEAD."""
        fields = {**self.fields, "Content-Length": str(len(self.body))}
        return head_of(self.status, fields) + (b"" if method == "HEAD" else self.body)


def head_of(status: int, fields: Mapping[str, str]) -> bytes:
    """Return the head of an answer, empty line included."""
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def encode(document: Mapping[str, object]) -> bytes:
    """Encode as JSON; of an unknown type, above all a Secret, use the repr."""
    return json.dumps(document, default=repr, separators=(",", ":")).encode()


def document(status: int, body: Mapping[str, object], content_type: str = JSON) -> Answer:
    """Answer with JSON."""
    return whole(status, json.dumps(body, default=repr).encode() + b"\n", content_type)


def problem(status: int, detail: str = "", **fields: str) -> Answer:
    """Answer with an RFC 9457 problem, which names no causes but our own `detail`."""
    body = details(status, detail=detail) if detail else details(status)
    answer = document(status, body, CONTENT_TYPE)
    return answer._replace(fields={**answer.fields, **fields})


def whole(status: int, body: bytes, content_type: str, fields: Mapping[str, str] | None = None) -> Answer:
    """Answer with these bytes."""
    return Answer(status, {**COMMON, **(fields or {}), "Content-Type": content_type}, body)
