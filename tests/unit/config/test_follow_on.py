"""Faults that only follow from other faults are not reported: one mistake, one fault."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.config_files import KEY, SECRETS, faults, read, write

RICH = """
listen: 127.0.0.1:1
admin: {listen: 127.0.0.1:2, token: {env: KEY}}
cache: {mode: distributed, memory_ttl: 1s, store_ttl: 1s, leeway: 1s, max_entries: 7}
redis:
  url: rediss://a.test,b.test
  key_prefix: "p:"
  username: u
  password: {env: CLIENT_SECRET}
  tls: {ca_file: PEM}
  sentinel: {master: m, username: u, password: {env: CLIENT_SECRET}}
  encryption: aes-256-gcm
  encryption_keys: [{id: a, key: {env: KEY}}, {id: b, key: {env: KEY}}]
busts: {listen: [{channel: x, dialect: lerian}, {channel: y, dialect: lerian}]}
tenant: {header: X-Tenant, default: acme, allow: [acme, other]}
credentials:
  app: {client_id: me, client_secret: {env: CLIENT_SECRET}}
  one: {aws_secret: {id: "m2m/{service}/{tenant}", region: eu-west-1, stage: S, pointer: /a}, service: s1}
  two: {aws_secret: {id: "m2m/{service}", endpoint: "https://a.test"}, service: s2, share: false}
  file: {file: JSON}
  presented: {client_id: me, assertion_file: LINE}
tokens:
  plain:
    grant: client_credentials
    token_endpoint: "https://{tenant}.auth.test/token"
    tls: {ca_file: PEM, certificate_file: PEM, key_file: PEM}
    client_auth: tls_client_auth
    credentials: app
    scope: [a]
    audience: "{tenant}"
    resource: ["https://a.test"]
    parameters: {x: y}
  exchanged:
    grant: token_exchange
    issuer: https://auth.test
    credentials: one
    subject:
      header: X-Subject
      type: jwt
      verify:
        {issuer: "https://i.test", audience: a, jwks_uri: "https://i.test/k", algorithms: [ES256], tls: {ca_file: PEM}}
    actor: {file: LINE}
    requested_token_type: jwt
  asserted: {client_auth: client_assertion_file, token_endpoint: "https://auth.test", credentials: presented}
  basic: {token_endpoint: "https://auth.test", credentials: two}
routes:
  - name: a
    match: {prefix: /a, host: a.test}
    upstream: https://a.test
    token: plain
    strip_prefix: true
    rewrite_location: true
    on_401: strict
    refused_statuses: [401]
    timeouts: {connect: 1s, idle: 1s, total: 1s}
    tls: {ca_file: PEM}
    max_connections: 7
  - {name: b, match: {prefix: /b}, upstream: "https://b.test", token: exchanged}
  - {name: c, match: {prefix: /c}, upstream: "https://c.test", token: asserted}
  - {name: d, match: {prefix: /d}, upstream: "https://d.test", token: basic}
