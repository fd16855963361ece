"""Configuration: what is written becomes what is meant, or everything wrong with it is told at once."""

import base64
import contextlib
import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache.settings import CacheSettings
from sidecar.config.load import json_schema, load, sources
from sidecar.config.settings import AdminSettings, Config
from sidecar.core.errors import ConfigError, Fault
from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tenants import TenantRule
from sidecar.core.tls import Tls
from sidecar.credentials.model import (
    AwsSecretCredentials,
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
from sidecar.oauth import subject_token
from sidecar.oauth.signing_keys import PrivateKey, Verification
from sidecar.oauth.token import Assertion, FromRequest, Presented, TokenRequest

CANARY = "hunter2-canary"
ONE_ROUTE = {
    "SIDECAR_UPSTREAM": "https://ledger.internal/api/",
    "SIDECAR_TOKEN_ENDPOINT": "https://auth.example.com/oauth2/token",
    "SIDECAR_CLIENT_ID": "me",
    "SIDECAR_CLIENT_SECRET": CANARY,
}
GOOD: dict[str, Any] = {
    "credentials": {"c": {"client_id": "me", "client_secret": {"env": "CLIENT_SECRET"}}},
    "tokens": {"t": {"token_endpoint": "https://auth.example.com/token", "credentials": "c"}},
    "routes": [{"name": "r", "match": {"prefix": "/r"}, "upstream": "https://r.internal", "token": "t"}],
}
KEY = base64.b64encode(b"hunter2-canary 32 bytes long key").decode()
SECRETS = {"CLIENT_SECRET": CANARY, "KEY": KEY, "PEM": "-----BEGIN PRIVATE KEY-----"}
REDIS: dict[str, Any] = {
    "url": "redis://redis.internal",
    "encryption_keys": [{"id": "k1", "key": {"env": "KEY"}}],
}
"""The least that makes a fleet."""


def tree(**changes: object) -> dict[str, Any]:
    """A good tree with values put at paths: `routes__0__upstream="…"`; None takes the key away."""
    changed = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *parents, key = path.split("__")
        place: Any = changed
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place.setdefault(parent, {})
        if value is None:
            del place[key]
        else:
            place[key] = value
    return changed


def write(path: Path, content: object) -> str:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def read(tmp_path: Path, content: object, environ: dict[str, str] | None = None) -> Config:
    return load(write(tmp_path / "config.yaml", content), SECRETS | (environ or {}))


def faults(path: str | None, environ: dict[str, str]) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    assert CANARY not in str(caught.value)
    return caught.value.faults


def test_a_whole_file_becomes_a_config(tmp_path: Path) -> None:
    """Every key of the file arrives where it is meant, in seconds and as core's own types."""
    pem = write(tmp_path / "ca.pem", "-----BEGIN CERTIFICATE-----")
    secret = write(tmp_path / "secret", CANARY)
    both = write(tmp_path / "both.json", "{}")
    config = read(
        tmp_path,
        f"""
listen: unix:/run/sidecar/http.sock
admin: {{listen: "[::1]:9181"}}
cache: {{mode: local, memory_ttl: 500ms, store_ttl: 5m, leeway: 0s, max_entries: 7}}
credentials:
  fixed: {{client_id: me, client_secret: {{env: CLIENT_SECRET}}, service: ledger}}
  secret-file: {{client_id: me, client_secret: {{file: {secret}}}}}
  both: {{file: {both}}}
  aws:
    aws_secret:
      {{id: "m2m/{{service}}", region: eu-west-1, endpoint: "http://[::1]:1", stage: BLUE, pointer: /a~1b/0}}
    service: ledger
    share: false
  public: {{client_id: me}}
tokens:
  t:
    grant: client_credentials
    token_endpoint: https://auth.example.com/token?x=1
    client_auth: client_secret_post
    credentials: fixed
    scope: [a, b]
    audience: ledger
    resource: ["https://ledger.example.com"]
  p: {{token_endpoint: "http://127.0.0.1:1/token", client_auth: none, credentials: public}}
routes:
  - name: r
    match: {{prefix: /r, host: R.Example.com}}
    upstream: https://R.internal:8443/base/
    token: t
    strip_prefix: true
    on_401: strict
    refused_statuses: [401, 440]
    timeouts: {{connect: 1s, idle: 2s, total: 3s}}
    tls: {{ca_file: {pem}, certificate_file: {pem}, key_file: {pem}}}
    max_connections: 3
  - {{name: plain, upstream: "http://[::1]"}}
drain_timeout: 1h
log: {{format: console, level: debug}}
""",
    )
    assert (config.listen, config.admin.listen) == ("unix:/run/sidecar/http.sock", "[::1]:9181")
    assert config.cache == CacheSettings(memory_ttl=0.5, store_ttl=300.0, leeway=0.0, max_entries=7)
    assert config.credentials == {
        "fixed": FixedCredentials("me", Secret(CANARY)),
        "secret-file": SecretFileCredentials("me", secret),
        "aws": AwsSecretCredentials(
            "m2m/{service}",
            "ledger",
            "eu-west-1",
            "http://[::1]:1",
            stage="BLUE",
            pointer="/a~1b/0",
            share=False,
        ),
        "both": FileCredentials(both),
        "public": FixedCredentials("me", Secret("")),
    }
    request = config.tokens["t"]
    assert (request.service, request.scope, request.audience) == ("ledger", ("a", "b"), "ledger")
    assert (request.client_auth, request.resource) == ("client_secret_post", ("https://ledger.example.com",))
    route, plain = config.routes
    assert (route.host, route.prefix, route.base_path, route.strip_prefix) == (
        "r.example.com",
        "/r",
        "/base",
        True,
    )
    assert (route.origin.scheme, route.origin.host, route.origin.port) == ("https", "r.internal", 8443)
    assert (route.origin.max_connections, route.origin.connect_timeout, route.origin.tls.ca_file) == (
        3,
        1.0,
        pem,
    )
    assert (route.token, route.on_401, route.refused_statuses) == (request, "strict", frozenset({401, 440}))
    assert (route.idle_timeout, route.total_timeout) == (2.0, 3.0)
    assert (plain.token, plain.prefix, plain.origin.host, plain.origin.port) == (None, "/", "::1", 80)
    assert (config.drain_timeout, config.log.format, config.log.level) == (3600.0, "console", "debug")


def test_a_fleet_s_file_becomes_settings(tmp_path: Path) -> None:
    """Every key of what the sidecars share arrives where it is meant; a secret in a file stays a reference."""
    pem = write(tmp_path / "ca.pem", "-----BEGIN CERTIFICATE-----")
    password = write(tmp_path / "password", CANARY)
    token = write(tmp_path / "token", "a-token-of-some-length\n")
    key = write(tmp_path / "key", KEY + "\n")
    config = read(
        tmp_path,
        tree(
            admin={"token": {"file": token}},
            cache={"memory_ttl": "1s"},
            redis={
                "url": "rediss://One.internal:1,two.internal,[::1]:3/7",
                "key_prefix": "prod:",
                "username": "me",
                "password": {"file": password},
                "tls": {"ca_file": pem, "certificate_file": pem, "key_file": pem},
                "sentinel": {"master": "main", "username": "s", "password": {"env": "CLIENT_SECRET"}},
                "encryption_keys": [{"id": "k2", "key": {"file": key}}, {"id": "k1", "key": {"env": "KEY"}}],
            },
            busts={"listen": [{"channel": "mcpgw:auth:invalidate", "dialect": "mcp-gateway"}]},
        ),
    )
    assert config.admin == AdminSettings(token=SecretFile(token))
    assert config.cache == CacheSettings(mode="distributed", memory_ttl=1.0)
    assert config.redis == RedisSettings(
        hosts=(("one.internal", 1), ("two.internal", 26379), ("::1", 3)),
        tls=Tls(pem, pem, pem),
        database=7,
        username="me",
        password=SecretFile(password),
        sentinel=SentinelSettings("main", "s", Secret(CANARY)),
        key_prefix="prod:",
        encryption_keys=(EncryptionKey("k2", SecretFile(key)), EncryptionKey("k1", Secret(KEY))),
    )
    assert config.busts == BustSettings((ForeignChannel("mcpgw:auth:invalidate", "mcp-gateway"),))


@pytest.mark.parametrize(
    ("url", "more", "settings"),
    [
        ("redis://r", {}, RedisSettings(hosts=(("r", 6379),))),
        ("redis://r:1/", {}, RedisSettings(hosts=(("r", 1),))),
        ("rediss://r", {}, RedisSettings(hosts=(("r", 6379),), tls=Tls())),
        ("redis://a,b:7", {"cluster": True}, RedisSettings(hosts=(("a", 6379), ("b", 7)), cluster=True)),
        ("unix:///run/r.sock", {}, RedisSettings(unix_path="/run/r.sock")),
        ("unix:///run/r.sock?db=3", {}, RedisSettings(unix_path="/run/r.sock", database=3)),
    ],
)
def test_each_form_of_a_redis_url(
    tmp_path: Path, url: str, more: dict[str, object], settings: RedisSettings
) -> None:
    """One server, with or without TLS, a socket, or nodes of a Cluster; here all of it in the clear."""
    assert read(tmp_path, tree(redis={"url": url, "encryption": "none", **more})).redis == settings


@pytest.mark.parametrize(
    ("url", "settings"),
    [
        ("redis://r\n", RedisSettings(hosts=(("r", 6379),))),
        (" \tredis://r:1/2 \r\n", RedisSettings(hosts=(("r", 1),), database=2)),
        ("\nunix:///run/r.sock?db=3\n", RedisSettings(unix_path="/run/r.sock", database=3)),
        ("valkey://r", RedisSettings(hosts=(("r", 6379),))),
        ("valkey://r:1/2\n", RedisSettings(hosts=(("r", 1),), database=2)),
        ("valkeys://r", RedisSettings(hosts=(("r", 6379),), tls=Tls())),
        ("valkeys://[::1]:3/7", RedisSettings(hosts=(("::1", 3),), tls=Tls(), database=7)),
    ],
)
def test_r5_a_redis_url_is_read_whatever_surrounds_it_and_by_either_name(
    tmp_path: Path, url: str, settings: RedisSettings
) -> None:
    """From the file and from the environment alike."""
    assert read(tmp_path, tree(redis={"url": url, "encryption": "none"})).redis == settings
    written = tree(redis={"url": "redis://other", "encryption": "none"})
    assert read(tmp_path, written, {"REDIS_URL": url}).redis == settings


@pytest.mark.parametrize("scheme", ["redis", "valkey", "rediss", "valkeys"])
@pytest.mark.parametrize(("before", "after"), [("", "\n"), ("  ", ""), ("\t\n", "\r\n ")])
def test_r5_a_password_is_found_in_a_redis_url_whatever_surrounds_it(
    scheme: str, before: str, after: str
) -> None:
    """It never stays in the URL, and what surrounds the URL is no part of it."""
    url = f"{before}{scheme}://me:pass%2Fword@r:1/2{after}"
    settings = load(None, ONE_ROUTE | {"REDIS_URL": url, "SIDECAR_ENCRYPTION_KEY": KEY}).redis
    assert settings
    assert (settings.hosts, settings.database, settings.tls is not None) == (
        (("r", 1),),
        2,
        scheme in ("rediss", "valkeys"),
    )
    assert (settings.username, settings.password) == ("me", Secret("pass/word"))


@pytest.mark.parametrize("url", ["\n", "  ", "\r\n"])
def test_r5_a_blank_redis_url_is_none(url: str) -> None:
    """As an empty one is."""
    assert load(None, ONE_ROUTE | {"REDIS_URL": url}).redis is None


@pytest.mark.parametrize(
    "url", ["valkeyss://r", "valkey:r", "redis://a b", "redis://r\n/1", "VALKEY//r", "redi://r"]
)
def test_r5_what_is_no_redis_url_is_refused(tmp_path: Path, url: str) -> None:
    """With the forms there are."""
    with pytest.raises(ConfigError, match=r"write redis://.*valkey|malformed"):
        read(tmp_path, tree(redis={"url": url, "encryption": "none"}))


def test_a_short_file_has_the_documented_defaults(tmp_path: Path) -> None:
    """The schema's defaults and core's are the same."""
    config = read(tmp_path, tree())
    bare = Config()
    assert (config.listen, config.admin, config.cache) == (bare.listen, bare.admin, bare.cache)
    assert (config.drain_timeout, config.log.format, config.log.level) == (
        bare.drain_timeout,
        bare.log.format,
        bare.log.level,
    )
    assert config.tokens["t"].service == "c"
    assert config.routes[0].on_401 == "lenient"


def test_the_environment_alone_makes_one_route() -> None:
    """The four needed variables and the optional two are one route that strips nothing."""
    config = load(None, ONE_ROUTE | {"SIDECAR_SCOPE": "a b", "SIDECAR_AUDIENCE": "ledger"})
    (route,) = config.routes
    assert (route.prefix, route.strip_prefix, route.base_path) == ("/", False, "/api")
    assert route.token is not None
    assert (route.token.scope, route.token.audience) == (("a", "b"), "ledger")
    assert config.credentials == {"default": FixedCredentials("me", Secret(CANARY))}


def test_the_twins_name_files(tmp_path: Path) -> None:
    """A client id's file is read now, a client secret's file is read by whoever uses it."""
    client_id = write(tmp_path / "id", "me\n")
    secret = write(tmp_path / "secret", CANARY)
    environ = {name: ONE_ROUTE[name] for name in ("SIDECAR_UPSTREAM", "SIDECAR_TOKEN_ENDPOINT")}
    environ |= {"SIDECAR_CLIENT_ID_FILE": client_id, "SIDECAR_CLIENT_SECRET_FILE": secret}
    assert load(None, environ).credentials == {"default": SecretFileCredentials("me", secret)}
    assert sources(None, environ) == (Path(client_id),)


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    """A variable wins over the file; an empty one is no variable."""
    written = tree(listen="127.0.0.1:1", cache={"store_ttl": "1s"}, log={"format": "json", "level": "error"})
    config = read(
        tmp_path,
        written,
        {
            "SIDECAR_LISTEN": "127.0.0.1:2",
            "SIDECAR_ADMIN_LISTEN": "127.0.0.1:3",
            "M2M_CREDENTIAL_CACHE_MODE": "local",
            "M2M_CREDENTIAL_CACHE_TTL_SEC": "120",
            "LOG_FORMAT": "console",
            "LOG_LEVEL": "",
            "LOG_REQUESTS": "1%",
        },
    )
    assert (config.listen, config.admin.listen) == ("127.0.0.1:2", "127.0.0.1:3")
    assert (config.cache.store_ttl, config.log.format, config.log.level) == (120.0, "console", "error")
    assert config.log.requests == 0.01


def test_the_file_is_found_by_flag_then_variable(tmp_path: Path) -> None:
    """The flag's file goes before SIDECAR_CONFIG's."""
    one = write(tmp_path / "one.yaml", tree(listen="127.0.0.1:1"))
    two = write(tmp_path / "two.yaml", tree(listen="127.0.0.1:2"))
    environ = SECRETS | {"SIDECAR_CONFIG": two}
    assert load(one, environ).listen == "127.0.0.1:1"
    assert load(None, environ).listen == "127.0.0.1:2"


@pytest.mark.parametrize("name", ["config.yaml", "not-there.yaml"])
def test_a_file_is_a_source_whatever_it_holds(tmp_path: Path, name: str) -> None:
    """A bad file, or a missing one, is watched all the same: it may be mended."""
    write(tmp_path / "config.yaml", "[")
    assert sources(str(tmp_path / name), {}) == (tmp_path / name,)


BAD_VALUES: list[tuple[str, object, str, str]] = [
    # what is set, to what, where the fault is told, a part of the reason
    ("listen", "0.0.0.0:9180", "listen", "not a loopback address"),
    ("listen", "[::]:9180", "listen", "not a loopback address"),
    ("listen", "127.0.0.1", "listen", "write host:port"),
    ("listen", "127.0.0.1:65536", "listen", "write host:port"),
    ("listen", "unix:relative", "listen", "absolute path"),
    ("listen", "unix:/" + "x" * 200, "listen", "at most 107 bytes"),
    ("listen", 9180, "listen", "write host:port"),
    ("admin", {"listen": "0.0.0.0:9180"}, "admin.listen", "the same address or port as listen"),
    ("admin", {"listen": ":9181"}, "admin.listen", "write host:port"),
    ("admin", {"token": CANARY}, "admin.token", "never written here"),
    ("admin", {"token": {}}, "admin.token", "exactly one of: file, env"),
    ("admin", {"token": {"env": "CLIENT_SECRET"}}, "admin.token.env", "16 or more visible ASCII"),
    ("admin", {"token": {"file": __file__}}, "admin.token.file", "without spaces"),
    ("admin", {"token": {"file": "/nope"}}, "admin.token.file", "cannot be read"),
    ("admin", [], "admin", "write a mapping"),
    ("cache", {"mode": "distributed"}, "cache.mode", "needs a redis.url"),
    ("cache", {"mode": "off"}, "cache.mode", "must be one of: local, distributed"),
    ("cache", {"memory_ttl": 30}, "cache.memory_ttl", "such as 30s"),
    ("cache", {"memory_ttl": "0s"}, "cache.memory_ttl", "longer than 0s"),
    ("cache", {"leeway": "-1s"}, "cache.leeway", "no duration"),
    ("cache", {"leeway": "1.5s"}, "cache.leeway", "no duration"),
    ("cache", {"max_entries": 0}, "cache.max_entries", ">= 1"),
    ("cache", {"max_entries": True}, "cache.max_entries", "Expected int"),
    ("redis", [], "redis", "write a mapping"),
    ("redis", {**REDIS, "urls": "x"}, "redis.urls", "unknown key"),
    ("redis", {"encryption": "none"}, "redis.url", "missing"),
    ("redis", {**REDIS, "url": f"redis://:{CANARY}@r"}, "redis.url", "take the user name and password out"),
    ("redis", {**REDIS, "url": "http://r"}, "redis.url", "write redis://"),
    ("redis", {**REDIS, "url": "redis://"}, "redis.url", "write redis://"),
    ("redis", {**REDIS, "url": "redis://r/x"}, "redis.url", "write redis://"),
    ("redis", {**REDIS, "url": "redis://r?db=1"}, "redis.url", "without a query"),
    ("redis", {**REDIS, "url": "redis://r:0"}, "redis.url", "malformed"),
    ("redis", {**REDIS, "url": "redis://r:65536"}, "redis.url", "malformed"),
    ("redis", {**REDIS, "url": "redis://a,,b"}, "redis.url", "malformed"),
    ("redis", {**REDIS, "url": "redis://-a-"}, "redis.url", "malformed"),
    ("redis", {**REDIS, "url": "unix:relative"}, "redis.url", "unix:///path"),
    ("redis", {**REDIS, "url": "redis://a,b"}, "redis.url", "several hosts"),
    ("redis", {**REDIS, "url": "redis://a/1", "cluster": True}, "redis.url", "only database 0"),
    ("redis", {**REDIS, "url": "unix:///r", "cluster": True}, "redis.url", "a socket is no Cluster"),
    ("redis", {**REDIS, "url": "unix:///r", "sentinel": {"master": "m"}}, "redis.url", "no Sentinel"),
    ("redis", {**REDIS, "cluster": True, "sentinel": {"master": "m"}}, "redis.cluster", "either"),
    ("redis", {**REDIS, "sentinel": {}}, "redis.sentinel.master", "missing"),
    (
        "redis",
        {**REDIS, "sentinel": {"master": "m", "username": "u"}},
        "redis.sentinel.username",
        "beside password",
    ),
    ("redis", {**REDIS, "cluster": "yes"}, "redis.cluster", "Expected bool"),
    ("redis", {**REDIS, "key_prefix": "{a}"}, "redis.key_prefix", "without braces"),
    ("redis", {**REDIS, "key_prefix": "a b"}, "redis.key_prefix", "visible ASCII"),
    ("redis", {**REDIS, "username": "me"}, "redis.username", "beside password"),
    ("redis", {**REDIS, "password": CANARY}, "redis.password", "never written here"),
    ("redis", {**REDIS, "password": {"env": "NOPE"}}, "redis.password.env", "NOPE is not set"),
    ("redis", {**REDIS, "tls": {"ca_file": __file__}}, "redis.tls", "the URL is not rediss"),
    (
        "redis",
        {**REDIS, "url": "rediss://r", "tls": {"ca_file": "/nope"}},
        "redis.tls.ca_file",
        "cannot be read",
    ),
    ("redis", {"url": "redis://r"}, "redis.encryption_keys", "or write encryption: none"),
    ("redis", {**REDIS, "encryption_keys": []}, "redis.encryption_keys", "sidecar keygen"),
    ("redis", {**REDIS, "encryption_keys": KEY}, "redis.encryption_keys", "write a list"),
    ("redis", {**REDIS, "encryption": "none"}, "redis.encryption", "take one of the two out"),
    ("redis", {**REDIS, "encryption": "rot13"}, "redis.encryption", "aes-256-gcm, none"),
    (
        "redis",
        {**REDIS, "encryption_keys": [{"id": "k", "key": KEY}]},
        "redis.encryption_keys[0].key",
        "a key is never written here",
    ),
    (
        "redis",
        {**REDIS, "encryption_keys": [{"id": "k", "key": {"env": "CLIENT_SECRET"}}]},
        "redis.encryption_keys[0].key.env",
        "no key of 32 bytes in base64",
    ),
    (
        "redis",
        {**REDIS, "encryption_keys": [{"id": "k", "key": {"file": __file__}}]},
        "redis.encryption_keys[0].key.file",
        "no key of 32 bytes in base64",
    ),
    (
        "redis",
        {**REDIS, "encryption_keys": REDIS["encryption_keys"] * 2},
        "redis.encryption_keys[1].id",
        "redis.encryption_keys[0] has the same id",
    ),
    (
        "redis",
        {**REDIS, "encryption_keys": [{"id": "a:b", "key": {"env": "KEY"}}]},
        "redis.encryption_keys[0].id",
        "letters, digits",
    ),
    ("busts", {"listen": [{"channel": "c", "dialect": "lerian"}]}, "busts.listen", "no Redis to listen on"),
    ("tenant", {}, "tenant", "names nobody"),
    ("tenant", {"header": "X Tenant"}, "tenant.header", "name of a header field"),
    ("tenant", {"header": "Authorization"}, "tenant.header", "means something else"),
    ("tenant", {"header": "X-T", "path": True}, "tenant.path", "a header already"),
    ("tenant", {"claim": ""}, "tenant.claim", "visible ASCII"),
    ("tenant", {"claim": "org"}, "tokens.t.subject", "give its header"),
    ("tenant", {"default": "a:b"}, "tenant.default", "letters, digits"),
    ("tenant", {"default": "a..b"}, "tenant.default", "single dots"),
    ("tenant", {"header": "X-T", "allow": ["a", "../b"]}, "tenant.allow[1]", "letters, digits"),
    ("tenant", {"header": "X-T", "default": "c", "allow": ["a"]}, "tenant.default", "not in tenant.allow"),
    (
        "tokens__t__token_endpoint",
        "https://auth.test/{tenant}/token",
        "tokens.t.token_endpoint",
        "no tenant section",
    ),
    ("tokens__t__audience", "api-{tenant}", "tokens.t.audience", "no tenant section"),
    ("credentials__c__client_secret", CANARY, "credentials.c.client_secret", "never written here"),
    (
        "credentials__c__client_secret",
        {"file": "/nope"},
        "credentials.c.client_secret.file",
        "cannot be read: No such file",
    ),
    (
        "credentials__c__client_secret",
        {"file": "/tmp"},
        "credentials.c.client_secret.file",
        "no regular file",
    ),
    ("credentials__c__client_secret", {"env": "NOPE"}, "credentials.c.client_secret.env", "NOPE is not set"),
    (
        "credentials__c__client_secret",
        {"env": "EMPTY"},
        "credentials.c.client_secret.env",
        "EMPTY is not set, or is empty",
    ),
    (
        "credentials__c__client_secret",
        {"env": CANARY},
        "credentials.c.client_secret.env",
        "not the secret itself",
    ),
    ("credentials__c__client_secret", {}, "credentials.c.client_secret", "exactly one of: file, env"),
    (
        "credentials__c__client_secret",
        {"file": __file__, "env": "CLIENT_SECRET"},
        "credentials.c.client_secret",
        "exactly one of: file, env",
    ),
    (
        "credentials__c",
        {"file": __file__, "aws_secret": {"id": "x"}},
        "credentials.c",
        "exactly one of",
    ),
    ("credentials__c", {"aws_secret": {}}, "credentials.c.aws_secret.id", "missing"),
    (
        "credentials",
        {"c": {"aws_secret": {"id": "x"}}, "d": {"aws_secret": {"id": "y"}, "service": "c"}},
        "credentials.d.service",
        "c has the same",
    ),
    ("credentials__c__share", False, "credentials.c.share", "only meaningful beside aws_secret"),
    (
        "credentials__c",
        {"aws_secret": {"id": "{tenant}/x"}},
        "credentials.c.aws_secret.id",
        "no tenant section",
    ),
    ("credentials__c", {"aws_secret": {"id": "{name}/x"}}, "credentials.c.aws_secret.id", "only {service}"),
    ("credentials__c", {"aws_secret": {"id": "a b"}}, "credentials.c.aws_secret.id", "name or ARN"),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "region": "Ireland"}},
        "credentials.c.aws_secret.region",
        "eu-west-1",
    ),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "endpoint": "http://aws.test"}},
        "credentials.c.aws_secret.endpoint",
        "use https",
    ),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "stage": "A B"}},
        "credentials.c.aws_secret.stage",
        "staging label",
    ),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "pointer": "a/b"}},
        "credentials.c.aws_secret.pointer",
        "JSON pointer",
    ),
    (
        "credentials__c",
        {"aws_secret": {"id": "x", "pointer": "/a~2"}},
        "credentials.c.aws_secret.pointer",
        "JSON pointer",
    ),
    ("credentials__c", {}, "credentials.c", "exactly one of: aws_secret, file, client_id"),
    ("credentials__c", {"file": "/nope"}, "credentials.c.file", "cannot be read"),
    ("credentials__c", {"client_id": "me"}, "tokens.t.credentials", "has no client_secret"),
    ("credentials__c__client_id", 12, "credentials.c.client_id", "put it in quotes"),
    ("credentials__c__client_id", " ", "credentials.c.client_id", "visible ASCII"),
    ("credentials__c__service", "a:b", "credentials.c.service", "letters, digits"),
    ("credentials__a/b", {"client_id": "me"}, "credentials.a/b", "letters, digits"),
    ("credentials__{x}", {"client_id": "me"}, "credentials.{x}", "letters, digits"),
    ("tokens__t__grant", "implicit", "tokens.t.grant", "must be one of: client_credentials"),
    ("tokens__t__grant", "token_exchange", "tokens.t.subject", "missing: token_exchange exchanges it"),
    ("tokens__t__grant", "jwt_bearer", "tokens.t", "exactly one of: subject, assertion"),
    ("tokens__t__client_auth", "client_secret_jwt", "tokens.t.client_auth", "must be one of"),
    ("tokens__t__client_auth", "private_key_jwt", "tokens.t.credentials", "c has no private_key"),
    ("tokens__t__client_auth", "client_assertion_file", "tokens.t.credentials", "c has no assertion_file"),
    (
        "tokens__t__client_auth",
        "tls_client_auth",
        "tokens.t.tls.certificate_file",
        "tls_client_auth presents",
    ),
    ("tokens__t__assertion_audience", "x", "tokens.t.assertion_audience", "nothing to sign"),
    ("tokens__t__parameters", {"scope": "x"}, "tokens.t.parameters.scope", "the sidecar writes that itself"),
    ("tokens__t__parameters", {"client_id": "x"}, "tokens.t.parameters.client_id", "writes that itself"),
    ("tokens__t__parameters", {"a b": "x"}, "tokens.t.parameters.a b", "letters, digits"),
    ("tokens__t__parameters", {"a": 1}, "tokens.t.parameters.a", "put it in quotes"),
    (
        "tokens__t__requested_token_type",
        "jwt",
        "tokens.t.requested_token_type",
        "only for grant: token_exchange",
    ),
    ("tokens__t__assertion", {}, "tokens.t.assertion", "only for grant: jwt_bearer"),
    ("tokens__t__subject", {"file": __file__}, "tokens.t.subject", "token_exchange or jwt_bearer"),
    ("tokens__t__subject", CANARY, "tokens.t.subject", "a token is never written here"),
    ("tokens__t__subject", {"file": "/nope"}, "tokens.t.subject.file", "cannot be read"),
    (
        "tokens__t__subject",
        {"file": __file__, "type": "jwt "},
        "tokens.t.subject.type",
        "write one of access_token",
    ),
    (
        "tokens__t__subject",
        {"file": __file__, "header": "X"},
        "tokens.t.subject",
        "exactly one of: file, header",
    ),
    ("tokens__t__subject", {"header": "X Y"}, "tokens.t.subject.header", "name of a header field"),
    ("tokens__t__actor", {"file": __file__}, "tokens.t.actor", "beside subject"),
    ("tokens__t__tls", {"ca_file": "/nope"}, "tokens.t.tls.ca_file", "cannot be read"),
    ("tokens__t__issuer", "https://auth.example.com", "tokens.t", "exactly one of: token_endpoint, issuer"),
    ("credentials__c__private_key", CANARY, "credentials.c.private_key", "a key is never written here"),
    (
        "credentials__c__private_key",
        {"file": __file__},
        "credentials.c.private_key.file",
        "neither a PEM key nor a JWK",
    ),
    (
        "credentials__c__private_key",
        {"env": "CLIENT_SECRET"},
        "credentials.c.private_key.env",
        "neither a PEM key nor a JWK",
    ),
    (
        "credentials__c__private_key",
        {"env": "PEM", "algorithm": "HS256"},
        "credentials.c.private_key.algorithm",
        "must be one of: RS256",
    ),
    ("credentials__c__private_key", {}, "credentials.c.private_key", "exactly one of: file, env"),
    ("credentials__c__assertion_file", "/nope", "credentials.c.assertion_file", "cannot be read"),
    (
        "credentials__c",
        {"file": __file__, "assertion_file": __file__},
        "credentials.c.assertion_file",
        "only meaningful beside client_id",
    ),
    ("tokens__t__credentials", "zz", "tokens.t.credentials", "there is no such entry; there is: c"),
    ("tokens__t__credentials", None, "tokens.t.credentials", "missing"),
    ("tokens__t__token_endpoint", None, "tokens.t", "exactly one of: token_endpoint, issuer"),
    ("tokens__t__token_endpoint", "http://auth/token", "tokens.t.token_endpoint", "use https"),
    (
        "tokens__t__token_endpoint",
        f"https://me:{CANARY}@auth",
        "tokens.t.token_endpoint",
        "user name and password",
    ),
    ("tokens__t__token_endpoint", "https://auth/#x", "tokens.t.token_endpoint", "fragment"),
    ("tokens__t__token_endpoint", "/token", "tokens.t.token_endpoint", "write http:// or https://"),
    ("tokens__t__scope", "a b", "tokens.t.scope", "write a list"),
    ("tokens__t__scope", ["a b"], "tokens.t.scope[0]", "one scope an entry"),
    ("tokens__t__resource", ["/x"], "tokens.t.resource[0]", "absolute URI"),
    ("routes", [], "routes", "at least one"),
    ("routes", None, "routes", "missing"),
    ("routes", {}, "routes", "write a list"),
    ("routes", ["x"], "routes[0]", "write a mapping"),
    ("routes__0__name", None, "routes[0].name", "missing"),
    ("routes__0__name", "a b", "routes[0].name", "letters, digits"),
    ("routes__0__token", "zz", "routes[0].token", "there is no such entry; there is: t"),
    ("routes__0__match__prefix", "r", "routes[0].match.prefix", "start the prefix with a slash"),
    ("routes__0__match__prefix", "/r/", "routes[0].match.prefix", "whole segments"),
    ("routes__0__match__prefix", "/a/../b", "routes[0].match.prefix", "dot segment"),
    ("routes__0__match__prefix", "/r?x", "routes[0].match.prefix", "percent-encoded"),
    ("routes__0__match__host", "r:80", "routes[0].match.host", "without scheme and port"),
    ("routes__0__match__method", "GET", "routes[0].match.method", "unknown key"),
    ("routes__0__upstream", None, "routes[0].upstream", "missing"),
    ("routes__0__upstream", "ftp://r", "routes[0].upstream", "write http:// or https://"),
    ("routes__0__upstream", "https://", "routes[0].upstream", "write http:// or https://"),
    ("routes__0__upstream", "https://r:x", "routes[0].upstream", "malformed"),
    ("routes__0__upstream", "https://r:0", "routes[0].upstream", "a port"),
    ("routes__0__upstream", "https://r:70000", "routes[0].upstream", "malformed"),
    ("routes__0__upstream", "https://[::1", "routes[0].upstream", "malformed"),
    ("routes__0__upstream", "https://-r-.x", "routes[0].upstream", "host is malformed"),
    ("routes__0__upstream", "https://r/?a", "routes[0].upstream", "no query"),
    ("routes__0__upstream", "https://r?", "routes[0].upstream", "no query"),
    ("routes__0__upstream", "https://r/#a", "routes[0].upstream", "fragment"),
    ("routes__0__upstream", f"https://{CANARY}@r/", "routes[0].upstream", "user name and password"),
    ("routes__0__upstream", "https://r/%2e%2E/", "routes[0].upstream", "dot segment"),
    ("routes__0__upstream", "https://r/a b", "routes[0].upstream", "visible ASCII"),
    ("routes__0__upstream", "https://bücher.example", "routes[0].upstream", "visible ASCII"),
    ("routes__0__on_401", "maybe", "routes[0].on_401", "lenient, strict, ignore"),
    ("routes__0__refused_statuses", [200], "routes[0].refused_statuses[0]", ">= 400"),
    ("routes__0__refused_statuses", [500], "routes[0].refused_statuses[0]", "<= 499"),
    ("routes__0__refused_statuses", [], "routes[0].refused_statuses", "at least one"),
    ("routes__0__timeouts", {"idle": "soon"}, "routes[0].timeouts.idle", "no duration"),
    ("routes__0__tls", {"key_file": __file__}, "routes[0].tls.key_file", "beside certificate_file"),
    ("routes__0__tls", {"ca_file": "/nope"}, "routes[0].tls.ca_file", "cannot be read"),
    ("routes__0__strip_prefix", "yes", "routes[0].strip_prefix", "Expected bool"),
    ("routes__0__max_connections", 0, "routes[0].max_connections", ">= 1"),
    ("log", {"level": "trace"}, "log.level", "debug, info, warning, error"),
    ("log", {"requests": "some"}, "log.requests", "a percentage such as 1%"),
    ("log", {"requests": "0%"}, "log.requests", "all, errors"),
    ("drain_timeout", "25", "drain_timeout", "no duration"),
]


