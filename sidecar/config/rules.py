"""Rules of a valid configuration: the check of each kind of text, and the checks between entries."""

import base64
import posixpath
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, partial

from sidecar.config import durations, token_rules
from sidecar.config.credentials import Credentials, of_tenants, private_key_fault, templates
from sidecar.config.decode import Doubt, Found, Node
from sidecar.config.environment import OWN_VARIABLES
from sidecar.config.hints import is_unexpanded, literally, unexpanded, unknown_entry
from sidecar.config.redis import fleet_faults
from sidecar.config.routes import route_faults
from sidecar.config.schema import File, TokenApi
from sidecar.config.tenants import Tenant, caller_faults, tenant_faults
from sidecar.config.tenants import rule as tenant_rule
from sidecar.config.tokens import TokenEntry
from sidecar.config.types import (
    FIELD_NAME,
    KEY_PREFIX,
    NAME,
    PARAMETER,
    REGION,
    SCOPE,
    SECRET_ID,
    STAGE,
    TENANT_VARIABLE,
    Reference,
    like,
    refuse_place,
    variable,
)
from sidecar.config.yaml_file import Read, file_text, file_value
from sidecar.config.yaml_text.places import Faulty
from sidecar.core import addresses
from sidecar.core.tenants import PLACE, canonical, tenant_in
from sidecar.credentials.secret_json import check_pointer
from sidecar.oauth.request_form import TOKEN_TYPES
from sidecar.system import files


def checks(environ: Mapping[str, str], read: Read = files.text) -> dict[str, Callable[[str], object]]:
    """Return the rule of each name in the schema. A file that several places name is read once."""
    fixed = partial(_read_fixed, read)
    value = cache(partial(file_value, read=fixed, placed=True))
    document = cache(partial(file_text, limit=files.SECRET_LIMIT, read=fixed, placed=True))
    return {
        "duration": durations.seconds,
        "span": durations.span,
        "share": durations.share,
        "listen": addresses.listen,
        "listen_loopback": addresses.listen_loopback,
        "upstream": addresses.upstream,
        "token_endpoint": lambda text: addresses.token_endpoint(text.replace(PLACE, "tenant")),
        "issuer": lambda text: addresses.issuer(text.replace(PLACE, "tenant")),
        "resource": addresses.resource,
        "parameter": partial(like, PARAMETER, "use at most 64 letters, digits, dots, dashes and underscores"),
        "token_type": _token_type,
        "prefix": addresses.prefix,
        "host": addresses.host_to_match,
        "name": partial(like, NAME, "use at most 64 letters, digits, dots, dashes and underscores"),
        "scope": partial(like, SCOPE, "write one scope an entry, without spaces, quotes and backslashes"),
        "text": partial(like, r" *[!-~][ -~]*", "write visible ASCII characters (RFC 6749 appendix A)"),
        "file": cache(partial(file_text, limit=files.PEM_LIMIT, read=fixed, placed=True)),
        "secret_file": value,
        "document_file": document,
        "tenant_secret_file": partial(_tenant_path, value),
        "tenant_document_file": partial(_tenant_path, document),
        "variable": partial(variable, environ),
        "tenant_variable": partial(_tenant_variable, environ),
        "secret_id": partial(
            like,
            SECRET_ID,
            "write the secret's name or ARN; only {service} and {tenant} stand for something",
        ),
        "secret_endpoint": addresses.secret_endpoint,
        "region": partial(like, REGION, "write a region's code, such as eu-west-1"),
        "stage": partial(like, STAGE, "write a staging label, such as AWSCURRENT"),
        "pointer": check_pointer,
        "tenant": canonical,
        "field_name": partial(like, FIELD_NAME, "write the name of a header field"),
        "redis": addresses.redis,
        "key_prefix": partial(like, KEY_PREFIX, "use at most 128 visible ASCII characters, without braces"),
        "private_key_file": partial(_tenant_path, document),
        "private_key_variable": partial(variable, environ, multiline=True),
        "key_file": lambda path: _key(value(path)),
        "key_variable": lambda name: _key(variable(environ, name)),
        "bearer_file": lambda path: _bearer(value(path)),
        "bearer_variable": lambda name: _bearer(variable(environ, name)),
    }


def doubt(environ: Mapping[str, str], checks: Mapping[str, Callable[[str], object]]) -> Doubt:
    """Return the rule that finds values that are probably a mistake. The checks have read the files."""

    def doubtful(check: str, text: str) -> str:
        if PLACE in text:
            check = ""  # neither is read before the tenant is known
        if check in {"variable", "tenant_variable"} and is_unexpanded(environ.get(text, "")):
            return f"the environment variable {text} holds a variable or template that was not replaced"
        if check in {"secret_file", "tenant_secret_file"} and is_unexpanded(str(checks[check](text))):
            return "the file holds a variable or template that was not replaced"
        form = unexpanded(text)
        return literally(form) if form else ""

    return doubtful


