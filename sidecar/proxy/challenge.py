"""Challenges: how an upstream refuses credentials, and whether our token is the cause.

| the upstream's answer to a request that carried our token                    | verdict                     |
| ---------------------------------------------------------------------------- | --------------------------- |
| any, on a route with `on_401: ignore`; a status not in `refused_statuses`    | RELAY                       |
| `Bearer error="invalid_token"`                                               | RENEW                       |
| Bearer with another error (`insufficient_scope`, `invalid_request`, …):      | RELAY                       |
| the token is good, the request is not                                        |                             |
| 401 with other schemes only (Basic, Negotiate, Digest, …): not our token     | RELAY                       |
| all others: Bearer without an error, no challenge, rubbish, another status   | RENEW, but `strict`: RELAY  |

Several Bearer challenges are read as one: `invalid_token` outweighs other errors, any error outweighs none.

How a field is read:

Rule 1. What the grammar can read (RFC 9110 section 11.6.1) has the meaning of the grammar, with three exceptions: a
        scheme with an apostrophe (single quotes were meant), a scheme that is an error of rule 6, and a token68 that is
        `Bearer` (a comma is missing).
Rule 2. Any other field is read as far as it can be. A value has double quotes, single quotes or none; without them it
        ends at a blank, comma or semicolon. Blanks and semicolons separate as commas do, brackets do between words.
        Around words and names, quotes, `|` and `&` do not count. The rest is skipped.
Rule 3. A quote that is not closed ends at the next comma, semicolon, parameter or `Bearer`, so that it hides nothing.
        One whose end would open the value of another parameter (`realm="x, error="…"`) is not closed.
Rule 4. The word `Bearer` outside quotes always begins a challenge, also before `=` and an error of rule 6. Another
        registered scheme does at the start, or where what follows fits a challenge. An unknown word does at the start
        only, and only before a parameter.
Rule 5. Parameters continue the last challenge, also one of the field before (section 5.3). `error` is Bearer's where no
        challenge precedes it, and where a scheme that knows no errors does, after a Bearer in the same field: that
        scheme's name is part of a text without quotes (`realm=My Basic API`).
Rule 6. The error is the value of `error` without the signs around it, else that of `error*` (RFC 8187), else a word,
        name or value that is an error which no other token helps against.
Rule 7. Time is linear in the size, and both are bounded. Fields over a bound are a Bearer challenge whose error is
        `too_long`, because the unread part may contain one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from sidecar.proxy.routes import On401

MAX_BYTES = 64 * 1024
"""Total size of all the fields: as much as an answer's head may hold."""
MAX_SEPARATORS = 4096
"""Blanks, commas, quotes and the like in all the fields together: each costs time, a long token68 does not."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"((?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)"'
_SCHEME = re.compile(rb"(%b)(?:[ \t]+|(?=,)|\Z)" % _TOKEN)
_PARAMETER = re.compile(rb"(%b)[ \t]*=[ \t]*(?:(%b)|%b)" % (_TOKEN, _TOKEN, _QUOTED))
_TOKEN68 = re.compile(rb"([A-Za-z0-9._~+/-]+=*)(?=[ \t]*(?:,|\Z))")
_COMMAS = re.compile(rb"[ \t]*(?:,[ \t]*)+|[ \t]*\Z")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)

_SEPARATORS = b'\t ",:;=\\'
_PART = re.compile(rb'(%b)[ \t]*=|([^ \t,;:"=()<>\[\]{}]+)' % _TOKEN)
"""Rule 2: a parameter's name, or a word."""
_DOUBLY_QUOTED = re.compile(rb'[ \t]*"([^"\\]*+(?:\\.[^"\\]*+)*+)', re.DOTALL)
"""Without the quote that ends it, if any does."""
_QUOTED_ELSE = re.compile(rb"""[ \t]*(?:'([^']*)'(?![^ \t,;])|\\"([^"\\]*)\\")""")
_BARE = re.compile(
    rb'(?:[ \t]++(?!%b[ \t]*=|(?i:bearer)(?![^ \t,;])))?([^ \t,;"=][^ \t,;"]*)' % _TOKEN,
)
"""After blanks what looks like the next parameter, or challenge, is no value."""
_NOT_QUOTED = re.compile(rb"[,;]|[ \t](?:%b[ \t]*=|(?i:bearer)(?![^ \t,;]))" % _TOKEN)
"""Where a quote that is not closed ends at the latest."""
_INNER_QUOTE = re.compile(rb'[^"]*""')
_PARAMETER_LAST = re.compile(rb"[ \t,;]%b[ \t]*=[ \t]*\Z" % _TOKEN)
_PARAMETER_NEXT = re.compile(rb"[ \t]+%b[ \t]*=" % _TOKEN)
_CHALLENGE_NEXT = re.compile(rb"[ \t]*(?:[,;]|\Z)|[ \t]+[^ \t,;=]+[ \t]*(?:[,;=]|\Z)")
_REGISTERED = frozenset(
    b"basic concealed digest dpop gnap hoba mutual negotiate ntlm oauth privatetoken "
    b"scram-sha-1 scram-sha-256 vapid".split()
)
"""IANA's HTTP Authentication Scheme Registry, and NTLM."""
_WITH_ERRORS = frozenset(("bearer", "dpop", "gnap"))
_OF_THE_REQUEST = frozenset(("insufficient_scope", "insufficient_user_authentication", "invalid_request"))
"""RFC 6750 section 3.1, RFC 9470 section 3."""
_AROUND_WORDS = b"'`|&"
_AROUND_ERRORS = "".join(c for c in map(chr, range(256)) if not (c.isascii() and c.isalnum()) and c != "_")
_KNOWN_FORM = re.compile(r"[a-z_]{1,40}")