@pytest.mark.parametrize(
    ("at", "value", "path", "reason"),
    BAD_VALUES,
    ids=[f"{path}-{reason}" for _, _, path, reason in BAD_VALUES],
)
def test_b85_a_bad_value_is_told_with_file_path_and_reason(
    tmp_path: Path, at: str, value: object, path: str, reason: str
) -> None:
    """Each kind of bad value is a fault at its own path that says what to do, without its secret."""
    file = write(tmp_path / "config.yaml", tree(**{at: value}))
    told = faults(file, SECRETS | {"EMPTY": ""})
    assert [(fault.source, fault.path) for fault in told] == [(file, path)]
    assert reason in told[0].reason


@pytest.mark.parametrize(
    ("token", "path", "reason"),
    [
        ({"issuer": "http://auth"}, "tokens.t.issuer", "use https"),
        ({"issuer": "https://auth?x"}, "tokens.t.issuer", "no query"),
        (
            {"issuer": "https://auth", "grant": "jwt_bearer", "assertion": {}},
            "tokens.t.credentials",
            "no private_key to sign the assertion with",
        ),
        (
            {"issuer": "https://auth", "grant": "jwt_bearer", "subject": {"file": __file__, "type": "jwt"}},
            "tokens.t.subject.type",
            "take the type out",
        ),
        *(
            (
                {
                    "issuer": "https://auth",
                    "grant": "jwt_bearer",
                    "subject": {"header": "X", "verify": {"issuer": "https://i", "audience": "a", **wrong}},
                },
                f"tokens.t.subject.verify.{place}",
                reason,
            )
            for wrong, place, reason in (
                ({"issuer": "http://i"}, "issuer", "use https"),
                ({"jwks_uri": "http://i"}, "jwks_uri", "use https"),
                ({"algorithms": ["none"]}, "algorithms[0]", "must be one of: RS256"),
                ({"algorithms": ["HS256"]}, "algorithms[0]", "must be one of: RS256"),
                ({"algorithms": []}, "algorithms", "at least one"),
                ({"audience": 1}, "audience", "put it in quotes"),
                ({"tls": {"ca_file": "/nope"}}, "tls.ca_file", "cannot be read"),
                (
                    {"issuer": "http://[::1]", "tls": {"ca_file": __file__}},
                    "tls",
                    "the keys come over plain http",
                ),
            )
        ),
        (
            {
                "issuer": "https://auth",
                "grant": "jwt_bearer",
                "subject": {"file": __file__, "verify": {"issuer": "https://i", "audience": "a"}},
            },
            "tokens.t.subject.verify",
            "only meaningful beside header",
        ),
        (
            {"issuer": "https://auth", "grant": "jwt_bearer", "subject": {"header": "Host"}},
            "tokens.t.subject.header",
            "means something else",
        ),
        (
            {
                "issuer": "https://auth",
                "grant": "token_exchange",
                "subject": {"header": "X-Who"},
                "actor": {"header": "x-who"},
            },
            "tokens.t.actor.header",
            "brings the subject already",
        ),
        (
            {
                "issuer": "https://auth",
                "grant": "token_exchange",
                "subject": {"header": "X-Who"},
                "actor": {"header": "X_Who"},
            },
            "tokens.t.actor.header",
            "brings the subject already",
        ),
        (
            {"token_endpoint": "http://127.0.0.1/t", "tls": {"ca_file": __file__}},
            "tokens.t.tls",
            "the authorization server is plain http",
        ),
    ],
)
def test_b85_what_a_token_request_needs_is_told(
    tmp_path: Path, token: dict[str, object], path: str, reason: str
) -> None:
    """Between keys of one entry, and between it and its credentials."""
    written = tree(tokens={"t": {"credentials": "c", **token}})
    (told,) = faults(write(tmp_path / "config.yaml", written), SECRETS)
    assert told.path == path
    assert reason in told.reason


