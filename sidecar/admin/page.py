"""The live page: one HTML file, read at the first request, whose policy allows only its own scripts and styles."""

import asyncio
import base64
import hashlib
import json
import re
from pathlib import Path

from sidecar.admin.connection import Connection
from sidecar.admin.messages import Answer, Head, whole
from sidecar.telemetry.words import glossary

_PAGE = Path(__file__).with_name("page.html")
_WORDS = b"const WORDS = {};"
"""Placeholder of the glossary in the page's script."""
_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


async def page(_: Connection, __: Head) -> Answer:
    """Answer with the page and a policy under which no other script runs, loads or sends anything."""
    html = with_words(await asyncio.to_thread(_PAGE.read_bytes))
    return whole(200, html, "text/html; charset=utf-8", fields(html))


def with_words(html: bytes) -> bytes:
    """Return the page with the names of the glossary in its script."""
    names = json.dumps(glossary()).replace("<", "\\u003c")
    return html.replace(_WORDS, b"const WORDS = %b;" % names.encode())


def fields(html: bytes) -> dict[str, str]:
    """Return the fields that limit a browser to this page: only its scripts and styles run, known by their hashes."""
    hashes = {bytes(kind): _hash(content) for kind, content in _INLINE.findall(html)}
    policy = (
        "default-src 'none'",
        f"script-src {hashes[b'script']}",
        f"style-src {hashes[b'style']}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return {
        "Content-Security-Policy": "; ".join(policy),
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Frame-Options": "DENY",
    }


def _hash(content: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"
