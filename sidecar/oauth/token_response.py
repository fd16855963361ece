"""How a token endpoint's answer is judged (RFC 6749), without any I/O.

`expires_in` as servers send it:

| value                                                   | life of the token                                     |
| ------------------------------------------------------- | ----------------------------------------------------- |
| a number above 0, or a string of one (`"3600"`, `3.5e3`) | that many seconds                                     |
| absent, null, a bool, NaN, any other rubbish            | to the JWT's `exp` if it has one, else 300 s          |
| 0, negative: a server that returns its own cached token | as if absent                                          |
| more than a day, infinity                               | a day, then the sidecar requests another              |
| as if absent, with a JWT's `exp` in the past            | none: the token is refused as already expired         |

`token_type` may be missing, null or blank (RFC 6749 section 5.1 requires it, servers forget it). Case, blanks and
punctuation do not count, and neither do words that add nothing, as in `BearerToken`, or a list around it. Any other
type is refused by name.

A member without content (null, "", false, 0, [], {}, a form's word for one of these, or a list or an object of nothing
but these) counts as absent: an `error` beside a good token, and a member in one spelling beside the same in the other.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.foreign_text import decoded
from sidecar.oauth import http_date
from sidecar.oauth.ports import Reply
from sidecar.oauth.refusals import server_text, unreadable
from sidecar.oauth.unverified_jwt import number, unverified

FORM_TYPE = "application/x-www-form-urlencoded"
INVALID_CLIENT = "invalid_client"
DEFAULT_LIFE = 300.0
"""Seconds, for a token without a stated life."""
MAX_LIFE = 86_400.0
MAX_RETRY_AFTER = 60.0
"""Seconds; a longer life is cut to this, so that the token is requested again earlier."""

_OUTAGES = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
_FIELD_SAFE = re.compile(r"[\x21-\x7e]+")
_ERROR_CODE = re.compile(r"[a-z_]{1,64}")
_BEARER = frozenset({"bearer"})
_NO_CONTENT = frozenset({"", "0", "false", "null", "none", "undefined"})
_FILLER = r"(?:oauth2?0?|access|token|type|auth|authentication|authorization|scheme|http|jwt|urnietfparams)"
_ONLY_BEARER = re.compile(rf"{_FILLER}{{0,4}}bearer{_FILLER}{{0,4}}")
_PARAMETER = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
"""A form's names. Other text with an equals sign in it, such as a page of HTML, is no form."""
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9.+-]{1,64}/[A-Za-z0-9.+-]{1,64}")
_NAMED_TYPE = re.compile(
    r"(?:urn:ietf:params:oauth:token-type:)?(?=[a-z0-9_-]{1,16}$)[a-z0-9_-]*"
    r"(?:basic|bearer|digest|dpop|hoba|jwt|mac|n_a|negotiate|oauth|pop|saml|token)[a-z0-9_-]*",
    re.IGNORECASE,
)
"""Types that a message names; anything else may be a token in the wrong place."""
_Members = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Grant:
    """An access token as granted: its value, safe in a header field, and its life in seconds (maybe ≤ 0)."""

    access_token: str
    life: float
    jti: str = ""
    """A JWT's id (RFC 7519 section 4.1.7), unverified; "" if it has none."""
    exp: float = math.inf
    """The date from which `life` was calculated; infinity if the server gave the life itself, or nothing did."""


