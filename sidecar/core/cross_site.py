"""Refuse requests of web pages, because any site that is open in a browser can reach loopback.

Programs send neither of the two fields. A browser sends Sec-Fetch-Site with every request to a loopback
address, and Origin with every request that could change something; a page can forge neither.
"""

import re
from ipaddress import IPv6Address

from sidecar.core.addresses import is_loopback
from sidecar.core.errors import RequestRefused
from sidecar.core.origin import DEFAULT_PORTS, place, same_origin

ICON = b"/favicon.ico"
"""The path that a browser requests by itself for a page without an icon, such as an error answer of the sidecar's."""
_OWN_SITE = frozenset((b"same-origin", b"none"))
_HOST = re.compile(
    rb"(?:\[([0-9A-Fa-f:.]{2,45})\]|((?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2}){1,255}))(?::([0-9]{0,5}))?"
)


def guard(sec_fetch_site: bytes | None, origin: bytes | None, authority: bytes = b"") -> None:
    """Let a request pass unless a page of another site made it. Raises RequestRefused (403).

    Takes the two fields' values, None for a field that was not sent, and the host and port that the request is
    sent to, which is known to be served here. Sec-Fetch-Site may be `same-origin` or `none` (typed by the user),
    Origin a loopback host or the same origin: `http`, that host and that port. Every other value is refused,
    `Origin: null` too: sandboxed frames and local files send it.
    """
    if sec_fetch_site is not None and sec_fetch_site not in _OWN_SITE:
        raise RequestRefused(403, "a browser sent this for a page of another site (Sec-Fetch-Site)")
    if origin is not None and not _is_loopback(origin) and not same_origin(origin, authority, b"http"):
        raise RequestRefused(403, "a browser sent this for a page of another site (Origin)")


def refuse_icon(sec_fetch_site: bytes | None, referer: bytes | None) -> None:
    """Refuse a browser's request for ICON unless an application's page made it. Raises RequestRefused (404).

    Such a request is of the same origin as the page, and would pass the guard after a navigation that did not. The
    sidecar's own answers allow no Referer; the pages of an application send one.
    """
    if sec_fetch_site is not None and referer is None:
        raise RequestRefused(
            404, "this is a browser's icon request for an error page of the sidecar, which has no icon"
        )


def _is_loopback(origin: bytes) -> bool:
    scheme, mark, authority = origin.partition(b"://")
    if not mark or scheme.lower() not in DEFAULT_PORTS:
        return False
    named = place(authority, scheme.lower())
    return named is not None and is_loopback(named[0])


def guard_admin(sec_fetch_site: str | None, origin: str | None, host: str) -> None:
    """Let a request that changes something pass unless a page not our own made it. Raises RequestRefused (403).

    The admin server has many names and clients on other machines, so its own page is recognised by an Origin that
    equals the Host of the request.
    """
    if sec_fetch_site not in (None, "same-origin", "none"):
        raise RequestRefused(403, "a browser sent this for a page of another site (Sec-Fetch-Site)")
    if origin is not None and not same_origin(_bytes(origin), _bytes(host)):
        raise RequestRefused(403, "a browser sent this for a page of another site (Origin)")


def _bytes(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def host_named(text: bytes) -> str:
    """Return the host: lower case, no port, brackets or dot at the end.

    Raises RequestRefused (400) when it is not a valid uri-host with optional port (RFC 9110 section 7.2).
    """
    match = _HOST.fullmatch(text)
    if match is None or int(match[3] or 0) > 65535:
        raise RequestRefused(400, "Host must be one host name or address with an optional port")
    if match[1] is None:
        return match[2].decode().lower().removesuffix(".")
    try:
        return str(IPv6Address(match[1].decode()))
    except ValueError:
        raise RequestRefused(400, "Host holds brackets without an IPv6 address in them") from None