def test_every_way_of_asking_becomes_a_token_request(tmp_path: Path) -> None:
    """Keys, files, types, parameters and assertions arrive where they are meant."""
    pem = write(tmp_path / "key.pem", "-----BEGIN PRIVATE KEY-----")
    token = write(tmp_path / "token", "a.b.c\n")
    config = read(
        tmp_path,
        f"""
credentials:
  signing:
    client_id: me
    private_key: {{file: {pem}, passphrase: {{env: CLIENT_SECRET}}, algorithm: PS256, kid: k, certificate_file: {pem}}}
  given: {{client_id: me, assertion_file: {token}}}
tokens:
  exchange:
    grant: token_exchange
    issuer: https://auth.example.com/realm
    client_auth: private_key_jwt
    assertion_audience: aud
    credentials: signing
    parameters: {{organization: o, empty: ""}}
    subject: {{file: {token}}}
    actor: {{file: {token}, type: "urn:example:type"}}
    requested_token_type: jwt
  bearer:
    grant: jwt_bearer
    token_endpoint: https://auth.example.com/token
    tls: {{ca_file: {pem}, certificate_file: {pem}, key_file: {pem}}}
    client_auth: tls_client_auth
    credentials: signing
    assertion: {{issuer: i, subject: s, audience: a, claims: {{scope: x}}}}
  given:
    grant: jwt_bearer
    token_endpoint: https://auth.example.com/token
    client_auth: client_assertion_file
    credentials: given
    subject: {{file: {token}}}
  behalf:
    grant: token_exchange
    issuer: https://auth.example.com
    credentials: given
    client_auth: client_assertion_file
    subject:
      header: X-Subject
      type: jwt
      verify:
        issuer: https://idp
        audience: me
        jwks_uri: https://idp/keys
        algorithms: [ES256, PS256]
        tls: {{ca_file: {token}}}
routes: [{{name: r, upstream: "https://r", token: exchange}}]
""",
    )
    rule = Verification("https://idp", "me", "https://idp/keys", ("ES256", "PS256"), Tls(token))
    brought = Presented(FromRequest(b"x-subject", rule), "", "urn:ietf:params:oauth:token-type:jwt")
    assert config.tokens["behalf"].subject == brought
    assert config.tokens["behalf"].brought == {b"x-subject"}
    exchange, bearer, given = (config.tokens[name] for name in ("exchange", "bearer", "given"))
    key = PrivateKey(SecretFile(pem), Secret(CANARY), "PS256", "k", pem)
    whose = subject_token.identity("a.b.c")
    assert exchange == TokenRequest(
        name="exchange",
        credentials="signing",
        service="signing",
        issuer="https://auth.example.com/realm",
        client="['id', 'me']",
        grant="token_exchange",
        client_auth="private_key_jwt",
        parameters=(("organization", "o"), ("empty", "")),
        private_key=key,
        assertion_audience="aud",
        subject=Presented(SecretFile(token), whose, "urn:ietf:params:oauth:token-type:access_token"),
        actor=Presented(SecretFile(token), whose, "urn:example:type"),
        requested_token_type="urn:ietf:params:oauth:token-type:jwt",
    )
    assert (bearer.tls, bearer.client_auth) == (Tls(pem, pem, pem), "tls_client_auth")
    assert bearer.assertion == Assertion("i", "s", "a", (("scope", "x"),))
    assert (given.assertion_file, given.client_auth) == (token, "client_assertion_file")
    assert given.subject is not None


