"""The section `token_api`, its defaults, and what is wrong in it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.config.load import load
from sidecar.config.settings import Config, TokenApiSettings
from sidecar.core.errors import ConfigError

TOKEN = {"token_endpoint": "https://auth.test/token", "credentials": "app"}
DOCUMENT: dict[str, Any] = {
    "credentials": {"app": {"client_id": "app", "client_secret": {"env": "SECRET"}}},
    "tokens": {"ledger": TOKEN, "kafka": {**TOKEN, "scope": ["kafka"]}},
    "routes": [{"name": "ledger", "upstream": "https://ledger.test", "token": "ledger"}],
}


def loaded(folder: Path, api: object, **changes: object) -> Config:
    file = folder / "sidecar.yaml"
    file.write_text(yaml.safe_dump({**DOCUMENT, "token_api": api, **changes}))
    return load(str(file), {"SECRET": "secret"}, attended=True)


def test_a_section_is_read(tmp_path: Path) -> None:
    """Header mode is off by default. An entry that is handed out is in use, without a route."""
    config = loaded(tmp_path, {"listen": "127.0.0.1:9182", "tokens": ["kafka"]})
    assert config.token_api == TokenApiSettings("127.0.0.1:9182", ("kafka",), authorize=False)
    assert config.warnings == ()
    assert {template.name for template in config.templates} == {"ledger", "kafka"}
    on = loaded(tmp_path, {"listen": "unix:/run/api.sock", "tokens": ["kafka"], "authorize": True})
    assert on.token_api.authorize


@pytest.mark.parametrize("api", [None, {"tokens": ["ledger"]}])
def test_without_an_address_there_is_no_token_api(tmp_path: Path, api: object) -> None:
    """Nothing is handed out, and an entry without a route is unused."""
    config = loaded(tmp_path, api)
    assert config.token_api == TokenApiSettings()
    assert {template.name for template in config.templates} == {"ledger"}
    assert [warning.path for warning in config.warnings] == ["tokens.kafka"]


LISTEN = "127.0.0.1:9182"
FAULTS: dict[str, tuple[object, str, str]] = {
    "every address": ({"listen": "0.0.0.0:9182", "tokens": ["ledger"]}, "token_api.listen", "loopback"),
    "no address": ({"listen": "x", "tokens": ["ledger"]}, "token_api.listen", "write host:port"),
    "the data plane's": (
        {"listen": "127.0.0.1:9180", "tokens": ["ledger"]}, "token_api.listen", "the same address or port as listen",
    ),
    "the admin server's": (
        {"listen": "127.0.0.1:9181", "tokens": ["ledger"]}, "token_api.listen", "as admin.listen",
    ),
    "no tokens": ({"listen": LISTEN}, "token_api.tokens", "missing"),
    "an empty list": ({"listen": LISTEN, "tokens": []}, "token_api.tokens", "must hold at least one entry"),
    "a name": ({"listen": LISTEN, "tokens": "ledger"}, "token_api.tokens", "write a list"),
    "a wildcard": ({"listen": LISTEN, "tokens": ["*"]}, "token_api.tokens[0]", "use at most 64 letters"),
    "an unknown entry": (
        {"listen": LISTEN, "tokens": ["ledger", "ledgr"]}, "token_api.tokens[1]", "did you mean ledger?",
    ),
    "a route's name": ({"listen": LISTEN, "tokens": ["other"]}, "token_api.tokens[0]", "there is: kafka, ledger"),
    "a word": ({"listen": LISTEN, "tokens": ["ledger"], "authorize": "maybe"}, "token_api.authorize", "true or false"),
    "an unknown key": ({"listen": LISTEN, "tokens": ["ledger"], "port": 1}, "token_api.port", "unknown key"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_b85_a_fault_is_reported(tmp_path: Path, name: str) -> None:
    """With its place and the reason."""
    api, path, reason = FAULTS[name]
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, api)
    assert [fault.path for fault in error.value.faults] == [path]
    assert reason in error.value.faults[0].reason


def test_b85_a_faulty_entry_is_one_fault(tmp_path: Path) -> None:
    """Not also a name that nothing has."""
    broken = {"ledger": {**TOKEN, "grant": "x"}, "kafka": TOKEN}
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, {"listen": LISTEN, "tokens": ["ledger"]}, tokens=broken)
    assert [fault.path for fault in error.value.faults] == ["tokens.ledger.grant"]
