"""Environment variables: a route or a fleet of their own, or in place of what the file says."""

from operator import attrgetter
from pathlib import Path

import pytest

from sidecar.config.load import load, sources
from sidecar.config.settings import AdminSettings
from sidecar.core.secret import Secret, SecretFile
from sidecar.core.tls import Tls
from sidecar.credentials.model import FixedCredentials, SecretFileCredentials
from sidecar.fleet.settings import EncryptionKey, RedisSettings
from tests.support.config_files import (
    CANARY,
    KEY,
    ONE_LINE,
    ONE_ROUTE,
    REDIS,
    SECRETS,
    faults,
    read,
    tree,
    write,
)


def test_the_environment_alone_makes_one_route() -> None:
    """The four needed variables and the optional two are one route that strips nothing."""
    config = load(None, ONE_ROUTE | {"SIDECAR_SCOPE": "a b", "SIDECAR_AUDIENCE": "ledger"})
    (route,) = config.routes
    assert (route.prefix, route.strip_prefix, route.base_path) == ("/", False, "/api")
    assert route.token is not None
    assert (route.token.scope, route.token.audience) == (("a", "b"), "ledger")
    assert config.credentials == {"default": FixedCredentials("me", Secret(CANARY))}


def test_the_twins_name_files(tmp_path: Path) -> None:
    """A client id's file is read now, a client secret's file is read at each use."""
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
        (ONE_ROUTE | {"SIDECAR_CLIENT_SECRET_FILE": ONE_LINE}, "SIDECAR_CLIENT_SECRET", "given twice"),
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
                "SIDECAR_ENCRYPTION_KEY_FILE": ONE_LINE,
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


@pytest.mark.parametrize(
    ("name", "given", "key", "meant"),
    [
        ("LOG_LEVEL", "INFO", "log.level", "info"),
        ("LOG_LEVEL", "Debug", "log.level", "debug"),
        ("LOG_LEVEL", "warn", "log.level", "warning"),
        ("LOG_LEVEL", "WARN", "log.level", "warning"),
        ("LOG_LEVEL", " error ", "log.level", "error"),
        ("LOG_FORMAT", "JSON", "log.format", "json"),
        ("LOG_FORMAT", "Console", "log.format", "console"),
        ("LOG_REQUESTS", "ERRORS", "log.requests", 0.0),
        ("M2M_CREDENTIAL_CACHE_MODE", "Local", "cache.mode", "local"),
        (None, "WARN", "log.level", "warning"),
        (None, "Console", "log.format", "console"),
        (None, "ALL", "log.requests", 1.0),
    ],
)
def test_o13_the_case_of_a_word_does_not_matter(
    tmp_path: Path, name: str | None, given: str, key: str, meant: object
) -> None:
    """In the environment and in the file, and `warn` is a level."""
    section, _, last = key.partition(".")
    content = tree() if name else tree(**{section: {last: given}})
    config = read(tmp_path, content, {name: given} if name else {})
    assert attrgetter(key)(config) == meant


@pytest.mark.parametrize("level", ["trace", "warns", "off", "20"])
def test_o13_a_level_that_there_is_not_is_refused(level: str) -> None:
    """With those that there are."""
    (told,) = faults(None, ONE_ROUTE | {"LOG_LEVEL": level})
    assert str(told) == "environment: LOG_LEVEL: must be one of: debug, info, warning, error"


def test_an_explicit_local_mode_ignores_redis(tmp_path: Path) -> None:
    """REDIS_URL is a common variable: an explicit `local` means that it was not meant for us."""
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
    """Two configurations at once are reported as a mistake."""
    path = write(tmp_path / "config.yaml", tree())
    (told,) = faults(path, SECRETS | {name: "x"})
    assert (told.source, told.path) == ("environment", name)
    assert "cannot be combined" in told.reason