def test_b69_other_credentials_of_the_same_name_are_other_credentials(tmp_path: Path) -> None:
    """Deployments that share a Redis, and a name by chance, share no token."""
    both = write(tmp_path / "both.json", "{}")
    keys = {
        read(tmp_path, tree(credentials={"c": entry})).tokens["t"].key
        for entry in (
            {"client_id": "me", "client_secret": {"env": "CLIENT_SECRET"}},
            {"client_id": "you", "client_secret": {"env": "CLIENT_SECRET"}},
            {"file": both},
            {"aws_secret": {"id": "me"}},
            {"aws_secret": {"id": "me", "region": "eu-west-1"}},
        )
    }
    assert len(keys) == 5


@pytest.mark.parametrize(
    ("channels", "path", "reason"),
    [
        (["a", 1], "busts.listen[1].channel", "put it in quotes"),
        (["pre:m2m:bust"], "busts.listen[0].channel", "the fleet's own already"),
        (["pre:m2m:fill"], "busts.listen[0].channel", "the fleet's own already"),
        (["m2m:bust", "a", "b", "a"], "busts.listen[3].channel", "busts.listen[1] already"),
        ([" "], "busts.listen[0].channel", "visible ASCII"),
    ],
)
def test_b85_a_channel_has_one_meaning(
    tmp_path: Path, channels: list[object], path: str, reason: str
) -> None:
    """Neither the fleet's own channels nor the same one twice can be another program's."""
    listen = [{"channel": channel, "dialect": "lerian"} for channel in channels]
    written = tree(redis={**REDIS, "key_prefix": "pre:"}, busts={"listen": listen})
    (told,) = faults(write(tmp_path / "config.yaml", written), SECRETS)
    assert told.path == path
    assert reason in told.reason


