"""Listen addresses and URLs, parsed strictly: an odd one is refused, never repaired.

Every function raises ValueError with a message about what to write instead. URLs are not repeated in messages: one may
contain a password.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, urlsplit

HOST = r"^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$"
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_CONTROL = "%(?:[01][0-9a-f]|20|7f)"
_DELIMITER = "%(?:2[1346-9a-cf]|3[abdf]|40|5[bcd])"
_SLASH = r"[/\\]|%(?:2f|5c|u00(?:2f|5c)|c0%af|c1%9c|e0%80%af|e0%81%9c)"
_DOT = r"\.|%(?:2e|u002e|c0%ae|e0%80%ae)"
DOT_SEGMENT = rf"(?:{_SLASH})(?:{_CONTROL})*(?:{_DOT}){{1,2}}(?:{_SLASH}|;|{_DELIMITER}|{_CONTROL}|\Z)"
"""Finds in a path, in any case, whatever some server may read as a dot segment.

The dots may be encoded, also as overlong UTF-8 and as `%u002e`, which are invalid, but decoded by some servers. They
end at a slash, a backslash or `;`, or at any encoded delimiter (RFC 3986 section 2.2), blank or control, because
servers cut or trim a segment there after they have decoded it.
"""
_DOT_SEGMENT = re.compile(DOT_SEGMENT, re.IGNORECASE)
_LONGEST_UNIX_PATH = 107


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """The address of a TCP listener; port 0 lets the system choose."""

    host: str
    """Without brackets for IPv6."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a Unix listener."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


Address = TcpAddress | UnixAddress


@dataclass(frozen=True, slots=True)
class UpstreamUrl:
    """The parts of an upstream's URL: host, port, and the path put before every relayed one."""

    scheme: Literal["http", "https"]
    host: str
    """Lower case, without brackets for IPv6."""
    port: int
    base_path: str
    """Without a trailing slash, so "" for none."""


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """The parts of a request's URL: host, port, path and query."""

    scheme: Literal["http", "https"]
    host: str
    """Lower case, without brackets for IPv6."""
    port: int
    target: str
    """Path and query."""


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """The parts of a Redis URL: some hosts, or a socket."""

    tls: bool
    hosts: tuple[tuple[str, int], ...]
    """Names without brackets; port 0 where none is written."""
    unix_path: str
    database: int


def listen(text: str) -> Address:
    """Read `127.0.0.1:9180`, `[::1]:9180` or `unix:/run/sidecar/http.sock`."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path.startswith("/") or "\0" in path or not 1 < len(path.encode()) <= _LONGEST_UNIX_PATH:
            raise ValueError(f"write unix: and an absolute path of at most {_LONGEST_UNIX_PATH} bytes")
        return UnixAddress(path)
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+)):([0-9]{1,5})", text, re.ASCII)
    if match is None or int(match[3]) > 65535:
        raise ValueError("write host:port, such as 127.0.0.1:9180, or unix:/absolute/path")
    return TcpAddress(_host(match[1] or match[2]), int(match[3]))


def listen_loopback(text: str) -> Address:
    """Parse a listen address that only this pod can reach: any client that reaches it may use our tokens."""
    address = listen(text)
    if isinstance(address, TcpAddress) and not is_loopback(address.host):
        raise ValueError(
            "not a loopback address: every client that reaches it could use the tokens; write 127.0.0.1, [::1] or unix:"
        )
    return address


def admin(text: str) -> str:
    """Parse the place of an admin server: `host:port`, `http(s)://host[:port]` or `unix:/path`.

    Return the latter two.
    """
    try:
        if text.startswith("unix:"):
            return str(listen(text))
        if "://" not in text:
            text = beside(text)
        url = _split(text)
    except ValueError:
        url = None
    if url is None or url.path not in {"", "/"} or url.query:
        raise ValueError("write host:port, such as 127.0.0.1:9181, http://host:port or unix:/absolute/path")
    return text.rstrip("/")


def beside(listening: str) -> str:
    """Return the URL at which the same pod reaches an admin server with this listen address."""
    address = listen(listening)
    if isinstance(address, UnixAddress):
        return str(address)
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  it is not listened on
    return f"http://{TcpAddress(everywhere.get(address.host, address.host), address.port)}"


def is_loopback(host: str) -> bool:
    """Return whether a host, without brackets, can only be this machine (RFC 6761 section 6.3)."""
    name = host.lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def upstream(text: str) -> UpstreamUrl:
    """Read an upstream's `http(s)://host[:port][/base/path]`."""
    url = http(text)
    if "?" in text:
        raise ValueError("an upstream has no query: the client's own is relayed")
    return UpstreamUrl(url.scheme, url.host, url.port, url.target.rstrip("/"))


def http(text: str) -> HttpUrl:
    """Read `http(s)://host[:port][/path][?query]`."""
    url = _split(text)
    scheme: Literal["http", "https"] = "https" if url.scheme == "https" else "http"
    default = 443 if scheme == "https" else 80
    port = url.port if url.port is not None else default
    query = f"?{url.query}" if url.query else ""
    return HttpUrl(scheme, _host(url.hostname or ""), port, f"{url.path or '/'}{query}")


