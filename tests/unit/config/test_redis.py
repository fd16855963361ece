"""The sections `redis` and `busts`: what makes a fleet of sidecars."""

from pathlib import Path

import pytest

from sidecar.cache.settings import CacheSettings
from sidecar.config.load import load
from sidecar.config.settings import AdminSettings
from sidecar.core.errors import ConfigError
from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tls import Tls
from sidecar.fleet.settings import (
    BustSettings,
    EncryptionKey,
    ForeignChannel,
    RedisSettings,
    SentinelSettings,
)
from tests.support.config_files import (
    CANARY,
    KEY,
    ONE_LINE,
    ONE_ROUTE,
    REDIS,
    SECRETS,
    bad_values,
    check_told,
    faults,
    read,
    tree,
    write,
)


@bad_values(
    ("redis", [], "redis", "write a mapping"),
    ("redis", {**REDIS, "urls": "x"}, "redis.urls", "unknown key"),
    ("redis", {"encryption": "none"}, "redis.url", "missing"),
    ("redis", {**REDIS, "url": f"redis://:{CANARY}@r"}, "redis.url", "remove the user name and password"),
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
    ("redis", {**REDIS, "url": "unix:///r", "cluster": True}, "redis.url", "a socket cannot be a Cluster"),
    ("redis", {**REDIS, "url": "unix:///r", "sentinel": {"master": "m"}}, "redis.url", "or a Sentinel"),
    ("redis", {**REDIS, "cluster": True, "sentinel": {"master": "m"}}, "redis.cluster", "not both"),
    ("redis", {**REDIS, "sentinel": {}}, "redis.sentinel.master", "missing"),
    (
        "redis",
        {**REDIS, "sentinel": {"master": "m", "username": "u"}},
        "redis.sentinel.username",
        "beside password",
    ),
    ("redis", {**REDIS, "cluster": "yes"}, "redis.cluster", "write true or false"),
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
    ("redis", {**REDIS, "encryption": "none"}, "redis.encryption", "remove one of the two"),
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
        {**REDIS, "encryption_keys": [{"id": "k", "key": {"file": ONE_LINE}}]},
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
    (
        "busts",
        {"listen": [{"channel": "c", "dialect": "lerian"}]},
        "busts.listen",
        "no Redis to subscribe to",
    ),
)
def test_b85_a_bad_value_is_told_with_file_path_and_reason(
    tmp_path: Path, at: str, value: object, path: str, reason: str
) -> None:
    """Each kind of bad value is a fault at its own path that says what to do, without its secret."""
    check_told(tmp_path, at, value, path, reason)


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
    """A message in an unknown dialect would bust nothing."""
    written = tree(redis=REDIS, busts={"listen": [{"channel": "c", "dialect": "elvish"}]})
    (told,) = faults(write(tmp_path / "config.yaml", written), SECRETS)
    assert (told.path, told.reason) == ("busts.listen[0].dialect", "must be one of: mcp-gateway, lerian")