def test_b85_an_unknown_dialect_is_told_with_the_known_ones(tmp_path: Path) -> None:
    """A message nobody can read busts nothing."""
    written = tree(redis=REDIS, busts={"listen": [{"channel": "c", "dialect": "elvish"}]})
    (told,) = faults(write(tmp_path / "config.yaml", written), SECRETS)
    assert (told.path, told.reason) == ("busts.listen[0].dialect", "must be one of: mcp-gateway, lerian")


def test_b85_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Every fault of every row above that can stand in one file is told in one go, references included."""
    content = """
listen: 0.0.0.0:1
listen: 127.0.0.1
admin: 3
cache: {leeway: 1, mode: distributed}
typo: 1
credentials: {a: {client_id: 1}, b: 3, d: {client_id: x}}
tokens:
  t: {token_endpoint: "http://auth", credentials: zz}
  u: {token_endpoint: "https://auth", credentials: d, scope: ["", "a b"]}
routes:
  - {name: r, upstream: "x", token: nope}
  - nonsense
  - {name: r, upstream: "http://x", tls: {ca_file: /dev/null}, token: t}
"""
    told = faults(write(tmp_path / "config.yaml", content), {"SIDECAR_SCOPE": "x", "LOG_FORMAT": "xml"})
    assert {fault.path for fault in told} == {
        "SIDECAR_SCOPE",
        "LOG_FORMAT",
        "line 3",
        "listen",
        "admin",
        "cache.leeway",
        "cache.mode",
        "typo",
        "credentials.a.client_id",
        "credentials.b",
        "tokens.t.token_endpoint",
        "tokens.t.credentials",
        "tokens.u.credentials",
        "tokens.u.scope[0]",
        "tokens.u.scope[1]",
        "routes[0].upstream",
        "routes[0].token",
        "routes[1]",
        "routes[2].name",
        "routes[2].match",
        "routes[2].tls.ca_file",
    }


@pytest.mark.parametrize(
    ("content", "path", "reason"),
    [
        ("a: [", "line 2, column 1", "no YAML"),
        ("a: *hunter2-canary", "line 1, column 4", "found undefined alias …"),
        ("a: !!python/object:hunter2.canary {}", "line 1, column 4", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "line 2, column 1", "no YAML"),
        ("a: 2024-13-45", "", "put it in quotes"),
        ("a: \x07", "", "characters that YAML does not allow"),
        ("[" * 1_000, "line 1", "nested too deeply"),
        ("- " * 100_000, "line 1", "nested too deeply"),
        ("- a", "", "write a mapping"),
        ("", "", "is empty"),
        ("a: " + "x" * (1 << 20), "", "larger than 1 MiB"),
        ("? [a]\n: b", "line 1", "a key that is a mapping or a list"),
        ("routes: []\nlog: {level: info, level: debug}", "line 2", "level is given twice"),
    ],
)
def test_b85_what_is_no_yaml_is_told_with_its_line(
    tmp_path: Path, content: str, path: str, reason: str
) -> None:
    """A file that is no good YAML names line and column, and quotes nothing."""
    told = faults(write(tmp_path / "config.yaml", content), {})
    assert [fault for fault in told if fault.path == path and reason in fault.reason]


def test_b85_a_file_that_is_not_text_is_told(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are a fault, not a crash."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in faults(str(path), {})[0].reason


def test_merged_mappings_may_be_overridden(tmp_path: Path) -> None:
    """YAML's merge key is no duplicate."""
    content = """
routes:
  - &base {name: a, match: {prefix: /a}, upstream: "http://a"}
  - {<<: *base, name: b, match: {prefix: /b}}
"""
    assert [route.name for route in read(tmp_path, content).routes] == ["a", "b"]


