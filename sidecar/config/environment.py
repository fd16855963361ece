"""The environment, written into the file's tree before anything is checked: there is one set of rules.

Which variable a path came from is remembered, so that a fault names what the operator wrote. Empty is the
same as absent.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote

from sidecar.config import hints
from sidecar.config.yaml_file import DEFAULT_PATH, Read, Tree, file_value
from sidecar.core import foreign_text
from sidecar.core.errors import Fault
from sidecar.core.tenants import PLACE, tenant_in

SOURCE = "environment"

SETTINGS = {
    "listen": "SIDECAR_LISTEN",
    "admin.listen": "SIDECAR_ADMIN_LISTEN",
    "cache.mode": "M2M_CREDENTIAL_CACHE_MODE",
    "cache.store_ttl": "M2M_CREDENTIAL_CACHE_TTL_SEC",
    "drain_min_delay": "SIDECAR_DRAIN_MIN_DELAY",
    "log.format": "LOG_FORMAT",
    "log.level": "LOG_LEVEL",
    "log.requests": "LOG_REQUESTS",
}
"""Variables that override a key of the file."""

ONE_ROUTE = {
    "routes[0].upstream": "SIDECAR_UPSTREAM",
    "tokens.default.token_endpoint": "SIDECAR_TOKEN_ENDPOINT",
    "credentials.default.client_id": "SIDECAR_CLIENT_ID",
    "credentials.default.client_secret": "SIDECAR_CLIENT_SECRET",
    "tokens.default.scope": "SIDECAR_SCOPE",
    "tokens.default.audience": "SIDECAR_AUDIENCE",
}
"""Variables that define one route, `/` to the upstream, without a file. The first four are required."""

OTHERS = {
    "SIDECAR_CONFIG": "Path of the configuration file. Unset: `/etc/sidecar/config.yaml`.",
    "SIDECAR_ADMIN_TOKEN": "Bearer token for busts; overrides `admin.token`. `sidecar bust` sends it.",
    "SIDECAR_ADMIN_TOKEN_FILE": "File with that token. Set only one of the two.",
    "REDIS_URL": "Overrides `redis.url`. May hold user name and password, which override `redis.username` and "
    "`redis.password`. No effect if the cache mode is set to `local`.",
    "SIDECAR_ENCRYPTION_KEY": "Encryption key of the fleet; overrides `redis.encryption_keys` with one key that has "
    "the id `env`. No effect if the cache mode is set to `local`.",
    "SIDECAR_ENCRYPTION_KEY_FILE": "File with that key. Set only one of the two.",
    "SIDECAR_ALLOW_DUMPS": "`true` permits core files, and debuggers and profilers of the same user. Unset: both "
    "are disabled, because tokens and secrets are in memory.",
    "NO_COLOR": "Set to any value: the console log, `sidecar status` and the demo use no colours. Unset: colours "
    "on a terminal.",
    "AWS_REGION": "Region of a secret if `aws_secret.region`, the ARN, `AWS_DEFAULT_REGION` and the AWS profile "
    "set none. The AWS SDK reads its other standard variables too.",
    "AWS_ACCESS_KEY_ID": "Access key with which the AWS SDK reads secrets. Unset: the SDK's other sources, such as a "
    "role.",
    "AWS_SECRET_ACCESS_KEY": "Secret of that access key.",
    "AWS_SESSION_TOKEN": "Session token of that access key, if it is temporary.",
    "REQUESTS_CA_BUNDLE": "File with the certificate authorities to trust for AWS, if `AWS_CA_BUNDLE` and the AWS "
    "profile name none. Unset: the system's authorities.",
}
"""Meanings of the other variables, from which `docs/reference/environment.md` is generated."""

ONE_ROUTE_TWINS = ("SIDECAR_CLIENT_ID", "SIDECAR_CLIENT_SECRET")
_ONE_ROUTE_NAMES = (*ONE_ROUTE.values(), *(f"{name}_FILE" for name in ONE_ROUTE_TWINS))
_KEY, _KEY_FILE = "SIDECAR_ENCRYPTION_KEY", "SIDECAR_ENCRYPTION_KEY_FILE"
_ADMIN, _ADMIN_FILE = "SIDECAR_ADMIN_TOKEN", "SIDECAR_ADMIN_TOKEN_FILE"
_TWINS = (*ONE_ROUTE_TWINS, _KEY, _ADMIN)
_ALLOW_DUMPS = "SIDECAR_ALLOW_DUMPS"
_KNOWN = frozenset(
    (
        "SIDECAR_CONFIG",
        _ALLOW_DUMPS,
        *SETTINGS.values(),
        *_ONE_ROUTE_NAMES,
        _KEY,
        _KEY_FILE,
        _ADMIN,
        _ADMIN_FILE,
    )
)
OWN_VARIABLES = _KNOWN | OTHERS.keys() | {"redis_url_password"}
"""Variables that have a meaning of their own, so that no tenant's secret is in them."""
_WITHOUT_PREFIX = frozenset(("REDIS_URL", *SETTINGS.values()))
_OURS = ("SIDECAR_", "M2M_CREDENTIAL_CACHE_")
"""Prefixes of names that no other program uses."""
_OF_KUBERNETES = re.compile(
    r"SIDECAR_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_[A-Z]+(_(PROTO|PORT|ADDR))?)?)"
)
"""Variables that Kubernetes sets in each pod for a Service whose name begins with `sidecar`."""
_MOST_IGNORED = 20
KEY_ID = "env"
"""The id of the encryption key from the environment."""
_UNREAD = "A" * 43 + "="
"""Also a key of 32 bytes in base64, and a bearer token."""