def token_endpoint(text: str) -> str:
    """Check a token endpoint's URL and return it; it may have a query (RFC 6749 section 3.2).

    Plain http is refused but for loopback: the request carries the client secret and the answer the token,
    and RFC 6749 section 3.2 demands TLS.
    """
    url = _split(text)
    if url.scheme == "http" and not is_loopback(_host(url.hostname or "")):
        raise ValueError("use https: plain http would show the client secret on the network (RFC 6749 3.2)")
    return text


def secret_endpoint(text: str) -> str:
    """Check the URL of a secret store and return it. Plain http is refused but for loopback."""
    url = _split(text)
    if url.scheme == "http" and not is_loopback(_host(url.hostname or "")):
        raise ValueError("use https: plain http would show the secrets on the network")
    return text


def issuer(text: str) -> str:
    """Check an issuer's URL, which has no query (RFC 8414 section 2), and return it; http on loopback only."""
    if "?" in text:
        raise ValueError("an issuer has no query (RFC 8414 section 2)")
    return token_endpoint(text)


def redis(text: str) -> RedisUrl:
    """Read `redis(s)://host[:port][,host[:port]…][/database]` or `unix:///path[?db=database]`.

    `valkey(s)://` means the same as `redis(s)://`. Blanks and line ends around the URL do not count.
    """
    text = text.strip()
    if "@" in text:
        raise ValueError(
            "remove the user name and password from the URL: give redis.username and redis.password"
        )
    socket = re.fullmatch(r"unix://(/[^?#\0]+)(?:\?db=([0-9]{1,4}))?", text)
    if socket is not None:
        return RedisUrl(tls=False, hosts=(), unix_path=socket[1], database=int(socket[2] or 0))
    url = re.fullmatch(r"(rediss?|valkeys?)://([^/?#]+)(?:/([0-9]{1,4})?)?", text)
    if url is None:
        raise ValueError(
            "write redis://host:port/0, rediss://host:port/0 or unix:///path, without a query; valkey and valkeys "
            "are other names for redis and rediss"
        )
    hosts = tuple(_host_and_port(part) for part in url[2].split(","))
    return RedisUrl(tls=url[1] in {"rediss", "valkeys"}, hosts=hosts, unix_path="", database=int(url[3] or 0))


def _host_and_port(text: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+))(?::([0-9]{1,5}))?", text, re.ASCII)
    if match is None or (match[3] and not 0 < int(match[3]) <= 65535):
        raise ValueError("a host or a port of the URL is malformed")
    return _host(match[1] or match[2]), int(match[3] or 0)


def resource(text: str) -> str:
    """Check a resource indicator, an absolute URI without a fragment (RFC 8707 section 2), and return it."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*:[!\"$-~]+", text):
        raise ValueError("write an absolute URI without a fragment (RFC 8707 section 2)")
    return text


def host_to_match(text: str) -> str:
    """Check a host name in the form that clients send, without a port."""
    if not re.fullmatch(HOST, text):
        raise ValueError("write a host name without scheme and port, such as ledger.internal")
    return text


def prefix(text: str) -> str:
    """Check a path prefix that matches on segment bounds: `/` or `/ledger`, not `/ledger/`."""
    if not text.startswith("/"):
        raise ValueError("start the prefix with a slash")
    if text != "/" and (text.endswith("/") or "//" in text):
        raise ValueError("prefixes match whole segments: drop the empty segment or the slash at the end")
    return _path(text)


def _split(text: str) -> SplitResult:
    if not re.fullmatch(r"[!-~]{1,2048}", text):  # before urlsplit, which drops tabs and line ends silently
        raise ValueError("write a URL of at most 2048 visible ASCII characters (percent-encode others)")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError("the host or the port of the URL is malformed") from None
    if url.scheme not in {"http", "https"} or not url.hostname or port == 0:
        raise ValueError("write http:// or https://, a host and, if need be, a port and a path")
    if "@" in url.netloc:
        raise ValueError("remove the user name and password from the URL: secrets belong into credentials")
    if "#" in text:
        raise ValueError("remove the fragment from the URL: it is never sent")
    _host(url.hostname)
    _path(url.path or "/")
    return url


def _host(text: str) -> str:
    if ":" in text and re.fullmatch(r"[0-9A-Fa-f:.]+", text):
        try:
            return str(ip_address(text))
        except ValueError:
            pass
    elif re.fullmatch(HOST, text):
        return text.lower()
    raise ValueError("the host is malformed: write a name (xn-- form for non-ASCII), IPv4 or [IPv6]")


def _path(text: str) -> str:
    if not _PATH.fullmatch(text) or _DOT_SEGMENT.search(text):
        raise ValueError("the path holds a dot segment or a character that must be percent-encoded")
    return text