@pytest.mark.parametrize(
    ("environ", "path", "reason"),
    [
        ({}, "", "nothing to do"),
        ({"SIDECAR_CONFIG": ""}, "", "nothing to do"),
        (ONE_ROUTE | {"SIDECAR_UPSTREAM": ""}, "SIDECAR_UPSTREAM", "missing"),
        (ONE_ROUTE | {"SIDECAR_TOKEN_ENDPOINT": ""}, "SIDECAR_TOKEN_ENDPOINT", "missing"),
        (ONE_ROUTE | {"SIDECAR_CLIENT_ID": ""}, "SIDECAR_CLIENT_ID", "missing"),
        (ONE_ROUTE | {"SIDECAR_CLIENT_SECRET": ""}, "SIDECAR_CLIENT_SECRET", "missing"),
        (ONE_ROUTE | {"SIDECAR_UPSTREAM": "x"}, "SIDECAR_UPSTREAM", "write http:// or https://"),
        (ONE_ROUTE | {"SIDECAR_TOKEN_ENDPOINT": "http://auth"}, "SIDECAR_TOKEN_ENDPOINT", "use https"),
        (ONE_ROUTE | {"SIDECAR_CLIENT_ID_FILE": "/x"}, "SIDECAR_CLIENT_ID", "given twice"),
        (ONE_ROUTE | {"SIDECAR_CLIENT_SECRET_FILE": __file__}, "SIDECAR_CLIENT_SECRET", "given twice"),
        (
            ONE_ROUTE | {"SIDECAR_CLIENT_SECRET": "", "SIDECAR_CLIENT_SECRET_FILE": "/nope"},
            "SIDECAR_CLIENT_SECRET_FILE",
            "cannot be read",
        ),
        (
            ONE_ROUTE | {"SIDECAR_CLIENT_ID": "", "SIDECAR_CLIENT_ID_FILE": "/nope"},
            "SIDECAR_CLIENT_ID_FILE",
            "/nope cannot be read",
        ),
        (ONE_ROUTE | {"SIDECAR_SCOPE": 'a "b"'}, "SIDECAR_SCOPE", "one scope an entry"),
        (ONE_ROUTE | {"SIDECAR_LISTEN": "0.0.0.0:1"}, "SIDECAR_LISTEN", "not a loopback address"),
        (ONE_ROUTE | {"M2M_CREDENTIAL_CACHE_MODE": "distributed"}, "M2M_CREDENTIAL_CACHE_MODE", "redis.url"),
        (ONE_ROUTE | {"M2M_CREDENTIAL_CACHE_TTL_SEC": "5m"}, "M2M_CREDENTIAL_CACHE_TTL_SEC", "whole seconds"),
        (ONE_ROUTE | {"M2M_CREDENTIAL_CACHE_TTL_SEC": "0"}, "M2M_CREDENTIAL_CACHE_TTL_SEC", "at least 1"),
        (ONE_ROUTE | {"LOG_FORMAT": "xml"}, "LOG_FORMAT", "json, console"),
        (ONE_ROUTE | {"REDIS_URL": "redis://x"}, "SIDECAR_ENCRYPTION_KEY", "give at least one"),
        (ONE_ROUTE | {"REDIS_URL": "x", "SIDECAR_ENCRYPTION_KEY": KEY}, "REDIS_URL", "write redis://"),
        (
            ONE_ROUTE | {"REDIS_URL": f"redis://u:{CANARY}@:x", "SIDECAR_ENCRYPTION_KEY": KEY},
            "REDIS_URL",
            "malformed",
        ),
        (
            ONE_ROUTE | {"REDIS_URL": f"redis://é:{CANARY}@r", "SIDECAR_ENCRYPTION_KEY": KEY},
            "REDIS_URL",
            "visible ASCII",
        ),
        (ONE_ROUTE | {"SIDECAR_ADMIN_TOKEN": CANARY}, "SIDECAR_ADMIN_TOKEN", "16 or more"),
        (ONE_ROUTE | {"SIDECAR_ADMIN_TOKEN_FILE": "/nope"}, "SIDECAR_ADMIN_TOKEN_FILE", "cannot be read"),
        (
            ONE_ROUTE | {"SIDECAR_ADMIN_TOKEN": KEY, "SIDECAR_ADMIN_TOKEN_FILE": "/nope"},
            "SIDECAR_ADMIN_TOKEN",
            "given twice",
        ),
        (ONE_ROUTE | {"SIDECAR_ENCRYPTION_KEY": KEY}, "SIDECAR_ENCRYPTION_KEY", "beside a redis.url"),
        (
            ONE_ROUTE | {"REDIS_URL": "redis://x", "SIDECAR_ENCRYPTION_KEY": CANARY},
            "SIDECAR_ENCRYPTION_KEY",
            "no key of 32 bytes",
        ),
        (
            ONE_ROUTE | {"REDIS_URL": "redis://x", "SIDECAR_ENCRYPTION_KEY_FILE": "/nope"},
            "SIDECAR_ENCRYPTION_KEY_FILE",
            "cannot be read",
        ),
        (
            ONE_ROUTE
            | {
                "REDIS_URL": "redis://x",
                "SIDECAR_ENCRYPTION_KEY": KEY,
                "SIDECAR_ENCRYPTION_KEY_FILE": __file__,
            },
            "SIDECAR_ENCRYPTION_KEY",
            "given twice",
        ),
    ],
)
def test_b85_a_bad_variable_is_told_by_its_name(environ: dict[str, str], path: str, reason: str) -> None:
    """A fault in the environment names the variable, not a path in a file that is not there."""
    told = faults(None, environ)
    assert [(fault.source, fault.path) for fault in told] == [("environment", path)]
    assert reason in told[0].reason


