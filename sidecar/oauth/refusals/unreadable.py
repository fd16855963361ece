"""Why an answer's body cannot be read, in a text that quotes nothing of it."""

import json
import re
from collections.abc import Iterable

from sidecar.oauth.ports import Reply

_CODINGS = frozenset({"br", "compress", "deflate", "gzip", "x-compress", "x-gzip", "zstd"})
_GZIP = b"\x1f\x8b"
_CHARSET = re.compile(r"""charset\s*=\s*["']?([a-z0-9_.:-]{1,32})""", re.IGNORECASE)
_MARKS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_MEMBERS = frozenset(
    {
        *("access_token", "accessToken", "expires_in", "expiresIn", "token_type", "tokenType", "scope"),
        *("error", "error_description", "error_uri", "id_token", "issued_token_type", "refresh_token"),
    }
)
"""Names that may be shown. Any other may be a secret that a faulty server put in the place of a name."""


class _Twice(ValueError):
    """A member occurs twice; the text is its name."""


def why(reply: Reply) -> str:
    """Return why a body is not an object with unique members; "" if the cause is unknown."""
    return _coding(reply) or _charset(reply) or _syntax(reply.body)


def _coding(reply: Reply) -> str:
    coding = reply.content_encoding.strip().lower()
    if not coding and reply.body.startswith(_GZIP):
        coding = "gzip"
    if coding in {"", "identity"}:
        return ""
    name = coding if coding in _CODINGS else "an unknown coding"
    return f"its body is compressed (Content-Encoding: {name}), though the request allows `identity` only"


def _charset(reply: Reply) -> str:
    found = _CHARSET.search(reply.content_type)
    charset = found[1].lower() if found else ""
    charset = next((name for mark, name in _MARKS if reply.body.startswith(mark)), charset)
    try:
        text = reply.body.decode()
    except UnicodeDecodeError:
        return f"its body is not UTF-8{f' (charset {charset})' if charset else ''}"
    if "\0" in text:
        return f"its body is not UTF-8 (charset {charset or 'utf-16 or utf-32, not declared'})"
    return ""


def _syntax(body: bytes) -> str:
    text = body.decode().removeprefix("\ufeff").strip()
    if not text:
        return "its body is empty"
    if text[0] == "<":
        return "its body is HTML or XML, so the address leads to a page, a login or a proxy"
    return _fault_of_json(text) if text[0] in "[{" else ""


def _fault_of_json(text: str) -> str:
    try:
        parsed = json.loads(text, object_pairs_hook=_unique)
    except _Twice as twice:
        name = str(twice)
        return f"its JSON has the member {name if name in _MEMBERS else '(a name not shown)'} twice"
    except json.JSONDecodeError as error:
        return f"its JSON breaks off or is invalid at character {error.pos + 1} of {len(text)}"
    except (ValueError, RecursionError):
        return "its JSON is nested too deeply, or has a number that is too long"
    return "" if isinstance(parsed, dict) else "its JSON is an array, not an object"


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise _Twice(name)
        members[name] = value
    return members
