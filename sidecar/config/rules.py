"""What makes a configuration right: the rule behind each kind of text, and what must fit between entries."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from sidecar.config.examine import Found
from sidecar.config.schema import (
    ENVIRONMENT_NAME,
    NAME,
    SCOPE,
    Credentials,
    File,
    RouteEntry,
    Tls,
    TokenEntry,
)
from sidecar.config.yaml_file import file_text
from sidecar.core import addresses, units


def checks(environ: Mapping[str, str]) -> dict[str, Callable[[str], object]]:
    """Return the rule behind each name in the schema."""
    return {
        "duration": units.seconds,
        "span": units.span,
        "listen": addresses.listen,
        "listen_loopback": addresses.listen_loopback,
        "upstream": addresses.upstream,
        "token_endpoint": addresses.token_endpoint,
        "resource": addresses.resource,
        "prefix": addresses.prefix,
        "host": addresses.host_to_match,
        "name": partial(_like, NAME, "use at most 64 letters, digits, dots, dashes and underscores"),
        "scope": partial(_like, SCOPE, "write one scope an entry, without spaces, quotes and backslashes"),
        "text": partial(_like, r"[ -~]*[!-~][ -~]*", "write visible ASCII characters (RFC 6749 appendix A)"),
        "file": file_text,
        "variable": partial(variable, environ),
        "mode": _mode,
    }


def _like(pattern: str, reason: str, text: str) -> None:
    if not re.fullmatch(pattern, text):
        raise ValueError(reason)


def variable(environ: Mapping[str, str], name: str) -> str:
    _like(ENVIRONMENT_NAME, "write the name of an environment variable, not the secret itself", name)
    value = environ.get(name, "").rstrip("\r\n")
    if not value:
        raise ValueError(f"the environment variable {name} is not set, or is empty")
    return value


def _mode(text: str) -> None:
    if text == "distributed":
        raise ValueError("distributed needs a redis.url, and this version has no Redis yet: use local")
    if text != "local":
        raise ValueError("must be local")


def cross_checks(file: File, found: list[Found]) -> Iterator[Found]:
    """Find what is wrong between entries, passing over the blanks that faulty parts left."""
    wrong = [path for path, _ in found]
    for name, token in file.tokens.items():
        if isinstance(token, TokenEntry):
            yield from _token_faults(f"tokens.{name}", token, file, wrong)
    yield from _route_faults(file)
    if _collide(addresses.listen(file.listen), addresses.listen(file.admin.listen)):
        yield "admin.listen", "the same address or port as listen: choose another one"


def _collide(one: addresses.Address, other: addresses.Address) -> bool:
    if isinstance(one, addresses.TcpAddress) and isinstance(other, addresses.TcpAddress):
        return one.port == other.port != 0
    return one == other


def _token_faults(path: str, token: TokenEntry, file: File, wrong: list[str]) -> Iterator[Found]:
    if token.credentials and token.credentials not in file.credentials:
        yield f"{path}.credentials", _unknown(file.credentials)
    entry = file.credentials.get(token.credentials)
    secretless = isinstance(entry, Credentials) and entry.client_id and entry.client_secret is None
    misread = any(place.startswith(f"credentials.{token.credentials}.") for place in wrong)
    if secretless and not misread and token.client_auth != "none":
        yield (
            f"{path}.credentials",
            f"{token.credentials} has no client_secret: give it one, or set client_auth: none",
        )


def _route_faults(file: File) -> Iterator[Found]:
    names: dict[str, str] = {}
    matches: dict[tuple[str, str], str] = {}
    for index, route in enumerate(file.routes):
        if not isinstance(route, RouteEntry):
            continue
        path = f"routes[{index}]"
        if route.name and names.setdefault(route.name, path) != path:
            yield f"{path}.name", f"{names[route.name]} has the same name: choose another one"
        match = ((route.match.host or "").lower(), route.match.prefix)
        if matches.setdefault(match, path) != path:
            yield f"{path}.match", f"{matches[match]} takes the same requests: change the prefix or the host"
        if route.token and route.token not in file.tokens:
            yield f"{path}.token", _unknown(file.tokens)
        if route.upstream.startswith("http:") and route.tls != Tls():
            yield f"{path}.tls", "the upstream is plain http: write https, or take tls out"


def _unknown(known: Mapping[str, object]) -> str:
    """Leave out what was written: under `token`, that may be a token."""
    return f"there is no such entry; there is: {', '.join(map(str, known)) or 'nothing yet'}"