def test_an_explicit_local_mode_ignores_redis(tmp_path: Path) -> None:
    """REDIS_URL is a common variable: who says `local` knows that it was not meant for us."""
    environ = ONE_ROUTE | {"REDIS_URL": "redis://x", "M2M_CREDENTIAL_CACHE_MODE": "local"}
    assert load(None, environ).redis is None
    fleet = tree(redis={"url": "redis://a,b"}, busts={"listen": [{"channel": "c", "dialect": "lerian"}]})
    config = read(tmp_path, fleet, {"M2M_CREDENTIAL_CACHE_MODE": "local"})
    assert (config.cache.mode, config.redis) == ("local", None)


def test_the_environment_alone_makes_a_fleet(tmp_path: Path) -> None:
    """REDIS_URL and a key are enough; user name and password may stand in the URL, percent-encoded."""
    environ = ONE_ROUTE | {"REDIS_URL": "rediss://me:pass%2Fword@r:1/2", "SIDECAR_ENCRYPTION_KEY": KEY}
    expected = RedisSettings(
        hosts=(("r", 1),),
        tls=Tls(),
        database=2,
        username="me",
        password=Secret("pass/word"),
        encryption_keys=(EncryptionKey("env", Secret(KEY)),),
    )
    assert load(None, environ).redis == expected
    assert load(None, environ).cache.mode == "distributed"
    key = write(tmp_path / "key", KEY)
    environ |= {"SIDECAR_ENCRYPTION_KEY": "", "SIDECAR_ENCRYPTION_KEY_FILE": key}
    assert (settings := load(None, environ).redis)
    assert settings.encryption_keys == (EncryptionKey("env", SecretFile(key)),)


def test_the_environment_s_operators_token_goes_before_the_file_s(tmp_path: Path) -> None:
    """A pod without a file can be bust by hand too."""
    token = write(tmp_path / "token", KEY)
    written = tree(admin={"listen": "127.0.0.1:1", "token": {"env": "KEY"}})
    assert read(tmp_path, written).admin.token == Secret(KEY)
    environ = {"SIDECAR_ADMIN_TOKEN_FILE": token}
    assert read(tmp_path, written, environ).admin == AdminSettings("127.0.0.1:1", SecretFile(token))
    assert load(None, ONE_ROUTE | {"SIDECAR_ADMIN_TOKEN": KEY}).admin == AdminSettings(token=Secret(KEY))


