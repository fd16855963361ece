"""An authorization server's own text about a failure, made fit for logs: bounded, one line, without secrets.

Servers put it under many names, and quote what they were sent. Removed is whatever has GRAM characters in a row in
common with a secret that was sent, also escaped for a URL, HTML or JSON, or with blanks between; whatever looks like a
JWT; and long words that mix letters and digits as keys and opaque tokens do. UUIDs stay, because support needs the ids
of requests.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

MAX_TEXT = 200
"""Characters."""
GRAM = 8
"""Characters in a row that identify a secret."""
REMOVED = "[removed]"

_MAX_READ = 2000
"""Characters of a text that are read at all; a secret that is cut there is still recognised by its beginning."""
_CODES = ("error", "errorcode")
_REASONS = (
    "errordescription", "errormessage", "errorsummary", "errordetail", "message", "msg", "detail", "description",
    "faultstring", "reason", "cause", "title",
)  # fmt: skip
"""Names of members, in lower case and without separators; the first that has a text counts."""
_NESTED = ("error", "errors", "fault")
_UUID = re.compile(r"(?i)(?<![0-9a-z])[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-z])")
_JWT = re.compile(r"eyJ[A-Za-z0-9_=.-]{8,}")
_LONG = re.compile(r"[A-Za-z0-9_~+=%-]{20,}")
_WORD = re.compile(r"[A-Za-z]{1,60}\d{0,3}|\d+")
_MIXED = 16
"""Characters of a long word that are neither words nor numbers and make it a key."""

_Members = Mapping[str, object]


def description(members: _Members, code: str, sent: tuple[str, ...]) -> str:
    """Return an error answer's text besides its well-formed `code`, "" if it has none.

    `sent` are the secrets of the request: a server may quote them.
    """
    texts = dict.fromkeys(clean(text, sent) for text in _texts(members, code))
    return bounded(": ".join(text for text in texts if text not in {"", code}))


def clean(text: str, secrets: tuple[str, ...] = ()) -> str:
    """Return the text on one line, without control characters and without what is, or looks like, a secret."""
    line = _line(text[:_MAX_READ])
    hidden = bytearray(len(line))
    for start, end in _spans(line, secrets):
        hidden[start:end] = b"\x01" * (end - start)
    pieces = re.finditer(rb"\x01+|\x00+", hidden)
    return "".join(REMOVED if piece[0][0] else line[piece.start() : piece.end()] for piece in pieces)


def bounded(text: str) -> str:
    """Return at most MAX_TEXT characters of the text."""
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _texts(members: _Members, code: str) -> Iterator[str]:
    flat = _flat(members)
    for name in _CODES:
        value = _first(flat.get(name))
        if isinstance(value, str):
            yield value
    for name in _NESTED:
        inner = _first(flat.get(name))
        if isinstance(inner, dict):
            yield from _reason(_flat(inner))
        elif isinstance(inner, str):
            yield inner
    yield from _reason(flat)
    numbers = flat.get("errorcodes")
    if (
        isinstance(numbers, list)
        and numbers
        and not any(isinstance(_first(flat.get(name)), str) for name in _REASONS)
    ):
        yield ", ".join(str(number) for number in numbers[:4] if isinstance(number, int))
    detail = flat.get("suberror")
    if isinstance(detail, str):
        yield detail


def _reason(flat: _Members) -> Iterator[str]:
    texts = (_first(flat.get(name)) for name in _REASONS)
    text = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    if text is not None:
        yield text


def _first(value: object) -> object:
    """Return the first entry of a list, any other value itself."""
    return (value[0] if value else None) if isinstance(value, list) else value


def _flat(members: _Members) -> _Members:
    flat: dict[str, object] = {}
    for name, value in members.items():
        flat.setdefault(name.lower().replace("_", "").replace("-", ""), value)
    return flat


def _line(text: str) -> str:
    if text.isprintable():
        return " ".join(text.split())
    kept = (character if character.isprintable() else " " * character.isspace() for character in text)
    return " ".join("".join(kept).split())


def _spans(line: str, secrets: Iterable[str]) -> Iterator[tuple[int, int]]:
    """Find what must not be shown: start and end of each stretch."""
    lowered = _lower(line)
    at = [index for index, character in enumerate(lowered) if character != " "]
    solid = lowered.replace(" ", "")
    for spelling in {spelling for secret in secrets for spelling in _spellings(secret)}:
        yield from ((at[start], at[end - 1] + 1) for start, end in _shared(solid, spelling))
    yield from (found.span() for found in _JWT.finditer(line))
    yield from (found.span() for found in _LONG.finditer(line) if _is_key(found[0]))


def _spellings(secret: str) -> Iterator[str]:
    """Return the forms in which a server may quote the secret, in lower case and without blanks."""
    in_json = json.dumps(secret)[1:-1]
    escaped = {
        quote(secret),
        quote(secret, safe=""),
        html.escape(secret),
        in_json,
        in_json.replace("/", r"\/"),
    }
    for form in escaped | {secret}:
        yield _lower(_line(form)).replace(" ", "")


def _shared(line: str, secret: str) -> Iterator[tuple[int, int]]:
    """Find each stretch of GRAM characters, or all there are, that is in the secret."""
    length = min(GRAM, len(secret))
    if length:
        for start in range(len(line) - length + 1):
            if line[start : start + length] in secret:
                yield start, start + length


def _lower(text: str) -> str:
    """Return the text in lower case and at the same length."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def _is_key(word: str) -> bool:
    parts = re.split(r"[-_]+", _UUID.sub("-", word))
    return sum(len(part) for part in parts if part and not _WORD.fullmatch(part)) >= _MIXED
