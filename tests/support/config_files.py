"""Valid configurations with one change by a test, and the faults of invalid ones."""

import base64
import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config.load import load
from sidecar.config.settings import Config
from sidecar.core.errors import ConfigError, Fault

_FOLDER = tempfile.TemporaryDirectory()
ONE_LINE = str(Path(_FOLDER.name) / "value")
"""A file that can hold a secret, or JSON credentials, and neither a token nor a key."""
Path(ONE_LINE).write_text('{"client_id": "me", "client_secret": "hunter2"}\n')
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
BadValue = tuple[str, object, str, str]
"""Which key is set (a path of `tree`), to what, where the fault is reported, a part of the reason."""


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
    path.write_text(content if isinstance(content, str) else yaml.dump(content, Dumper=yaml.CSafeDumper))
    return str(path)


def read(tmp_path: Path, content: object, environ: dict[str, str] | None = None) -> Config:
    return load(write(tmp_path / "config.yaml", content), SECRETS | (environ or {}))


def faults(path: str | None, environ: dict[str, str]) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    assert CANARY not in str(caught.value)
    return caught.value.faults


def bad_values(*rows: BadValue) -> pytest.MarkDecorator:
    """Run a test on each of these."""
    names = [f"{path}-{reason}" for _, _, path, reason in rows]
    return pytest.mark.parametrize(("at", "value", "path", "reason"), rows, ids=names)


def check_told(tmp_path: Path, at: str, value: object, path: str, reason: str) -> None:
    """Assert that this value is the one fault of a valid tree: its file, its path, its reason."""
    file = write(tmp_path / "config.yaml", tree(**{at: value}))
    told = faults(file, SECRETS | {"EMPTY": ""})
    assert [(fault.source, fault.path) for fault in told] == [(file, path)]
    assert reason in told[0].reason
