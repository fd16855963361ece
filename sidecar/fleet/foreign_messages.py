"""Invalidation messages of other programs, read as selectors. A channel has one dialect.

`mcp-gateway`: messages of the MCP gateway (mcp-context-forge), `kind:id` as text on `mcpgw:auth:invalidate`. The
kinds name the gateway's caches, so the id of `team`, `teams` and `membership` is the e-mail address of a user whose
memberships changed. The id of `role` is `email:team`. A `team` or `role` that is named itself is understood too.

`lerian`: messages of tenant-manager, JSON objects (`event_type`, `tenant_id`, `payload`) on `tenant-events:{env}:`, a
channel whose name ends in that colon. Only `tenant.credentials.rotated` has an effect; other event types are ignored.
It busts tokens of `tenant_id`: those of the service in `payload.new_secret_path`, `…m2m/{service}/credentials`. Without
such a path it busts all of them. `service_name` is ignored: it is the application that holds the credentials.
"""

import re
from collections.abc import Callable, Mapping

from sidecar.core.foreign_text import decoded, parse_object
from sidecar.core.labels import Labels, parse_selector
from sidecar.fleet.settings import Dialect
from sidecar.telemetry.words import Rejection

MAX_SIZE = 64 * 1024
"""A tenant's event with all its payload has a few hundred. Limit: message from another program (bytes). Beyond: the
message is rejected and counted."""

ROTATED = "tenant.credentials.rotated"
_M2M_SECRET = re.compile(r"(?:.*/)?m2m/([^/]+)/credentials")


def read(dialect: Dialect, payload: bytes) -> tuple[Labels, ...] | Rejection:
    """Return the selectors of the tokens that a message revokes, none if it revokes none; or why it is rejected."""
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
    if kind not in GATEWAY_KINDS:
        return "unknown"
    selectors = [parse_selector({name: value}) for name in GATEWAY_KINDS[kind]]
    user, _, team = value.rpartition(":")
    if kind == "role" and user and team:
        selectors.append(parse_selector({"user": user, "team": team}))
    return tuple(selectors)


GATEWAY_KINDS: Mapping[str, tuple[str, ...]] = {
    "user": ("user",),
    "revoke": ("jti",),
    "team": ("user", "team"),
    "teams": ("user",),
    "membership": ("user",),
    "role": ("role",),
    "team_roles": ("team",),
}
"""Labels whose value is the id, by kind: a token is dropped if it carries one of them."""


def _lerian(text: str) -> tuple[Labels, ...] | Rejection:
    event = parse_object(text)
    if event is None or not isinstance(event.get("event_type"), str):
        return "malformed"
    if event["event_type"] != ROTATED:
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
