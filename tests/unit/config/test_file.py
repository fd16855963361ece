"""A configuration file: what is written becomes what is meant, defaults included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.cache.settings import CacheSettings
from sidecar.config.load import json_schema, load, sources
from sidecar.config.settings import Config
from sidecar.core.secret import Secret
from sidecar.credentials.model import (
    AwsSecretCredentials,
    FileCredentials,
    FixedCredentials,
    SecretFileCredentials,
)
from tests.support.config_files import CANARY, SECRETS, faults, read, tree, write


def test_a_whole_file_becomes_a_config(tmp_path: Path) -> None:
    """Every key of the file arrives where it is meant, in seconds and as core's own types."""
    pem = write(tmp_path / "ca.pem", "-----BEGIN CERTIFICATE-----")
    secret = write(tmp_path / "secret", CANARY)
    both = write(tmp_path / "both.json", '{"client_id": "me", "client_secret": "hunter2"}')
    config = read(
        tmp_path,
        f"""
listen: unix:/run/sidecar/http.sock
admin: {{listen: "[::1]:9181", hosts: [Sidecar.orders.svc, localhost]}}
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
    assert config.admin.hosts == {"sidecar.orders.svc", "localhost"}
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


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("a: [", 1, "`[` is not closed"),
        ("a: *hunter2-canary", 1, "there is no anchor of that name"),
        ("a: !!python/object:hunter2.canary {}", 1, "a value begins with !"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("a: 2024-13-45", 1, "put it in quotes"),
        ("a: 1\nb: \x07", 2, "U+0007, which YAML does not allow"),
        ("[" * 1_000, 1, "nested too deeply"),
        ("- " * 100_000, 1, "nested too deeply"),
        ("- a", 1, "write a mapping"),
        ("", 0, "is empty"),
        ("a: " + "x" * (1 << 20), 0, "larger than 1 MiB"),
        ("? [a]\n: b", 1, "a key that is a mapping or a list"),
        ("routes: []\nlog: {level: info, level: debug}", 2, "given twice, first on line 2: keep one"),
    ],
)
def test_b85_what_is_no_yaml_is_told_with_its_line(
    tmp_path: Path, content: str, line: int, reason: str
) -> None:
    """A file that is no good YAML names the line, and quotes nothing."""
    told = faults(write(tmp_path / "config.yaml", content), {})
    assert [fault for fault in told if fault.line == line and reason in fault.reason]


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


def test_no_secret_shows_in_a_config(tmp_path: Path) -> None:
    """However a Config is printed, its secrets stay inside."""
    config = read(tmp_path, tree())
    assert config.credentials == {"c": FixedCredentials("me", Secret(CANARY))}
    assert CANARY not in repr(config) + str(config)


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
