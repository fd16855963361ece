"""Targets of requests.

Oracles:

1. Every byte of a target that is accepted is in its path, its query or its authority. yarl finds the same three.
2. However a next hop reads the path, it stays below the base path that it is appended to. Next hops may decode it once,
   drop parameters, read backslashes as slashes, and merge slashes. This holds for yarl's own normalization too.
3. What is relayed, judged again, is the same.
"""

import re
from contextlib import suppress
from posixpath import normpath
from urllib.parse import unquote_to_bytes

from yarl import URL

from sidecar.core.errors import RequestRefused
from sidecar.proxy.target import Target as RequestTarget
from sidecar.proxy.target import split
from tests.fuzz.target import Target

BASE = b"/base/path"


def check(data: bytes) -> None:
    """Judge the bytes, and the same as a path and in the absolute-form."""
    for target in (data, b"/" + data, b"http://h/" + data):
        with suppress(RequestRefused):
            found = split(target)
            check_parts(target, found)
            check_readings(found.path)
            assert split(found.path + found.query) == (found.path, found.query, b"")


def check_parts(target: bytes, found: RequestTarget) -> None:
    """Oracle 1."""
    path, query, authority = found
    if authority:
        assert target[:7].lower() == b"http://"
        rest = target[7:]
        assert rest in (authority + path + query, authority + query)
        url = by_yarl(target)
        if url is not None:
            assert url.raw_authority.encode() == authority
            assert url.raw_user is None
    else:
        assert target == path + query
        url = by_yarl(b"http://h" + target)
        assert url is not None
    if url is not None:
        assert url.raw_path.encode() == path
        assert url.raw_query_string.encode() == query[1:]


def by_yarl(url: bytes) -> URL | None:
    """Return what yarl reads, None if it refuses the URL."""
    try:
        found = URL(url.decode(), encoded=True)
        found.raw_user  # noqa: B018  reads the authority
    except ValueError:
        return None
    return found


def check_readings(path: bytes) -> None:
    """Oracle 2."""
    assert path.startswith(b"/")
    decoded = unquote_to_bytes(path)
    for reading in (
        path,
        decoded,
        re.sub(rb"[;\0][^/\\]*", b"", decoded),
        re.sub(rb"[\0-\x20][^/\\]*", b"", decoded),
        unquote_to_bytes(re.sub(rb";[^/\\]*", b"", path)),
    ):
        slashes = BASE + b"/" + reading.replace(b"\\", b"/")
        assert (normpath(slashes) + b"/").startswith(BASE + b"/")
        assert not {b".", b".."}.intersection(slashes.split(b"/"))
    normalized = URL("http://h" + (BASE + path).decode(), encoded=False).raw_path
    assert normalized.startswith((BASE + b"/").decode())


TARGET = Target(
    check,
    seeds=(
        b"/a/%2E%2E/b",
        b"/a%5C%2E./b",
        b"/%C0%AE./b",
        b"/a/b?x=1&y=/../",
        b"http://h.example:81/a;p=1/b?c",
        b"HTTP://[::1]:9180",
        b"/%2e%2e%2fa/..%3bx/%c0%ae%c0%ae/",
        b"/a//b/%u002e%u002e%5c..%09/.../..a",
        b"*",
        b"h:443",
        b"http://u:p@h/",
        b"/a#b",
    ),
    words=(
        *(
            b"/",
            b"\\",
            b"%2f",
            b"%5C",
            b".",
            b"..",
            b"%2e",
            b"%2E",
            b";",
            b"?",
            b"#",
            b"%",
            b"%25",
            b"%00",
            b"%3b",
        ),
        *(
            b"%c0%ae",
            b"%c0%af",
            b"%u002e",
            b"%u2215",
            b"%e0%80%ae",
            b"http://",
            b"@",
            b":",
            b"[::1]",
            b"%20",
            b"%09",
        ),
    ),
)
