"""What takes a restart: exactly the keys that the schema marks so."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config.load import load
from sidecar.config.restart import RESTART_KEYS, only_by_restart

BEFORE: dict[str, Any] = {
    "routes": [{"name": "r", "upstream": "https://r.test"}],
    "redis": {"url": "redis://one.test", "encryption": "none"},
    "credentials": {"app": {"client_id": "app", "client_secret": {"env": "TOKEN"}}},
    "tokens": {
        name: {"token_endpoint": "https://auth.test/token", "credentials": "app"} for name in ("one", "two")
    },
    "token_api": {"listen": "127.0.0.1:9182", "tokens": ["one"]},
}
CHANGES: dict[str, dict[str, Any]] = {
    "listen": {"listen": "127.0.0.1:9000"},
    "admin.listen": {"admin": {"listen": "0.0.0.0:9000"}},
    "token_api.listen": {"token_api": {"listen": "127.0.0.1:9000", "tokens": ["one"]}},
    "cache.mode": {"cache": {"mode": "local"}},
    "cache.store_ttl": {"cache": {"store_ttl": "5s"}},
    "cache.max_entries": {"cache": {"max_entries": 5}},
    "redis": {"redis": {"url": "redis://two.test", "encryption": "none"}},
    "busts": {"busts": {"listen": [{"channel": "c", "dialect": "lerian"}]}},
    "log.format": {"log": {"format": "console"}},
}
ALIVE: list[dict[str, Any]] = [
    {"admin": {"token": {"env": "TOKEN"}}},
    {"admin": {"hosts": ["sidecar.svc"]}},
    {"cache": {"memory_ttl": "5s", "leeway": "5s"}},
    {"log": {"level": "debug", "requests": "errors"}},
    {"drain_min_delay": "1s", "drain_timeout": "2s"},
    {"routes": [{"name": "other", "upstream": "https://other.test"}]},
    {"token_api": {"listen": "127.0.0.1:9182", "tokens": ["two"], "authorize": True}},
]


def changed(folder: Path, changes: dict[str, Any]) -> list[str]:
    """What of these changes only a restart can make."""
    file = folder / "sidecar.yaml"
    file.write_text(yaml.safe_dump(BEFORE))
    old = load(str(file), {"TOKEN": "a-token-of-the-operators"})
    file.write_text(yaml.safe_dump(BEFORE | changes))
    new = load(str(file), {"TOKEN": "a-token-of-the-operators"})
    return [fault.path for fault in only_by_restart(old, new)]


def test_every_key_is_known() -> None:
    """A key that is marked has its change below."""
    assert set(CHANGES) == set(RESTART_KEYS)


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_of_the_key_takes_a_restart(tmp_path: Path, path: str) -> None:
    """The fault names the key. Without its Redis the fleet's mode changes the section too."""
    also = {"redis"} if path == "cache.mode" else set()
    assert set(changed(tmp_path, CHANGES[path])) == {path} | also


@pytest.mark.parametrize("changes", ALIVE, ids=lambda changes: next(iter(changes)))
def test_all_else_can_be_reloaded(tmp_path: Path, changes: dict[str, Any]) -> None:
    """A reload changes them."""
    assert changed(tmp_path, changes) == []