@dataclass(slots=True)
class Challenge:
    """One challenge (RFC 9110 section 11.6.1)."""

    scheme: str
    """Lower case."""
    params: dict[str, str] = field(default_factory=dict)
    """Names in lower case; of a name given twice, the first value that is not empty."""
    token68: str = ""


class Verdict(Enum):
    """What to do with an upstream's answer."""

    RELAY = "relay"
    """Relay it: the answer is for the client."""
    RENEW = "renew"
    """The token was refused: get another."""


def parse(values: Iterable[bytes]) -> tuple[Challenge, ...]:
    """Return the challenges of all WWW-Authenticate fields, by the rules at the head of this module."""
    challenges: list[Challenge] = []
    size = separators = 0
    for value in values:
        size += len(value)
        separators += len(value) - len(value.translate(None, _SEPARATORS))
        if size > MAX_BYTES or separators > MAX_SEPARATORS:
            return (*challenges, Challenge("bearer", {"error": "too_long"}))
        by_grammar = _by_grammar(value)
        if by_grammar is None:
            _read_leniently(value, challenges)
        else:
            challenges += by_grammar
    return tuple(challenges)


def bearer_error(challenges: Iterable[Challenge]) -> str:
    """Return the error that decides, "" for none.

    Words not of the form RFC 6750 section 3.1 uses come back as `other`: this is logged, and an upstream may
    put anything there, the token too.
    """
    errors = [error for c in challenges if c.scheme == "bearer" and (error := _error(c))]
    if not errors or "invalid_token" in errors:
        return "invalid_token" if errors else ""
    return errors[0] if _KNOWN_FORM.fullmatch(errors[0]) else "other"


def judge(
    status: int, challenges: tuple[Challenge, ...], *, on_401: On401, refused_statuses: frozenset[int]
) -> Verdict:
    """Return the verdict, by the table at the head of this module."""
    if on_401 == "ignore" or status not in refused_statuses:
        return Verdict.RELAY
    error = bearer_error(challenges)
    if error:
        return Verdict.RENEW if error == "invalid_token" else Verdict.RELAY
    others_only = bool(challenges) and all(c.scheme != "bearer" for c in challenges)
    if on_401 == "strict" or (status == 401 and others_only):
        return Verdict.RELAY
    return Verdict.RENEW


def _error(challenge: Challenge) -> str:
    """Return the error that the challenge names, "" for none (rule 6)."""
    params = challenge.params
    said = params.get("error") or params.get("error*", "").rpartition("'")[2]
    if said := said.strip(_AROUND_ERRORS):
        return said
    return next(filter(None, map(_of_the_request, (challenge.token68, *params, *params.values()))), "")


def _of_the_request(word: str) -> str:
    """Return the error if the word is one that no other token helps against, else ""."""
    error = word.strip(_AROUND_ERRORS).lower().replace("-", "_")
    return error if error in _OF_THE_REQUEST else ""