def host_of(url: str) -> str:
    """Host and port of `url` for messages, without user information, path or query."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2]


def judge(
    reply: Reply,
    *,
    host: str,
    now: float,
    types: frozenset[str] = _BEARER,
    of_others: frozenset[str] = frozenset(),
    sent: tuple[str, ...] = (),
) -> Grant:
    """Judge the answer of `host`: a grant, a refusal or an outage (RFC 6749 sections 5.1 and 5.2).

    `now` is the date on which the request was sent: a life counted from there never ends too late. `types` are the
    acceptable token types, `of_others` the error codes that do not concern our credentials, even with a 401. Raises
    TokenRefused or TokenUnavailable, whose messages hold nothing of the body but a well-formed error code or token
    type; their `description` is the server's own text without the secrets in `sent`.
    """
    members = _members(reply)
    code = _error_code(members)
    description = server_text.description(_texts(reply) if members is None else members, code, sent)
    if reply.status in {408, 425, 429} or reply.status >= 500 or code in _OUTAGES:
        raise TokenUnavailable(
            f"token endpoint {host} answered {reply.status} {code}".rstrip(),
            _retry_after(reply.retry_after, now),
            description=description,
        )
    if 300 <= reply.status < 400:
        raise TokenRefused(
            f"token endpoint {host} redirects ({reply.status}): configure its final address", ""
        )
    if reply.status == 401 and code not in of_others:
        raise TokenRefused(
            f"token endpoint {host} does not accept the client's credentials (401 {code or 'without error'})",
            INVALID_CLIENT,
            of_request=True,
            description=description,
        )
    if not 200 <= reply.status < 300 or (members is not None and _has_content(members.get("error"))):
        raise TokenRefused(
            f"token endpoint {host} refused: {reply.status} {code or 'without error'}"
            + ("" if code or members is not None or not reply.body else _cause(reply)),
            code,
            of_request=True,
            description=description,
        )
    if members is None:
        raise _unreadable(reply, host)
    return _grant(members, host, now, types, description)


def _unreadable(reply: Reply, host: str) -> TokenUnavailable:
    labelled = _MEDIA_TYPE.match(reply.content_type)
    kind = f" ({labelled[0]})" if labelled else ""
    why = f"token endpoint {host} answered {reply.status} with neither JSON nor a form{kind}{_cause(reply)}"
    return TokenUnavailable(why, 0.0)


def _cause(reply: Reply) -> str:
    cause = unreadable.why(reply)
    return f": {cause}" if cause else ""


def _grant(members: _Members, host: str, now: float, types: frozenset[str], description: str) -> Grant:
    token_type = _either(members, "token_type", "tokenType")
    if _type(token_type) not in types:
        raise TokenRefused(
            f"token endpoint {host} issued a token of {_named(token_type)}, which is not Bearer; "
            "configure it to issue Bearer tokens to this client",
            "",
        )
    value = _either(members, "access_token", "accessToken")
    if not isinstance(value, str):
        why = f"token endpoint {host} answered without an access_token"
        raise TokenRefused(why, "", of_request=True, description=description)
    if not _FIELD_SAFE.fullmatch(value):
        raise TokenRefused(f"token endpoint {host} gave an access_token that no header field can hold", "")
    claims = unverified(value)
    jti = claims.get("jti")
    life, exp = _life(members, claims, now)
    return Grant(value, life, jti if isinstance(jti, str) else "", exp)


def _type(token_type: object) -> str:
    """Return the token type in lower case: `bearer` for all that can only mean it, "" for what is no name."""
    token_type = _alone(token_type)
    if token_type is None:
        return "bearer"
    if not isinstance(token_type, str):
        return ""
    letters = re.sub(r"[\W_]", "", token_type.lower())
    if _ONLY_BEARER.fullmatch(letters):
        return "bearer"
    return "n_a" if letters == "na" else token_type.strip().lower()


def _alone(value: object) -> object:
    """Return the entry of a list that has one, else the value itself."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _named(token_type: object) -> str:
    token_type = _alone(token_type)
    name = token_type.strip() if isinstance(token_type, str) else ""
    return f"type {name}" if _NAMED_TYPE.fullmatch(name) else "an unknown type"


def _life(members: _Members, claims: _Members, now: float) -> tuple[float, float]:
    """Return the seconds that the token lives from `now` and its `exp`, by the table at the head of this module."""
    for name in ("expires_in", "expiresIn"):
        seconds = number(members.get(name))
        if seconds is not None and seconds > 0:
            return min(seconds, MAX_LIFE), math.inf
    expiry = number(claims.get("exp"))
    return (DEFAULT_LIFE, math.inf) if expiry is None else (min(expiry - now, MAX_LIFE), expiry)


def _members(reply: Reply) -> _Members | None:
    """Return the reply's parameters, None when it is garbled; a parameter given twice makes it so (section 5.1).

    The body decides whether it is JSON or a form, because servers label both as anything.
    """
    try:
        text = _text(reply).strip()
        if text.startswith("{"):
            parsed = json.loads(text, object_pairs_hook=_unique)
            return parsed if isinstance(parsed, dict) else None
        pairs = parse_qsl(text, strict_parsing=True, keep_blank_values=True, max_num_fields=64)
        is_form = bool(pairs) and all(_PARAMETER.fullmatch(name) for name, _ in pairs)
        return _unique(pairs) if is_form else None
    except (ValueError, RecursionError):
        return None


def _text(reply: Reply) -> str:
    """Return the body's text; a refusal in a legacy encoding still has its ASCII, which is all that decides."""
    try:
        return decoded(reply.body)
    except ValueError:
        if reply.status < 400:
            raise
        return reply.body.decode("latin-1")


def _texts(reply: Reply) -> _Members:
    """Return the plain text of a reply without parameters."""
    plain = reply.content_type.partition(";")[0].strip().lower() == "text/plain"
    return {"message": reply.body.decode(errors="replace")} if plain else {}


def _unique(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    members: dict[str, object] = {}
    for name, value in pairs:
        if name in members:
            raise ValueError("a parameter is given twice")
        members[name] = value
    return members


def _either(members: _Members, snake: str, camel: str) -> object:
    """Return the member in the spelling that has content, else None."""
    return next((value for name in (snake, camel) if _has_content(value := members.get(name))), None)


def _has_content(value: object) -> bool:
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,)
    return any(
        entry.strip().lower() not in _NO_CONTENT if isinstance(entry, str) else bool(entry)
        for entry in entries
    )


def _error_code(members: _Members | None) -> str:
    code = members.get("error") if members else None
    return code if isinstance(code, str) and _has_content(code) and _ERROR_CODE.fullmatch(code) else ""


def _retry_after(value: str, now: float) -> float:
    """Return the seconds to wait (RFC 9110 section 10.2.3: a number or a date), 0 where the text is neither."""
    text = value.strip(" \t")
    if re.fullmatch(r"[0-9]+", text):
        seconds = float(text)
    else:
        date = http_date.parse(text, now)
        seconds = 0.0 if date is None else date - now
    return max(0.0, min(seconds, MAX_RETRY_AFTER))