def test_the_environment_s_redis_goes_before_the_file_s(tmp_path: Path) -> None:
    """The URL's user and password replace the file's; without any in it the file's stay."""
    written = tree(redis={**REDIS, "username": "filed", "password": {"env": "CLIENT_SECRET"}})
    settings = read(tmp_path, written, {"REDIS_URL": "redis://:word@other"}).redis
    assert settings
    assert (settings.hosts, settings.username, settings.password) == ((("other", 6379),), "", Secret("word"))
    assert (settings := read(tmp_path, written, {"REDIS_URL": "unix:///r.sock"}).redis)
    assert (settings.unix_path, settings.username, settings.password) == ("/r.sock", "filed", Secret(CANARY))
    assert settings.encryption_keys == (EncryptionKey("k1", Secret(KEY)),)


@pytest.mark.parametrize("name", [*ONE_ROUTE, "SIDECAR_CLIENT_ID_FILE", "SIDECAR_SCOPE", "SIDECAR_AUDIENCE"])
def test_the_one_route_beside_a_file_is_a_fault(tmp_path: Path, name: str) -> None:
    """Two configurations at once are a mistake that is told."""
    path = write(tmp_path / "config.yaml", tree())
    (told,) = faults(path, SECRETS | {name: "x"})
    assert (told.source, told.path) == ("environment", name)
    assert "makes a route of its own" in told.reason


def test_no_secret_shows_in_a_config(tmp_path: Path) -> None:
    """However a Config is printed, its secrets stay inside."""
    config = read(tmp_path, tree())
    assert config.credentials == {"c": FixedCredentials("me", Secret(CANARY))}
    assert CANARY not in repr(config) + str(config)


TEXT = st.text("a0 ~.-:,?|>&*!%@`#'\"\\/{}[]<=\n\t\r\0\x1b\x7f\x85\xa0é\u2028\ufeff\uffff😀")
"""Of every kind of character that YAML has a rule for: Hypothesis would take seconds to list all there are."""
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXT | st.dates() | st.sampled_from([b"x"])
KEYS = st.sampled_from(
    [
        "listen",
        "admin",
        "cache",
        "credentials",
        "tokens",
        "routes",
        "log",
        "redis",
        "busts",
        "url",
        "encryption_keys",
        "listen",
        "name",
        "match",
        "upstream",
        "token",
        "tls",
    ]
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXT | st.integers(), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.dictionaries(KEYS, TREES, max_size=4))
def test_any_yaml_is_a_config_or_faults(content: dict[str, object]) -> None:
    """Whatever the file holds, the answer is a Config or a ConfigError, never another exception."""
    with tempfile.NamedTemporaryFile("w") as file, contextlib.suppress(ConfigError):
        yaml.safe_dump(content, file, allow_unicode=True)
        file.flush()
        load(file.name, {})


def properties(schema: object) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for part in schema.values():
            yield from properties(part)


def test_the_schema_describes_every_key() -> None:
    """Each key has a description; durations are strings with a pattern; unknown keys are errors."""
    schema = json_schema()
    described = dict(properties(schema))
    assert [name for name, part in described.items() if not part.get("description")] == []
    assert described["drain_timeout"]["pattern"] == r"^[0-9]{1,9}(ms|s|m|h)$"
    assert described["drain_timeout"]["default"] == "25s"
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("tenant", "good"),
    [
        ({"header": "X-T"}, False),
        ({"path": True}, False),
        ({"header": "X-T", "allow": ["acme"]}, True),
        ({"default": "acme"}, True),
    ],
)
@pytest.mark.parametrize("key", ["token_endpoint", "issuer"])
def test_clients_never_choose_the_host_that_gets_our_credentials(
    tmp_path: Path, tenant: object, good: bool, key: str
) -> None:
    """A template in an address's host needs a list of tenants, or only one; in its path it does not."""
    document = tree(tenant=tenant, tokens={"t": {key: "https://{tenant}.auth.test", "credentials": "c"}})
    if good:
        assert read(tmp_path, document).tokens
    else:
        told = faults(write(tmp_path / "config.yaml", document), SECRETS)
        assert [(fault.path, "give tenant.allow" in fault.reason) for fault in told] == [
            (f"tokens.t.{key}", True)
        ]
    document = tree(tenant=tenant, tokens={"t": {key: "https://auth.test/{tenant}", "credentials": "c"}})
    assert read(tmp_path, document).tokens


@pytest.mark.parametrize(
    ("subject", "path"),
    [
        ({"file": __file__}, "tokens.t.subject"),
        ({"header": "X-Who"}, "tokens.t.subject.verify"),
        ({"header": "X Who"}, "tokens.t.subject.header"),
        ({"header": "X-Who", "verify": {"issuer": "https://i"}}, "tokens.t.subject.verify.audience"),
    ],
)
def test_b67_a_claim_is_believed_only_of_a_verified_subject(
    tmp_path: Path, subject: dict[str, object], path: str
) -> None:
    """What cannot be verified cannot name a tenant; one fault at a time is enough."""
    token = {"issuer": "https://auth", "credentials": "c", "grant": "token_exchange", "subject": subject}
    document = tree(tenant={"claim": "org"}, tokens={"t": token})
    assert [fault.path for fault in faults(write(tmp_path / "config.yaml", document), SECRETS)] == [path]


@pytest.mark.parametrize(
    ("subject", "actor", "faulty"),
    [
        ("X-Tenant", "X-Actor", "subject"),
        ("x-tenant", "X-Actor", "subject"),
        ("X_Tenant", "X-Actor", "subject"),
        ("X-Who", "X-Tenant", "actor"),
        ("X-Who", "X-Actor", ""),
    ],
)
def test_b85_one_field_does_not_bring_tenant_and_token(
    tmp_path: Path, subject: str, actor: str, faulty: str
) -> None:
    """Nor do two that an upstream may take for one."""
    token = {
        "issuer": "https://auth",
        "credentials": "c",
        "grant": "token_exchange",
        "subject": {"header": subject},
        "actor": {"header": actor},
    }
    file = write(tmp_path / "config.yaml", tree(tenant={"header": "X-Tenant"}, tokens={"t": token}))
    if faulty:
        told = faults(file, SECRETS)
        assert [(fault.path, "the tenant already" in fault.reason) for fault in told] == [
            (f"tokens.t.{faulty}.header", True)
        ]
    else:
        assert load(file, SECRETS).tokens["t"].brought == {subject.lower().encode(), actor.lower().encode()}


@pytest.mark.parametrize(
    ("tenant", "path"),
    [
        ({"claim": "org", "allow": ["a"]}, ""),
        ({"claim": "org"}, "tokens.t.issuer"),
        ({"claim": "org", "allow": ["a"], "header": "X-T"}, "tenant.claim"),
        ({"claim": "org", "allow": ["a"], "path": True}, "tenant.claim"),
    ],
)
def test_b67_a_claim_names_the_tenant_alone(tmp_path: Path, tenant: dict[str, object], path: str) -> None:
    """Beside no field and no path; what it may name belongs in a list where it becomes part of a host."""
    subject = {"header": "X-Who", "verify": {"issuer": "https://i", "audience": "a"}}
    token = {"issuer": "https://{tenant}.auth", "grant": "jwt_bearer", "subject": subject, "credentials": "c"}
    document = tree(tenant=tenant, tokens={"t": token})
    if path:
        assert [fault.path for fault in faults(write(tmp_path / "config.yaml", document), SECRETS)] == [path]
    else:
        assert read(tmp_path, document).tenants == TenantRule(claim="org", allow=frozenset({"a"}))


def test_tenants_are_read_in_their_one_form(tmp_path: Path) -> None:
    """The field's name small, UUIDs too; the only one there is goes into the token requests at once."""
    uuid = "7D9F6F43-8C3A-4A5F-9C1E-2F6F3A1B0C9D"
    config = read(tmp_path, tree(tenant={"header": "X-Tenant-Id", "default": uuid, "allow": ["acme", uuid]}))
    allow = frozenset({"acme", uuid.lower()})
    assert config.tenants == TenantRule(header=b"x-tenant-id", default=uuid.lower(), allow=allow)
    assert config.tokens["t"].tenant == ""
    config = read(tmp_path, tree(tenant={"default": "acme"}))
    assert config.tenants is None
    assert [config.tokens["t"].tenant, config.routes[0].token] == ["acme", config.tokens["t"]]
