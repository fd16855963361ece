"""An authorization server's metadata, and its URL (RFC 8414, OpenID Connect Discovery)."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from sidecar.core import addresses
from sidecar.core.errors import TokenRefused
from sidecar.core.foreign_text import parse_object
from sidecar.oauth.ports import Reply
from sidecar.telemetry.words import ISSUER_METADATA


@dataclass(frozen=True, slots=True)
class Metadata:
    """The endpoints of a server; "" where the metadata names none, or a place that must not be used."""

    issuer: str
    token_endpoint: str
    mtls_token_endpoint: str
    """Token endpoint for clients that authenticate themselves in TLS (RFC 8705 section 5)."""
    jwks_uri: str


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
    """Return the metadata in the answer, None if it holds none.

    Raises TokenRefused when it is another issuer's (RFC 8414 section 3.3).
    """
    members = _members(reply)
    if "issuer" not in members:
        return None
    if members["issuer"] != issuer:
        raise TokenRefused(
            f"the {ISSUER_METADATA} of {issuer} is another issuer's: write issuer exactly as its server does",
            "",
        )
    endpoint = _place(members, "token_endpoint", issuer)
    aliases = members.get("mtls_endpoint_aliases")
    alias = _place(aliases, "token_endpoint", issuer) if isinstance(aliases, dict) else ""
    return Metadata(issuer, endpoint, alias or endpoint, _place(members, "jwks_uri", issuer))


def _members(reply: Reply) -> dict[str, object]:
    return (parse_object(reply.body) if reply.status == 200 else None) or {}


def _place(members: dict[str, object], name: str, issuer: str) -> str:
    """Return the URL of this member; "" for one that would send secrets, or fetch keys, without encryption."""
    url = members.get(name)
    if not isinstance(url, str) or (issuer.startswith("https:") and not url.startswith("https:")):
        return ""
    try:
        return addresses.token_endpoint(url)
    except ValueError:
        return ""
