"""Other programs' invalidation messages, read as selectors. A channel speaks one dialect, and only there it counts.

`mcp-gateway`: the MCP gateway (mcp-context-forge) publishes `kind:id` as text on `mcpgw:auth:invalidate`. The kinds
name its caches, so `team`, `teams` and `membership` carry a user's e-mail address: that user's memberships changed.
`role` carries `email:team`. A `team` or `role` that is named itself is understood as well.

`lerian`: tenant-manager publishes JSON envelopes (`event_type`, `tenant_id`, `payload`) on `tenant-events:{env}:`, a
channel whose name ends in that colon. Of the many event types only `tenant.credentials.rotated` concerns us. Its
`service_name` is the application that holds the credentials; the service they are for stands in the secret's path.
"""

import re
from collections.abc import Callable, Mapping

from sidecar.core.foreign_text import decoded, parse_object
from sidecar.core.labels import Labels, parse_selector
from sidecar.fleet.settings import Dialect
from sidecar.telemetry.words import Rejection

MAX_SIZE = 64 * 1024
"""Bytes of a foreign message; a tenant's event with all its payload has a few hundred."""

_ROTATED = "tenant.credentials.rotated"
_M2M_SECRET = re.compile(r"(?:.*/)?m2m/([^/]+)/credentials")


def read(dialect: Dialect, payload: bytes) -> tuple[Labels, ...] | Rejection:
    """Return the selectors of what the message says is dead, none where that is nothing; or why it does not count."""
    if len(payload) > MAX_SIZE:
        return "too_large"
    try:
        return _READERS[dialect](decoded(payload))
    except ValueError:
        return "malformed"


def _mcp_gateway(text: str) -> tuple[Labels, ...] | Rejection:
    kind, colon, value = text.partition(":")
    if not colon:
        return "malformed"
    if kind not in _GATEWAY:
        return "unknown"
    selectors = [parse_selector({name: value}) for name in _GATEWAY[kind]]
    user, _, team = value.rpartition(":")
    if kind == "role" and user and team:
        selectors.append(parse_selector({"user": user, "team": team}))
    return tuple(selectors)


_GATEWAY: Mapping[str, tuple[str, ...]] = {
    "user": ("user",),
    "revoke": ("jti",),
    "team": ("user", "team"),
    "teams": ("user",),
    "membership": ("user",),
    "role": ("role",),
    "team_roles": ("team",),
}


def _lerian(text: str) -> tuple[Labels, ...] | Rejection:
    event = parse_object(text)
    if event is None or not isinstance(event.get("event_type"), str):
        return "malformed"
    if event["event_type"] != _ROTATED:
        return ()
    payload = event.get("payload")
    path = payload.get("new_secret_path") if isinstance(payload, dict) else None
    secret = _M2M_SECRET.fullmatch(path) if isinstance(path, str) else None
    service = {"service": secret[1]} if secret else {}
    return (parse_selector({"tenant": event.get("tenant_id"), **service}),)


_READERS: Mapping[Dialect, Callable[[str], tuple[Labels, ...] | Rejection]] = {
    "mcp-gateway": _mcp_gateway,
    "lerian": _lerian,
}
