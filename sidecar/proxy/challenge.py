"""Challenges: what an upstream says about credentials it did not like, and whether our token is to blame.

| the upstream's answer to a request that carried our token                    | verdict                     |
| ---------------------------------------------------------------------------- | --------------------------- |
| any, on a route with `on_401: ignore`; a status not in `refused_statuses`    | RELAY                       |
| `Bearer error="invalid_token"`                                               | RENEW                       |
| Bearer with another error (`insufficient_scope`, `invalid_request`, …):      | RELAY                       |
| the token is good, the request is not                                        |                             |
| 401 with other schemes only (Basic, Negotiate, Digest, …): not our token     | RELAY                       |
| all others: Bearer without an error, no challenge, rubbish, another status   | RENEW, but `strict`: RELAY  |

Several Bearer challenges are read as one: `invalid_token` outweighs other errors, any error outweighs none.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from sidecar.proxy.routes import On401

MAX_BYTES = 8 * 1024
"""Of all the fields together; what comes after is not looked at."""

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = rb'"((?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*)"'
_SCHEME = re.compile(rb"(%b)(?:[ \t]+|(?=,)|\Z)" % _TOKEN)
_PARAMETER = re.compile(rb"(%b)[ \t]*=[ \t]*(?:(%b)|%b)" % (_TOKEN, _TOKEN, _QUOTED))
_TOKEN68 = re.compile(rb"([A-Za-z0-9._~+/-]+=*)(?=[ \t]*(?:,|\Z))")
_COMMAS = re.compile(rb"[ \t]*(?:,[ \t]*)+|[ \t]*\Z")
_ESCAPED = re.compile(rb"\\(.)")
_KNOWN_FORM = re.compile(r"[a-z_]{1,40}")


@dataclass(slots=True)
class Challenge:
    """One challenge (RFC 9110 section 11.6.1)."""

    scheme: str
    """Lower case."""
    params: dict[str, str] = field(default_factory=dict)
    """Names in lower case; of a name given twice, the first value."""
    token68: str = ""


class Verdict(Enum):
    """What to do with an upstream's answer."""

    RELAY = "relay"
    """It is the client's."""
    RENEW = "renew"
    """The token was refused: get another."""


def parse(values: Iterable[bytes]) -> tuple[Challenge, ...]:
    """Return the challenges of all WWW-Authenticate fields; a field that breaks the grammar has none."""
    challenges: list[Challenge] = []
    left = MAX_BYTES
    for value in values:
        left -= len(value)
        if left < 0:
            break
        challenges += _field(value)
    return tuple(challenges)


def bearer_error(challenges: Iterable[Challenge]) -> str:
    """Return the error that decides, "" for none.

    Words not of the form RFC 6750 section 3.1 uses come back as `other`: this is logged, and an upstream may
    put anything there, the token too.
    """
    errors = [c.params["error"] for c in challenges if c.scheme == "bearer" and c.params.get("error")]
    if not errors or "invalid_token" in errors:
        return "invalid_token" if errors else ""
    return errors[0] if _KNOWN_FORM.fullmatch(errors[0]) else "other"


def judge(
    status: int, challenges: tuple[Challenge, ...], *, on_401: On401, refused_statuses: frozenset[int]
) -> Verdict:
    """Decide by the table at the head of this module."""
    if on_401 == "ignore" or status not in refused_statuses:
        return Verdict.RELAY
    error = bearer_error(challenges)
    if error:
        return Verdict.RENEW if error == "invalid_token" else Verdict.RELAY
    others_only = bool(challenges) and all(c.scheme != "bearer" for c in challenges)
    if on_401 == "strict" or (status == 401 and others_only):
        return Verdict.RELAY
    return Verdict.RENEW


def _field(value: bytes) -> list[Challenge]:
    """Read one field. After a comma `name=value` belongs to the challenge begun; anything else begins one."""
    challenges: list[Challenge] = []
    commas = _COMMAS.match(value)
    at = commas.end() if commas else 0
    while at < len(value):
        parameter = _PARAMETER.match(value, at) if challenges else None
        if parameter is None:
            scheme = _SCHEME.match(value, at)
            if scheme is None:
                return []
            challenges.append(Challenge(scheme[1].decode().lower()))
            at = scheme.end()
            parameter = _PARAMETER.match(value, at)
        if parameter is not None:
            name, plain, quoted = parameter.groups()
            text = plain if plain is not None else _ESCAPED.sub(rb"\1", quoted)
            challenges[-1].params.setdefault(name.decode().lower(), text.decode("latin-1"))
            at = parameter.end()
        elif (token68 := _TOKEN68.match(value, at)) is not None:
            challenges[-1].token68 = token68[1].decode()
            at = token68.end()
        commas = _COMMAS.match(value, at)
        if commas is None:
            return []
        at = commas.end()
    return challenges
