"""Faults: everything that is wrong is reported at once, for any file."""

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.load import load
from sidecar.core.errors import ConfigError, Fault
from tests.support.config_files import CANARY, ONE_LINE, SECRETS, bad_values, check_told, faults, tree, write


@bad_values(
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
    ("admin", {"token": {"file": ONE_LINE}}, "admin.token.file", "without spaces"),
    ("admin", {"token": {"file": "/nope"}}, "admin.token.file", "cannot be read"),
    ("admin", [], "admin", "write a mapping"),
    ("cache", {"mode": "distributed"}, "cache.mode", "requires redis.url"),
    ("cache", {"mode": "off"}, "cache.mode", "must be one of: local, distributed"),
    ("cache", {"memory_ttl": 30}, "cache.memory_ttl", "such as 30s"),
    ("cache", {"memory_ttl": "0s"}, "cache.memory_ttl", "longer than 0s"),
    ("cache", {"leeway": "-1s"}, "cache.leeway", "not a duration"),
    ("cache", {"leeway": "1.5s"}, "cache.leeway", "not a duration"),
    ("cache", {"max_entries": 0}, "cache.max_entries", "whole number from 1 to 1,000,000"),
    ("cache", {"max_entries": True}, "cache.max_entries", "write a whole number"),
    ("log", {"level": "trace"}, "log.level", "debug, info, warning, error"),
    ("log", {"requests": "some"}, "log.requests", "a percentage such as 1%"),
    ("log", {"requests": "0%"}, "log.requests", "all, errors"),
    ("drain_timeout", "25", "drain_timeout", "not a duration"),
)
def test_b85_a_bad_value_is_told_with_file_path_and_reason(
    tmp_path: Path, at: str, value: object, path: str, reason: str
) -> None:
    """Each kind of bad value is a fault at its own path that says what to do, without its secret."""
    check_told(tmp_path, at, value, path, reason)


def test_b85_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    """Every fault that can be in one file is reported at once, references included."""
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
    """Whatever the file holds, the answer is a Config or a ConfigError with lines, never another exception."""
    told: tuple[Fault, ...] = ()
    with tempfile.NamedTemporaryFile("w") as file:
        yaml.safe_dump(content, file, allow_unicode=True)
        file.flush()
        try:
            load(file.name, {})
        except ConfigError as error:
            told = error.faults
    assert [fault for fault in told if not fault.line] == []


@pytest.mark.parametrize(
    ("key", "path", "shown"),
    [
        ("client_secret", "{folder}/secret", "No such file or directory ({folder}/secret); check"),
        ("client_secret", "{folder}/none/such/secret", "({folder}/none/such/secret)"),
        ("client_secret", "{folder}/a blank", "({folder}/a blank)"),
        ("assertion_file", "{folder}/assertion", "({folder}/assertion)"),
        ("private_key", "{folder}/key.pem", "({folder}/key.pem)"),
        ("client_secret", "/hunter2-canary", "No such file or directory; check"),
        ("client_secret", "/hunter2-canary/9j4AAQ", "No such file or directory; check"),
        ("client_secret", "hunter2-canary", "(a relative path begins in the working directory)"),
        ("client_secret", "{folder}/\x1b[31m", "No such file or directory; check"),
    ],
)
def test_a_missing_file_is_named_unless_its_path_may_be_a_secret(
    tmp_path: Path, key: str, path: str, shown: str
) -> None:
    """A path below a directory that exists is one. The key and the line are always named."""
    file = path.format(folder=tmp_path)
    value = file if key == "assertion_file" else {"file": file}
    entry = {"client_id": "me", key: value}
    found = faults(write(tmp_path / "config.yaml", tree(credentials__c=entry)), SECRETS)
    (fault,) = (fault for fault in found if fault.path.startswith(f"credentials.c.{key}"))
    assert shown.format(folder=tmp_path) in fault.reason
    assert fault.line > 0