def _read_fixed(read: Read, name: str, limit: int) -> str:
    refuse_place(name)
    return read(name, limit)


def _tenant_path(check: Callable[[str], str], path: str) -> str:
    """Check the file, or the form of the path if only a tenant makes it the path of a file."""
    if set(path.replace(PLACE, "")) & set("{}") and not unexpanded(path.replace(PLACE, "")):
        raise ValueError(f"only {PLACE} is replaced: write it exactly so, and no other braces")
    return path if PLACE in path else check(path)


def _tenant_variable(environ: Mapping[str, str], name: str) -> str:
    """Check the variable, or the form of its name if only a tenant makes it the name of one."""
    if PLACE not in name:
        if re.fullmatch(r"\w*\{+[^{}]*\}+\w*", name, re.ASCII):
            raise ValueError(f"only {PLACE} is replaced: write it exactly so, and no other braces")
        return variable(environ, name)
    like(
        TENANT_VARIABLE,
        f"write letters, digits and underscores, and {PLACE} once and not at the beginning",
        name,
    )
    return name


def _token_type(text: str) -> None:
    if text not in TOKEN_TYPES:
        try:
            addresses.resource(text)
        except ValueError:
            raise ValueError(f"write one of {', '.join(TOKEN_TYPES)}, or a URI") from None


def _key(text: str) -> None:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ValueError("holds no key of 32 bytes in base64: `sidecar keygen` makes one")


def _bearer(text: str) -> None:
    like(r"[!-~]{16,4096}", "must hold 16 or more visible ASCII characters, without spaces", text)


def cross_checks(file: File, faulty: Faulty, environ: Mapping[str, str] | None) -> Iterator[Found]:
    """Return faults between entries, except those that only follow from an earlier fault.

    `environ` is None where secrets are not read.
    """
    known = {str(name): None for name in file.credentials}
    for name, token in file.tokens.items():
        if isinstance(token, TokenEntry):
            path = f"tokens.{name}"
            if token.credentials and token.credentials not in known and not faulty.at("credentials"):
                yield f"{path}.credentials", unknown_entry(token.credentials, known)
            yield from _token_faults(path, token, file, faulty)
    if environ is not None:
        yield from _key_faults(file, environ, faulty)
    yield from _secret_faults(file, faulty)
    yield from _template_faults(file, faulty)
    if not faulty.within("tenant"):
        yield from tenant_faults(file.tenant, file.tokens, file.credentials)
    yield from route_faults(file.routes, file.tokens, faulty, tenants=file.tenant is not None)
    if not faulty.within("cache.mode") and not faulty.at("cache"):
        yield from fleet_faults(file.cache.mode, file.redis, file.busts, faulty)
    yield from _listen_faults(file, faulty)
    yield from _token_api_faults(file.token_api, file.tokens, faulty)


def unused(file: File) -> Iterator[Found]:
    """Yield the entries of a valid file that nothing names: probably a reference is missing or misspelt.

    Credentials of an unused token are not unused: the one mistake is reported once.
    """
    named = {token.credentials or "" for token in file.tokens.values()}
    for name in file.credentials:
        if str(name) not in named:
            yield (
                f"credentials.{name}",
                "no token uses this entry: name it in tokens.<name>.credentials, or remove it",
            )
    named = {route.token or "" for route in file.routes}
    named.update(map(str, file.token_api.tokens if file.token_api is not None else ()))
    for name in file.tokens:
        if str(name) not in named:
            yield (
                f"tokens.{name}",
                "no route uses this entry: name it in routes[].token or token_api.tokens, or remove it",
            )


def _listen_faults(file: File, faulty: Faulty) -> Iterator[Found]:
    """Yield addresses that an earlier one uses already."""
    api = file.token_api.listen if isinstance(file.token_api, TokenApi) else None
    written = {"listen": file.listen, "admin.listen": file.admin.listen, "token_api.listen": api}
    read: dict[str, addresses.Address] = {}
    for path, text in written.items():
        if text is None or faulty.at(path, path.partition(".")[0]):
            continue
        address = addresses.listen(text)
        if taken := next((other for other, known in read.items() if _collide(known, address)), ""):
            yield path, f"the same address or port as {taken}: choose another one"
        read[path] = address


