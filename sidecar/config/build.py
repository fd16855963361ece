"""From what is written to what is meant. Everything has been checked."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from sidecar.cache.settings import CacheSettings
from sidecar.config import credentials, durations, schema, types
from sidecar.config.build_tokens import reference, tls, token_request
from sidecar.config.rules import variable
from sidecar.config.settings import AdminSettings, Config, LogSettings
from sidecar.config.tenants import Tenant
from sidecar.core import addresses
from sidecar.core.header_names import hiding
from sidecar.core.origin import Origin
from sidecar.core.secret import Secret, SecretRef
from sidecar.core.tenants import TenantRule, canonical
from sidecar.credentials.model import (
    AwsSecretCredentials,
    CredentialSpec,
    FileCredentials,
    FixedCredentials,
    SecretFileCredentials,
)
from sidecar.fleet.settings import (
    BustSettings,
    EncryptionKey,
    ForeignChannel,
    RedisSettings,
    SentinelSettings,
)
from sidecar.oauth.token import TokenRequest
from sidecar.proxy.routes import Route
from sidecar.proxy.tenants import for_tenant


def config(file: schema.File, environ: Mapping[str, str], breathe: Callable[[], None]) -> Config:
    redis = _redis(file.redis, environ) if file.redis and file.cache.mode != "local" else None
    tokens = {}
    for name, entry in file.tokens.items():
        breathe()
        tokens[name] = token_request(name, entry, file.credentials[entry.credentials], environ)
    tenants = _tenants(file.tenant)
    if tenants is not None and tenants.fixed:
        tokens = {name: for_tenant(token, tenants.default) for name, token in tokens.items()}
        tenants = None
    return Config(
        listen=file.listen,
        admin=AdminSettings(file.admin.listen, _secret(file.admin.token, environ)),
        cache=CacheSettings(
            mode="distributed" if redis else "local",
            memory_ttl=durations.seconds(file.cache.memory_ttl),
            store_ttl=durations.seconds(file.cache.store_ttl),
            leeway=durations.seconds(file.cache.leeway),
            max_entries=file.cache.max_entries,
        ),
        redis=redis,
        busts=BustSettings(
            tuple(ForeignChannel(channel.channel, channel.dialect) for channel in file.busts.listen)
        ),
        credentials={name: _credentials(name, entry, environ) for name, entry in file.credentials.items()},
        tokens=tokens,
        tenants=tenants,
        routes=tuple(_routes(file.routes, tokens, tenants, breathe)),
        drain_min_delay=durations.seconds(file.drain_min_delay),
        drain_timeout=durations.seconds(file.drain_timeout),
        log=LogSettings(file.log.format, file.log.level, durations.share(file.log.requests)),
    )


def _tenants(entry: Tenant | None) -> TenantRule | None:
    if entry is None:
        return None
    return TenantRule(
        header=(entry.header or "").lower().encode(),
        path=entry.path,
        claim=entry.claim or "",
        default=canonical(entry.default) if entry.default else "",
        allow=frozenset(map(canonical, entry.allow)),
    )


def _redis(entry: schema.Redis, environ: Mapping[str, str]) -> RedisSettings:
    url = addresses.redis(entry.url)
    port = 26379 if entry.sentinel else 6379
    return RedisSettings(
        hosts=tuple((host, given or port) for host, given in url.hosts),
        unix_path=url.unix_path,
        tls=tls(entry.tls) if url.tls else None,
        database=url.database,
        username=entry.username or "",
        password=_secret(entry.password, environ),
        sentinel=_sentinel(entry.sentinel, environ) if entry.sentinel else None,
        cluster=entry.cluster,
        key_prefix=entry.key_prefix,
        encryption_keys=tuple(
            EncryptionKey(key.id, reference(key.key, environ)) for key in entry.encryption_keys
        ),
    )


def _sentinel(entry: schema.Sentinel, environ: Mapping[str, str]) -> SentinelSettings:
    return SentinelSettings(entry.master, entry.username or "", _secret(entry.password, environ))


def _secret(entry: types.Reference | None, environ: Mapping[str, str]) -> SecretRef | None:
    return reference(entry, environ) if entry else None


def _credentials(name: str, entry: credentials.Credentials, environ: Mapping[str, str]) -> CredentialSpec:
    if entry.aws_secret:
        return _aws_secret(entry.aws_secret, entry.service or name, share=entry.share)
    if entry.file:
        return FileCredentials(entry.file)
    client_id = entry.client_id or ""
    if entry.client_secret is None:
        return FixedCredentials(client_id, Secret(""))
    if entry.client_secret.file:
        return SecretFileCredentials(client_id, entry.client_secret.file)
    return FixedCredentials(client_id, Secret(variable(environ, entry.client_secret.env or "")))


def _aws_secret(entry: credentials.AwsSecret, service: str, *, share: bool) -> AwsSecretCredentials:
    return AwsSecretCredentials(
        id=entry.id,
        service=service,
        region=entry.region or "",
        endpoint=entry.endpoint or "",
        stage=entry.stage,
        pointer=entry.pointer,
        share=share,
    )


def _hidden(token: TokenRequest | None, tenants: TenantRule | None) -> re.Pattern[bytes] | None:
    if token is None:
        return None
    return hiding(token.brought, [tenants.header] if tenants is not None and tenants.header else [])


def _routes(
    entries: Iterable[schema.RouteEntry],
    tokens: Mapping[str, TokenRequest],
    tenants: TenantRule | None,
    breathe: Callable[[], None],
) -> Iterator[Route]:
    for entry in entries:
        breathe()
        yield _route(entry, tokens, tenants)


def _route(entry: schema.RouteEntry, tokens: Mapping[str, TokenRequest], tenants: TenantRule | None) -> Route:
    token = tokens[entry.token] if entry.token else None
    url = addresses.upstream(entry.upstream)
    connect = durations.seconds(entry.timeouts.connect)
    return Route(
        name=entry.name,
        origin=Origin(url.scheme, url.host, url.port, tls(entry.tls), entry.max_connections, connect),
        host=(entry.match.host or "").lower(),
        prefix=entry.match.prefix,
        base_path=url.base_path,
        strip_prefix=entry.strip_prefix,
        token=token,
        hidden=_hidden(token, tenants),
        on_401=entry.on_401,
        refused_statuses=frozenset(entry.refused_statuses),
        idle_timeout=durations.seconds(entry.timeouts.idle),
        total_timeout=durations.seconds(entry.timeouts.total),
    )
