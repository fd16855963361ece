"""What makes a configuration right: the rule behind each kind of text, and what must fit between entries."""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from itertools import islice

from sidecar.config import fitting
from sidecar.config.asking import Credentials
from sidecar.config.examine import Found
from sidecar.config.leaves import (
    ENVIRONMENT_NAME,
    FIELD_NAME,
    KEY_PREFIX,
    NAME,
    PARAMETER,
    REGION,
    SCOPE,
    SECRET_ID,
    STAGE,
    Tls,
)
from sidecar.config.schema import Busts, EncryptionKey, File, ForeignChannel, Redis, RouteEntry
from sidecar.config.tenancy import Tenant, caller_faults, tenant_faults
from sidecar.config.tokens import TokenEntry
from sidecar.config.yaml_file import file_text
from sidecar.core import addresses, units
from sidecar.core.grants import TOKEN_TYPES
from sidecar.core.secret_text import check_pointer
from sidecar.core.tenants import PLACE, canonical
from sidecar.files import PEM_LIMIT, SECRET_LIMIT

_MOST_NAMES = 20
"""Entries that a fault lists."""


def checks(environ: Mapping[str, str]) -> dict[str, Callable[[str], object]]:
    """Return the rule behind each name in the schema. A file that several places name is read once."""
    secret = cache(partial(file_text, limit=SECRET_LIMIT))
    return {
        "duration": units.seconds,
        "span": units.span,
        "share": units.share,
        "listen": addresses.listen,
        "listen_loopback": addresses.listen_loopback,
        "upstream": addresses.upstream,
        "token_endpoint": lambda text: addresses.token_endpoint(text.replace(PLACE, "tenant")),
        "issuer": lambda text: addresses.issuer(text.replace(PLACE, "tenant")),
        "resource": addresses.resource,
        "parameter": partial(
            _like, PARAMETER, "use at most 64 letters, digits, dots, dashes and underscores"
        ),
        "token_type": _token_type,
        "prefix": addresses.prefix,
        "host": addresses.host_to_match,
        "name": partial(_like, NAME, "use at most 64 letters, digits, dots, dashes and underscores"),
        "scope": partial(_like, SCOPE, "write one scope an entry, without spaces, quotes and backslashes"),
        "text": partial(_like, r" *[!-~][ -~]*", "write visible ASCII characters (RFC 6749 appendix A)"),
        "file": cache(partial(file_text, limit=PEM_LIMIT)),
        "secret_file": secret,
        "variable": partial(variable, environ),
        "secret_id": partial(
            _like,
            SECRET_ID,
            "write the secret's name or ARN; only {service} and {tenant} stand for something",
        ),
        "secret_endpoint": addresses.secret_endpoint,
        "region": partial(_like, REGION, "write a region's code, such as eu-west-1"),
        "stage": partial(_like, STAGE, "write a staging label, such as AWSCURRENT"),
        "pointer": check_pointer,
        "tenant": canonical,
        "field_name": partial(_like, FIELD_NAME, "write the name of a header field"),
        "redis": addresses.redis,
        "key_prefix": partial(_like, KEY_PREFIX, "use at most 128 visible ASCII characters, without braces"),
        "private_key_file": lambda path: _private_key(secret(path)),
        "private_key_variable": lambda name: _private_key(variable(environ, name)),
        "key_file": lambda path: _key(secret(path)),
        "key_variable": lambda name: _key(variable(environ, name)),
        "bearer_file": lambda path: _bearer(secret(path)),
        "bearer_variable": lambda name: _bearer(variable(environ, name)),
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


def _token_type(text: str) -> None:
    if text not in TOKEN_TYPES:
        try:
            addresses.resource(text)
        except ValueError:
            raise ValueError(f"write one of {', '.join(TOKEN_TYPES)}, or a URI") from None


def _private_key(text: str) -> None:
    if not text.lstrip().startswith(("-----BEGIN ", "{")):
        raise ValueError("holds neither a PEM key nor a JWK")


def _key(text: str) -> None:
    try:
        key = base64.b64decode(text.rstrip("\r\n"), validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("holds no key of 32 bytes in base64: `sidecar keygen` makes one")


def _bearer(text: str) -> None:
    _like(
        r"[!-~]{16,4096}",
        "must hold 16 or more visible ASCII characters, without spaces",
        text.rstrip("\r\n"),
    )


def cross_checks(file: File, found: list[Found]) -> Iterator[Found]:
    """Find what is wrong between entries, passing over the blanks that faulty parts left."""
    wrong = [path for path, _ in found]
    for name, token in file.tokens.items():
        if isinstance(token, TokenEntry):
            yield from _token_faults(f"tokens.{name}", token, file, wrong)
    yield from _secret_faults(file)
    if not any(path.partition(".")[0] == "tenant" for path in wrong):
        yield from tenant_faults(file.tenant, file.tokens, file.credentials)
    yield from _route_faults(file)
    yield from _fleet_faults(file, wrong)
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
    place = f"credentials.{token.credentials}"
    sound = isinstance(entry, Credentials) and not any(f"{each}.".startswith(f"{place}.") for each in wrong)
    inside = (each.removeprefix(f"{path}.") for each in wrong if each.startswith(f"{path}."))
    misread = {re.split(r"[.\[]", each)[0] for each in inside}
    yield from fitting.faults(path, token, entry if sound else None, misread)
    if isinstance(file.tenant, Tenant) and misread.isdisjoint({"grant", "subject", "actor"}):
        yield from caller_faults(path, token, file.tenant)


def _secret_faults(file: File) -> Iterator[Found]:
    """Secrets are kept by their service, so no two may have the same."""
    services: dict[str, str] = {}
    for name, entry in file.credentials.items():
        if isinstance(entry, Credentials):
            service = entry.service or name
            if entry.aws_secret is not None and services.setdefault(service, name) != name:
                reason = f"{services[service]} has the same: give each secret its own"
                yield f"credentials.{name}.service", reason


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


def _fleet_faults(file: File, wrong: list[str]) -> Iterator[Found]:
    """Find what keeps the sidecars from being one fleet; in an explicit local mode nothing does."""
    if file.cache.mode == "local":
        return
    if file.redis is not None:
        yield from _redis_faults(file.redis, wrong)
        yield from _channel_faults(file.redis, file.busts)
    elif not any(path.partition(".")[0] == "redis" for path in wrong):
        if file.cache.mode == "distributed":
            yield "cache.mode", "distributed needs a redis.url (REDIS_URL)"
        if file.busts.listen:
            yield "busts.listen", "there is no Redis to listen on: give redis.url"


def _redis_faults(redis: Redis, wrong: list[str]) -> Iterator[Found]:
    if redis.url:
        yield from _topology_faults(redis, addresses.redis(redis.url))
    ids: dict[str, str] = {}
    for index, entry in enumerate(redis.encryption_keys):
        if isinstance(entry, EncryptionKey):
            path = f"redis.encryption_keys[{index}]"
            if ids.setdefault(entry.id, path) != path:
                yield f"{path}.id", f"{ids[entry.id]} has the same id: choose another one"
    if redis.encryption == "none" and redis.encryption_keys:
        yield "redis.encryption", "none, but there are encryption_keys: take one of the two out"
    if redis.encryption != "none" and not redis.encryption_keys and "redis.encryption_keys" not in wrong:
        yield (
            "redis.encryption_keys",
            "give at least one (SIDECAR_ENCRYPTION_KEY; `sidecar keygen` makes one), or write encryption: none",
        )


def _topology_faults(redis: Redis, url: addresses.RedisUrl) -> Iterator[Found]:
    if redis.tls != Tls() and not url.tls:
        yield "redis.tls", "the URL is not rediss: write rediss, or take tls out"
    if redis.cluster and redis.sentinel is not None:
        yield "redis.cluster", "the hosts are either a Cluster's or Sentinels: take one of the two out"
    if (redis.cluster or redis.sentinel is not None) and url.unix_path:
        yield "redis.url", "a socket is no Cluster and no Sentinel: write redis://host:port"
    if redis.cluster and url.database:
        yield "redis.url", "a Cluster has only database 0: take it off the URL"
    if len(url.hosts) > 1 and not redis.cluster and redis.sentinel is None:
        yield "redis.url", "several hosts: say what they are, with redis.sentinel or redis.cluster"


def _channel_faults(redis: Redis, busts: Busts) -> Iterator[Found]:
    own = {f"{redis.key_prefix}m2m:{name}": "the fleet's own" for name in ("bust", "fill")}
    for index, entry in enumerate(busts.listen):
        if isinstance(entry, ForeignChannel):
            path = f"busts.listen[{index}]"
            if own.setdefault(entry.channel, path) != path:
                yield f"{path}.channel", f"{own[entry.channel]} already: choose another channel"


def _unknown(known: Mapping[str, object]) -> str:
    """Leave out what was written: under `token`, that may be a token."""
    names = ", ".join(map(str, islice(known, _MOST_NAMES)))
    more = f" and {len(known) - _MOST_NAMES:,} more" if len(known) > _MOST_NAMES else ""
    return f"there is no such entry; there is: {names or 'nothing yet'}{more}"
