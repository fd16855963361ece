"""Content of a stored value before it is sealed: JSON, its times by the store's clock in seconds.

In both directions every time is converted to the earliest possible one, so that a token never lives longer, nor looks
newer, than it is. The date in `exp` is the issuer's, and stays as it is.
"""

import json
import math
from collections.abc import Mapping

from sidecar.core.backoff import Setback
from sidecar.core.foreign_text import parse_object
from sidecar.core.labels import LABELS, Labels, is_value
from sidecar.core.secret import Secret
from sidecar.credentials.model import Credentials
from sidecar.fleet.clock_offset import ClockOffset
from sidecar.oauth.token import Token

FAR_AWAY = 1e11
"""Epoch seconds beyond any valid time."""
MAX_REASON = 1000
"""Characters of a shared setback's reason."""


def write_token(token: Token, offset: ClockOffset) -> bytes:
    """Encode the token."""
    exp = {"exp": token.exp} if abs(token.exp) < FAR_AWAY else {}
    return _encode(
        {
            "token": token.secret.reveal(),
            "fetch_began": offset.earliest_there(token.fetch_began),
            "fresh_until": offset.earliest_there(token.fresh_until),
            "expires_at": offset.earliest_there(token.expires_at),
            "labels": sorted(token.labels),
            **exp,
        }
    )


def read_token(content: bytes, fingerprint: str, generation: int, offset: ClockOffset) -> Token | None:
    """Decode a token, None for anything else."""
    fields = _decode(content)
    times = [_number(fields.get(name)) for name in ("fetch_began", "fresh_until", "expires_at")]
    exp = _number(fields["exp"]) if "exp" in fields else math.inf
    value = fields.get("token")
    if (
        not isinstance(value, str)
        or not value.isascii()
        or not value.isprintable()
        or any(map(math.isnan, [*times, exp]))
    ):
        return None
    labels = _labels(fields.get("labels"))
    if labels is None:
        return None
    began, fresh_until, expires_at = map(offset.earliest_here, times)
    return Token(
        secret=Secret(value, fingerprint),
        expires_at=expires_at,
        fresh_until=fresh_until,
        fetch_began=began,
        authorization=b"Bearer " + value.encode("ascii"),
        labels=labels,
        source="store",
        generation=generation,
        exp=exp,
    )


def write_credentials(credentials: Credentials, origin: str, offset: ClockOffset) -> bytes:
    """Encode the credentials, and their source."""
    return _encode(
        {
            "client_id": credentials.client_id,
            "client_secret": credentials.client_secret.reveal(),
            "read_at": offset.earliest_there(credentials.read_at),
            "origin": origin,
        }
    )


def read_credentials(content: bytes, origin: str, offset: ClockOffset) -> Credentials | None:
    """Decode credentials, None for anything else, or if they come from another source."""
    fields = _decode(content)
    client_id, secret = fields.get("client_id"), fields.get("client_secret")
    read_at = _number(fields.get("read_at"))
    if not isinstance(client_id, str) or not isinstance(secret, str) or math.isnan(read_at):
        return None
    if fields.get("origin") != origin:
        return None
    return Credentials(client_id, Secret(secret), offset.earliest_here(read_at))


def write_setback(setback: Setback, offset: ClockOffset) -> bytes:
    """Encode the setback."""
    return _encode(
        {
            "until": offset.earliest_there(setback.until),
            "failures": setback.failures,
            "reason": setback.reason[:MAX_REASON],
            "code": setback.code,
            "description": setback.description[:MAX_REASON],
            "hint": setback.hint[:MAX_REASON],
            "of_caller": setback.of_caller,
            "of_secret": setback.of_secret,
        }
    )


def read_setback(content: bytes, offset: ClockOffset) -> Setback | None:
    """Decode a setback, None for anything else."""
    fields = _decode(content)
    until, failures = _number(fields.get("until")), fields.get("failures")
    reason, code = fields.get("reason"), fields.get("code")
    if not isinstance(failures, int) or not isinstance(reason, str) or math.isnan(until):
        return None
    if not isinstance(code, str | None):
        return None
    description, hint = (_text(fields.get(name)) for name in ("description", "hint"))
    of_caller, of_secret = (fields.get(name) is True for name in ("of_caller", "of_secret"))
    return Setback(
        offset.earliest_here(until), failures, reason, code, description, hint, of_caller, of_secret
    )


def _encode(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


def _decode(content: bytes) -> Mapping[str, object]:
    return parse_object(content) or {}


def _text(value: object) -> str:
    """Return a text for people; earlier versions store none."""
    return value[:MAX_REASON] if isinstance(value, str) else ""


def _number(value: object) -> float:
    """Return a moment in epoch seconds, NaN for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < FAR_AWAY:
        return math.nan
    return float(value)


def _labels(value: object) -> Labels | None:
    if not isinstance(value, list) or not all(map(_is_label, value)):
        return None
    return frozenset((name, text) for name, text in value)


def _is_label(pair: object) -> bool:
    match pair:
        case [str(name), str(text)]:
            return name in LABELS and is_value(text)
    return False