def trimmed(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the variables without byte order marks and without line breaks at their end."""
    return {name: foreign_text.trimmed(value) for name, value in environ.items()}


def beside(place: Path, environ: Mapping[str, str]) -> list[Fault]:
    """Return a fault for each variable of the one route that is set beside a file, because only one can apply."""
    reason = f"cannot be combined with {place}: unset one of the two"
    return [Fault(SOURCE, name, reason) for name in _ONE_ROUTE_NAMES if environ.get(name)]


class Unread(Mapping[str, str]):
    """Replaces the environment when secrets are not read: each variable has a value that passes every rule."""

    def __getitem__(self, name: str) -> str:
        return _UNREAD

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


def unread(_name: str, _limit: int) -> str:
    """Return a stand-in for the text of a file when secrets are not read."""
    return _UNREAD


def one_route(environ: Mapping[str, str], read: Read) -> tuple[Tree | None, list[Fault]]:
    """Return the tree of a file made from the variables, and their faults; None if they define no route."""
    if not any(environ.get(name) for name in _ONE_ROUTE_NAMES):
        reason = f"nothing to do: give --config, SIDECAR_CONFIG, {DEFAULT_PATH} or SIDECAR_UPSTREAM"
        return None, [Fault(SOURCE, "", reason)]
    faults = [_twice(name) for name in ONE_ROUTE_TWINS if environ.get(name) and environ.get(f"{name}_FILE")]
    client_id = environ.get("SIDECAR_CLIENT_ID", "")
    if not client_id and (file := environ.get("SIDECAR_CLIENT_ID_FILE")):
        try:
            client_id = file_value(file, read)
        except ValueError as error:
            faults.append(Fault(SOURCE, "SIDECAR_CLIENT_ID_FILE", f"{file} {error}"))
            client_id = "unread"
    secret_file = environ.get("SIDECAR_CLIENT_SECRET_FILE")
    secret = {"file": secret_file} if secret_file else {"env": "SIDECAR_CLIENT_SECRET"}
    token = {
        "token_endpoint": environ.get("SIDECAR_TOKEN_ENDPOINT", ""),
        "credentials": "default",
        "scope": environ.get("SIDECAR_SCOPE", "").split(),
        "audience": environ.get("SIDECAR_AUDIENCE", ""),
    }
    return {
        "credentials": {"default": {"client_id": client_id, "client_secret": secret}},
        "tokens": {"default": token},
        "routes": [{"name": "default", "upstream": environ.get("SIDECAR_UPSTREAM", ""), "token": "default"}],
    }, faults


def ignored(environ: Mapping[str, str], tree: Tree) -> tuple[Fault, ...]:
    """Return the variables that have no effect, although their names are meant for the sidecar."""
    unknown = [name for name in environ if name.upper().startswith(_OURS) and name not in _KNOWN]
    unknown = [name for name in unknown if not (_OF_KUBERNETES.fullmatch(name) and _is_link(name, environ))]
    named = set(_variables_in(tree)) if unknown else set()
    of_tenants = [name for name in named if PLACE in name]
    unknown = [name for name in unknown if not any(tenant_in(template, name) for template in of_tenants)]
    faults = [Fault(SOURCE, name, _no_setting(name)) for name in sorted(unknown) if name not in named]
    if environ.get(_ALLOW_DUMPS, "").lower() not in {"", "0", "1", "false", "true"}:
        faults.append(Fault(SOURCE, _ALLOW_DUMPS, "has no effect: write true, or unset it"))
    return tuple(faults[:_MOST_IGNORED])


def _is_link(name: str, environ: Mapping[str, str]) -> bool:
    """Return whether Kubernetes may have set the variable: an administrator might write a number into SIDECAR_PORT."""
    return not name.endswith("PORT") or "_PORT_" in name or "SERVICE" in name or "://" in environ[name]


def _no_setting(name: str) -> str:
    prefix = next(each for each in _OURS if name.upper().startswith(each))
    known = [each.removeprefix(prefix) for each in sorted(_KNOWN) if each.startswith(prefix)]
    bare = name[len(prefix) :]
    last = hints.misspelt(bare, known)
    meant = bare if bare in _WITHOUT_PREFIX else prefix + last if last else ""
    return "there is no such setting, so it has no effect; " + (
        f"did you mean {meant}?" if meant else "unset it"
    )


def _variables_in(value: object) -> Iterator[str]:
    """Yield the variables that the file itself names."""
    if isinstance(value, dict):
        if isinstance(value.get("env"), str):
            yield value["env"]
        for inside in value.values():
            yield from _variables_in(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _variables_in(inside)


def overlay(tree: Tree, environ: Mapping[str, str]) -> dict[str, str]:
    """Write the variables over the file's values; return the variable of each path."""
    names = {}
    for path, name in SETTINGS.items():
        value = environ.get(name)
        section, _, key = path.rpartition(".")
        if section and tree.get(section) is None and value:
            tree[section] = {}
        place = tree[section] if section and value else tree
        if value and isinstance(place, dict):
            place[key] = _as_duration(value) if name.endswith("_SEC") else value
            names[path] = name
    return names


def _as_duration(text: str) -> str:
    """Return whole seconds as a duration; any other text (`5m` would become `5ms`) as an invalid one."""
    return f"{text}s" if text.isascii() and text.isdecimal() else "not whole seconds"


def _twice(name: str) -> Fault:
    return Fault(SOURCE, name, f"given twice: unset it or {name}_FILE")


def open_redis_url(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Move user name and password, which REDIS_URL often holds, to separate variables.

    Blanks and line ends around the URL, which a file may add, do not count.
    """
    url = environ.get("REDIS_URL", "").strip()
    match = re.fullmatch(r"(\w+://)(.*)@([^@]*)", url, re.DOTALL)
    if match is None:
        return {**environ, "REDIS_URL": url} if url != environ.get("REDIS_URL", "") else environ
    username, _, password = match[2].partition(":")
    return {
        **environ,
        "REDIS_URL": match[1] + match[3],
        "redis_url_username": unquote(username),
        "redis_url_password": unquote(password),
    }


def operators(tree: Tree, environ: Mapping[str, str]) -> tuple[dict[str, str], list[Fault]]:
    """Write the operators' token over the file's; return the variable of each path."""
    admin = {} if tree.get("admin") is None else tree["admin"]
    token, faults = _reference(_ADMIN, _ADMIN_FILE, environ)
    if token is None or not isinstance(admin, dict):
        return {}, faults
    tree["admin"] = {**admin, "token": token}
    return {"admin.token": _ADMIN}, faults


def _reference(name: str, file: str, environ: Mapping[str, str]) -> tuple[dict[str, str] | None, list[Fault]]:
    """Return the reference to a secret in the variable or its twin, None if there is neither."""
    if environ.get(name):
        return {"env": name}, [_twice(name)] if environ.get(file) else []
    return ({"file": environ[file]} if environ.get(file) else None), []


def fleet(tree: Tree, environ: Mapping[str, str]) -> tuple[dict[str, str], list[Fault]]:
    """Write REDIS_URL and the encryption key over the file's; return the variable of each path.

    With an explicit `local` the variables are ignored, because other programs use the same names.
    """
    cache = tree.get("cache")
    local = isinstance(cache, dict) and cache.get("mode") == "local"
    key, faults = _reference(_KEY, _KEY_FILE, environ)
    redis = {} if tree.get("redis") is None else tree["redis"]
    if local or not (key or environ.get("REDIS_URL")) or not isinstance(redis, dict):
        return {}, []
    if not redis and not environ.get("REDIS_URL"):
        name = _KEY if environ.get(_KEY) else _KEY_FILE
        return {}, [Fault(SOURCE, name, "only meaningful beside a redis.url (REDIS_URL)")]
    tree["redis"] = redis
    names = _write_url(redis, environ)
    if key:
        redis["encryption_keys"] = [{"id": KEY_ID, "key": key}]
    if key or "encryption_keys" not in redis:
        names["redis.encryption_keys"] = _KEY
    return names, faults


def _write_url(redis: Tree, environ: Mapping[str, str]) -> dict[str, str]:
    if not environ.get("REDIS_URL"):
        return {}
    redis["url"] = environ["REDIS_URL"]
    if environ.get("redis_url_password"):
        redis["password"] = {"env": "redis_url_password"}
        redis["username"] = environ["redis_url_username"] or None
    return dict.fromkeys(("redis.url", "redis.username", "redis.password"), "REDIS_URL")


def blame(fault: Fault, names: Mapping[str, str], environ: Mapping[str, str]) -> Fault:
    """Name the variable instead of the path if the value came from one."""
    for path, name in names.items():
        if fault.path == path or fault.path.startswith((f"{path}.", f"{path}[")):
            given = f"{name}_FILE" if name in _TWINS and environ.get(f"{name}_FILE") else name
            if not environ.get(given) and name in _ONE_ROUTE_NAMES:
                return Fault(SOURCE, given, "missing: the route from the environment requires it")
            whole_seconds = "write whole seconds, at least 1"
            return Fault(SOURCE, given, whole_seconds if name.endswith("_SEC") else fault.reason)
    return fault