def _by_grammar(value: bytes) -> list[Challenge] | None:
    """Return the challenges of one field, None when it breaks the grammar.

    After a comma `name=value` belongs to the challenge begun; anything else begins one.
    """
    found: list[Challenge] = []
    commas = _COMMAS.match(value)
    at = commas.end() if commas else 0
    while at < len(value):
        parameter = _PARAMETER.match(value, at) if found else None
        if parameter is None:
            scheme = _SCHEME.match(value, at)
            if scheme is None or b"'" in scheme[1] or _of_the_request(scheme[1].decode()):
                return None
            found.append(Challenge(scheme[1].decode().lower()))
            at = scheme.end()
            parameter = _PARAMETER.match(value, at)
        if parameter is not None:
            name, plain, quoted = parameter.groups()
            text = plain if plain is not None else _ESCAPED.sub(rb"\1", quoted)
            params, key = found[-1].params, name.decode().lower()
            params[key] = params.get(key) or text.decode("latin-1")
            at = parameter.end()
        elif (token68 := _TOKEN68.match(value, at)) is not None:
            if token68[1].lower() == b"bearer":
                return None
            found[-1].token68 = token68[1].decode()
            at = token68.end()
        commas = _COMMAS.match(value, at)
        if commas is None:
            return None
        at = commas.end()
    return found


def _read_leniently(value: bytes, found: list[Challenge]) -> None:
    """Add what can be read from a field that breaks the grammar to the challenges found so far."""
    at, first, bearer = 0, True, None
    while (part := _PART.search(value, at)) is not None:
        at = part.end()
        word = (part[1] or part[2]).strip(_AROUND_WORDS).decode("latin-1").lower()
        error = _of_the_request(word)
        if part[1] is not None:
            text, at = _lenient_value(value, at)
            if word == "bearer" and _of_the_request(text.decode("latin-1")):
                bearer = Challenge(word, token68=text.decode("latin-1"))
                found.append(bearer)
            elif owner := _owner(found, bearer, is_error=word == "error" or bool(error)):
                owner.params[word] = owner.params.get(word) or text.decode("latin-1")
        elif _begins_challenge(word.encode("latin-1"), value, at, first=first):
            found.append(Challenge(word))
            bearer = found[-1] if word == "bearer" else bearer
        elif error and (owner := _owner(found, bearer, is_error=True)):
            owner.token68 = error
        first = False


def _owner(found: list[Challenge], bearer: Challenge | None, *, is_error: bool) -> Challenge | None:
    """Return the challenge that a parameter or a word continues (rule 5), if any; `bearer` is the field's last."""
    if is_error and not found:
        found.append(Challenge("bearer"))
    if is_error and bearer is not None and found[-1].scheme not in _WITH_ERRORS:
        return bearer
    return found[-1] if found else None


def _begins_challenge(word: bytes, value: bytes, end: int, *, first: bool) -> bool:
    """Return whether the word that ends at `end` is a scheme (rule 4)."""
    if word in _REGISTERED:
        return first or _CHALLENGE_NEXT.match(value, end) is not None
    return word == b"bearer" or (first and _PARAMETER_NEXT.match(value, end) is not None)


def _lenient_value(value: bytes, at: int) -> tuple[bytes, int]:
    """Return the parameter's value that begins at `at`, and where it ends (rules 2 and 3)."""
    quoted = _DOUBLY_QUOTED.match(value, at)
    if quoted is not None:
        text, end = quoted[1], quoted.end()
        if end < len(value) and not _opens_another(value, text, end):
            return _ESCAPED.sub(rb"\1", text), end + 1
        hidden = _NOT_QUOTED.search(text)
        text = text[: hidden.start()] if hidden is not None else text
        return _ESCAPED.sub(rb"\1", text), quoted.start(1) + len(text)
    other = _QUOTED_ELSE.match(value, at) or _BARE.match(value, at)
    return (other[other.lastindex or 0], other.end()) if other is not None else (b"", at)


def _opens_another(value: bytes, text: bytes, end: int) -> bool:
    """Return whether the quote at `end` opens the value of another parameter instead of closing `text`.

    It does where `text` ends in ` name=`, unless what it opens is closed twice: that is a quotation in the text.
    """
    ends_word = value[end + 1 : end + 2] in b' \t,;"'
    if ends_word or _PARAMETER_LAST.search(text) is None:
        return False
    return _INNER_QUOTE.match(value, end + 1) is None