def _token_api_faults(
    entry: TokenApi | None, tokens: Mapping[str, object], faulty: Faulty
) -> Iterator[Found]:
    """Yield tokens to be handed out that do not exist."""
    known = {str(name): None for name in tokens}
    for index, name in enumerate(entry.tokens if isinstance(entry, TokenApi) else ()):
        path = f"token_api.tokens[{index}]"
        if name not in known and not faulty.at("tokens") and not faulty.within(path):
            yield path, unknown_entry(name, known)


def _collide(one: addresses.Address, other: addresses.Address) -> bool:
    if isinstance(one, addresses.TcpAddress) and isinstance(other, addresses.TcpAddress):
        return one.port == other.port != 0
    return one == other


def _token_faults(path: str, token: TokenEntry, file: File, faulty: Faulty) -> Iterator[Found]:
    entry = file.credentials.get(token.credentials)
    sound = isinstance(entry, Credentials) and not faulty.within(f"credentials.{token.credentials}")
    keys = TokenEntry.__struct_fields__ if faulty.within(path) else ()
    misread = {key for key in keys if faulty.within(f"{path}.{key}")}
    yield from token_rules.faults(path, token, entry if sound else None, misread)
    if isinstance(file.tenant, Tenant) and misread.isdisjoint({"grant", "subject", "actor"}):
        yield from caller_faults(path, token, file.tenant)


def _key_faults(file: File, environ: Mapping[str, str], faulty: Faulty) -> Iterator[Found]:
    """Yield faults of each key with its passphrase and its certificate, all of which have been found."""
    fault = cache(partial(private_key_fault, environ))
    for name, entry in file.credentials.items():
        if isinstance(entry, Credentials):
            path, key = f"credentials.{name}.private_key", entry.private_key
            read = key is not None and not of_tenants(key) and not faulty.within(path)
            if key is not None and read and (reason := fault(key)):
                yield f"{path}.{'file' if key.file else 'env'}", reason


def _secret_faults(file: File, faulty: Faulty) -> Iterator[Found]:
    """Yield faults of entries with the same service, because secrets are stored by service."""
    services: dict[str, str] = {}
    for name, entry in file.credentials.items():
        if isinstance(entry, Credentials):
            service = entry.service or name
            if faulty.within(f"credentials.{name}.service"):
                continue
            if entry.aws_secret is not None and services.setdefault(service, name) != name:
                reason = f"{services[service]} has the same: give each secret its own"
                yield f"credentials.{name}.service", reason


def _template_faults(file: File, faulty: Faulty) -> Iterator[Found]:
    """Yield faults of templates of which a tenant's id can make the place of another secret."""
    rule = tenant_rule(file.tenant) if not faulty.within("tenant") else None
    placed: list[Found] = []
    for name, entry in file.credentials.items():
        if isinstance(entry, Credentials):
            placed += [
                (path, template)
                for path, template in templates(name, entry)
                if PLACE in template and not path.endswith("aws_secret.id") and not faulty.within(path)
            ]
    if rule is None or not placed:
        return
    others = sorted({*OWN_VARIABLES, *map(_normal, _secret_places(file))} - {""})

    @cache
    def reached(template: str) -> str:
        """Return the other place, "" if there is none."""
        head, tail = template.partition(PLACE)[0], template.rpartition(PLACE)[2]
        for other in others[bisect_left(others, head) :]:
            if not other.startswith(head):
                break
            near = other.endswith(tail) and other != template
            for named in _named(other, rule.allow) if near else ():
                tenant = tenant_in(template, named)
                if tenant and (tenant == rule.default if rule.fixed else rule.serves(tenant)):
                    return other
        return ""

    for path, template in placed:
        if other := reached(_normal(template)):
            yield (
                path,
                f"with a tenant's id, this can become {other}; choose another folder or name before {PLACE}",
            )


def _normal(place: str) -> str:
    """Return the place as others that mean the same file are written, too; a variable's name as it is."""
    return posixpath.normpath(place) if "/" in place else place


def _named(place: str, allow: Collection[str]) -> Iterator[str]:
    """Return the place, or those that a tenant makes of it; of tenants without a list, one stands for all."""
    return (place.replace(PLACE, tenant) for tenant in ((allow or ("x",)) if PLACE in place else ("",)))


def _secret_places(value: object) -> Iterator[str]:
    """Yield the files and variables of all secrets in the configuration, and those of its tenants."""
    if isinstance(value, Reference):
        yield value.file or value.env or ""
    if isinstance(value, Node):
        for name in value.__struct_fields__:
            inside = getattr(value, name)
            if name.endswith("file") and name != "ca_file" and isinstance(inside, str):
                yield inside
            else:
                yield from _secret_places(inside)
    elif isinstance(value, tuple | dict):
        for inside in value.values() if isinstance(value, dict) else value:
            yield from _secret_places(inside)
