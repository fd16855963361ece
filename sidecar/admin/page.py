"""The live page: one HTML file, read when somebody asks for it, that may do nothing but what is written in it."""

import asyncio
import base64
import hashlib
import json
import re
from pathlib import Path

from aiohttp import web

from sidecar.admin.responses import whole
from sidecar.telemetry.words import glossary

_PAGE = Path(__file__).with_name("page.html")
_WORDS = b"const WORDS = {};"
"""The place in the page's script where the glossary goes."""
_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)


async def page(_: web.BaseRequest) -> web.Response:
    """Answer with the page and a policy under which nothing else runs, loads or is sent anywhere."""
    html = with_words(await asyncio.to_thread(_PAGE.read_bytes))
    return whole(200, html, "text/html; charset=utf-8", fields(html))


def with_words(html: bytes) -> bytes:
    """Return the page with the names of the glossary in its script."""
    names = json.dumps(glossary()).replace("<", "\\u003c")
    return html.replace(_WORDS, b"const WORDS = %b;" % names.encode())


def fields(html: bytes) -> dict[str, str]:
    """Return what keeps a browser to this page: only the scripts and styles in it, known by their hashes."""
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