drain_min_delay: 1s
drain_timeout: 1s
log: {format: json, level: info, requests: all}
"""
"""Every kind of entry and rule between entries, each satisfied."""
NAMES = re.compile(r"(credentials|tokens)\.\w+|tokens\.plain\.parameters\.x")
"""Keys that are names, not words of the schema."""


def rich(tmp_path: Path) -> dict[str, Any]:
    pem = write(tmp_path / "pem", "-----BEGIN CERTIFICATE-----")
    line = write(tmp_path / "line", "one-line")
    both = write(tmp_path / "json", '{"client_id": "a", "client_secret": "b"}')
    text = re.sub(r"\bPEM\b", pem, re.sub(r"\bLINE\b", line, re.sub(r"\bJSON\b", both, RICH)))
    loaded = yaml.safe_load(text)
    assert isinstance(loaded, dict)
    return loaded


def places(value: object, path: str = "") -> Iterator[tuple[str, list[str | int]]]:
    """Each path in the tree, and how to go there."""
    yield from _places(value, path, [])


def _places(value: object, path: str, keys: list[str | int]) -> Iterator[tuple[str, list[str | int]]]:
    if path:
        yield path, keys
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _places(inner, f"{path}.{key}" if path else key, [*keys, key])
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _places(inner, f"{path}[{index}]", [*keys, index])


def changed(tree: dict[str, Any], keys: list[str | int]) -> tuple[dict[str, Any], Any, Any]:
    """A copy; what holds the value there; the last key."""
    copied = copy.deepcopy(tree)
    holder: Any = copied
    for key in keys[:-1]:
        holder = holder[key]
    return copied, holder, keys[-1]


def test_k4_the_rich_file_is_sound(tmp_path: Path) -> None:
    """Each fault in the other tests is then due to the one change."""
    read(tmp_path, rich(tmp_path))


def test_k4_a_misspelt_key_is_one_fault(tmp_path: Path) -> None:
    """Whichever it is: it is not also missing, nor does anything that refers to it."""
    tree = rich(tmp_path)
    wrong = []
    for path, keys in places(tree):
        copied, holder, last = changed(tree, keys)
        if not isinstance(last, str) or NAMES.fullmatch(path):
            continue
        holder[f"{last}s"] = holder.pop(last)
        told = faults(write(tmp_path / "config.yaml", json.dumps(copied)), SECRETS)
        expected = (f"{path}s", f"unknown key; did you mean {last}?")
        if [(fault.path, fault.reason) for fault in told] != [expected]:
            wrong.append((path, [str(fault) for fault in told]))
    assert wrong == []


@pytest.mark.parametrize("value", [3.5, [[]], {"odd": {}}], ids=["number", "list", "mapping"])
def test_k4_a_value_of_another_form_is_one_fault(tmp_path: Path, value: object) -> None:
    """Rules between entries are silent where what they compare is faulty."""
    tree = rich(tmp_path)
    wrong = []
    for path, keys in places(tree):
        copied, holder, last = changed(tree, keys)
        if isinstance(value, dict) and isinstance(holder[last], dict):
            continue
        holder[last] = value
        told = faults(write(tmp_path / "config.yaml", json.dumps(copied)), SECRETS)
        if len(told) != 1 or not told[0].path.startswith(path):
            wrong.append((path, [str(fault) for fault in told]))
    assert wrong == []


def test_k4_a_name_that_is_none_is_one_fault(tmp_path: Path) -> None:
    """What refers to the entry is not reported, and neither are the entries that are compared with it."""
    tree = rich(tmp_path)
    for path in ("credentials.app", "tokens.plain"):
        section, name = path.split(".")
        copied = copy.deepcopy(tree)
        copied[section][name] = "nonsense"
        assert [fault.path for fault in faults(write(tmp_path / "c.yaml", copied), SECRETS)] == [path]


BAD_ROUTE = {"upstream": "https://u.test"}
PAIRS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "two bad prefixes": (
        {"routes": [{"name": n, "match": {"prefix": n}, **BAD_ROUTE} for n in "ab"]},
        ["routes[0].match.prefix", "routes[1].match.prefix"],
    ),
    "two bad hosts": (
        {"routes": [{"name": n, "match": {"host": "a b"}, **BAD_ROUTE} for n in "ab"]},
        ["routes[0].match.host", "routes[1].match.host"],
    ),
    "two prefixes in the wrong place": (
        {"routes": [{"name": n, "prefix": f"/{n}", **BAD_ROUTE} for n in "ab"]},
        ["routes[0].prefix", "routes[1].prefix"],
    ),
    "two paths for a match": (
        {"routes": [{"name": n, "path": f"/{n}", **BAD_ROUTE} for n in "ab"]},
        ["routes[0].path", "routes[1].path"],
    ),
    "two bad names": (
        {"routes": [{"name": "a b", "match": {"prefix": f"/{n}"}, **BAD_ROUTE} for n in "ab"]},
        ["routes[0].name", "routes[1].name"],
    ),
    "two bad key ids": (
        {"redis": {"url": "redis://r", "encryption_keys": [{"id": "", "key": {"env": "KEY"}}] * 2}},
        ["redis.encryption_keys[0].id", "redis.encryption_keys[1].id"],
    ),
    "two bad channels": (
        {
            "redis": {"url": "redis://r", "encryption_keys": [{"id": "k", "key": {"env": "KEY"}}]},
            "busts": {"listen": [{"channel": "", "dialect": "lerian"}] * 2},
        },
        ["busts.listen[0].channel", "busts.listen[1].channel"],
    ),
    "two bad services": (
        {"credentials": {n: {"aws_secret": {"id": "x"}, "service": "a b"} for n in "ab"}, "tokens": {}},
        ["credentials.a.service", "credentials.b.service"],
    ),
    "two addresses that are none": (
        {"listen": "9180", "admin": {"listen": "9180"}},
        ["admin.listen", "listen"],
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_k4_two_faulty_entries_are_not_compared(tmp_path: Path, name: str) -> None:
    """What stands in for a faulty value is the same in both, and that is no fault."""
    content, expected = PAIRS[name]
    sound = {"routes": [{"name": "r", "upstream": "https://u.test"}]}
    told = faults(write(tmp_path / "config.yaml", sound | content), SECRETS | {"KEY": KEY})
    assert [fault.path for fault in told] == expected
