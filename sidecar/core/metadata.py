"""What an authorization server says about itself, and where it says it (RFC 8414, OpenID Connect Discovery)."""

import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from sidecar.core import addresses
from sidecar.core.errors import TokenRefused
from sidecar.core.ports import Reply


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a server is asked for tokens."""

    token_endpoint: str
    mtls_token_endpoint: str
    """Where, by clients that authenticate themselves in TLS (RFC 8705 section 5)."""


def places(issuer: str) -> tuple[str, str]:
    """Return where the metadata may be: as OpenID Connect puts it, and as RFC 8414 section 3.1 does."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return (
        f"{origin}{path}/.well-known/openid-configuration",
        f"{origin}/.well-known/oauth-authorization-server{path}",
    )


def read(reply: Reply, issuer: str) -> Metadata | None:
    """Return what the answer says, None where it is no metadata at all.

    Raises TokenRefused when it is another issuer's (RFC 8414 section 3.3), or names no endpoint that we may use.
    """
    members = _members(reply)
    if "issuer" not in members:
        return None
    if members["issuer"] != issuer:
        raise TokenRefused(
            f"the metadata of {issuer} is another issuer's: write issuer exactly as its server does", ""
        )
    endpoint = _endpoint(members, issuer)
    if not endpoint:
        raise TokenRefused(f"the metadata of {issuer} names no token_endpoint that we may use", "")
    aliases = members.get("mtls_endpoint_aliases")
    alias = _endpoint(aliases, issuer) if isinstance(aliases, dict) else ""
    return Metadata(endpoint, alias or endpoint)


def _members(reply: Reply) -> dict[str, object]:
    try:
        members = json.loads(reply.body) if reply.status == 200 else None
    except (ValueError, RecursionError):
        members = None
    return members if isinstance(members, dict) else {}


def _endpoint(members: dict[str, object], issuer: str) -> str:
    """Return the endpoint these name; "" for one that would send secrets in the clear."""
    endpoint = members.get("token_endpoint")
    if not isinstance(endpoint, str) or (issuer.startswith("https:") and not endpoint.startswith("https:")):
        return ""
    try:
        return addresses.token_endpoint(endpoint)
    except ValueError:
        return ""
