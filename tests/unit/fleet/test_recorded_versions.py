"""Pods of today use what pods of earlier versions stored and published; `tests.histories.record` recorded it.

A rolling update runs both versions on one Redis. In the other direction, today's pods write the same members, so that
earlier versions read them: those ignore members that they do not know.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.cache.refused_tokens import Bust
from sidecar.config.load import load
from sidecar.core.labels import parse_selector
from sidecar.fleet import messages
from sidecar.fleet.clock_offset import ClockOffset
from sidecar.fleet.messages import Inbox, ReceivedMessage, Revocation, encode
from sidecar.fleet.redis.revocation_log import REVOKED_KEY
from sidecar.fleet.redis.scripts import BUST, CLAIM, COMPANIONS, COOL_DOWN, keys_of
from sidecar.fleet.seal import AesSeal
from sidecar.fleet.stored_value import read_setback, read_token, write_setback, write_token
from sidecar.system.clock import SystemRandomness
from tests.histories.pods import FLEET_KEY, KEYS, PREFIX, document
from tests.histories.record import FOLDER, TOKENS, environ
from tests.support.fleet_of_members import KEY

RECORDED = sorted(FOLDER.glob("*.json"))
BUST_CHANNEL, FILL_CHANNEL = PREFIX + messages.BUST_CHANNEL, PREFIX + messages.FILL_CHANNEL
NO_OFFSET = ClockOffset(0.0, 0.0, 0.0)
SEAL = AesSeal([("k1", KEY)], SystemRandomness())


class Recording:
    """One recorded version."""

    def __init__(self, path: Path) -> None:
        recorded: Mapping[str, Any] = json.loads(path.read_text())
        self.keys: Mapping[str, str] = recorded["keys"]
        self.token_endpoint: str = recorded["token_endpoint"]
        self.values: Mapping[str, Any] = recorded["values"]
        self.messages: Mapping[str, list[str]] = recorded["messages"]

    def under(self, suffix: str) -> dict[str, Any]:
        """Return what was under the keys of tokens, or of their companions, by the key without its prefix."""
        found = {key: value for key, value in self.values.items() if ":token:" in key}
        if not suffix:
            return {
                key.removeprefix(PREFIX): value for key, value in found.items() if not key.startswith("{")
            }
        end = f"}}:{suffix}"
        return {
            key.removeprefix("{" + PREFIX).removesuffix(end): value
            for key, value in found.items()
            if key.endswith(end)
        }

    def busts(self) -> list[ReceivedMessage]:
        """Return the messages, read by a pod of today."""
        inbox = Inbox(channel=BUST_CHANNEL, own="self", verify=SEAL.verify)
        read = [inbox.read(payload.encode()) for payload in self.messages[BUST_CHANNEL]]
        return [message for message in read if isinstance(message, ReceivedMessage)]


@pytest.fixture(params=RECORDED, ids=lambda path: path.stem)
def recording(request: pytest.FixtureRequest) -> Recording:
    return Recording(request.param)


def members(content: bytes) -> Mapping[str, object]:
    found: Mapping[str, object] = json.loads(content)
    return found


def test_b99_old_and_new_pods_use_the_same_keys(recording: Recording, tmp_path: Path) -> None:
    """A token request has one key, which both calculate from the configuration, and the same companions."""
    admin = tmp_path / "admin"
    admin.write_text("canary-operators-token")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(document(recording.token_endpoint, "http://127.0.0.1:1", 1, admin)))
    config = load(str(path), {"FLEET_KEY": FLEET_KEY, "CLIENT_SECRET": "canary-secret"})
    keys = {config.tokens[name].key for name in KEYS}
    assert {message.what.key for message in recording.busts() if isinstance(message.what, Bust)} == keys
    companions = {name for key in keys for name in keys_of(PREFIX + key)}
    assert {key for key in recording.values if ":token:" in key} <= companions
    assert {suffix for suffix in COMPANIONS if recording.under(suffix)} == set(COMPANIONS)


def test_b99_token_requests_of_every_kind_have_the_keys_of_the_old_version(recording: Recording) -> None:
    """A new field of a token request would change every key, unless it is left out while it has its default."""
    found = {name: request.key for name, request in load(str(TOKENS), environ()).tokens.items()}
    assert found == recording.keys


def test_b99_a_stored_token_of_an_old_pod_is_used(recording: Recording) -> None:
    """It opens, with its fingerprint and generation in clear; written again it has every old member."""
    stored = recording.under("")
    assert stored
    for key, value in stored.items():
        raw = bytes.fromhex(value)
        _, _, fp, generation, _ = raw.split(b":", 4)
        content = SEAL.open(PREFIX + key, "", raw)
        assert content is not None
        token = read_token(content, fp.decode(), int(generation), NO_OFFSET)
        assert token is not None
        assert token.secret.reveal().startswith("canary-token-t")
        assert token.expires_at - token.fetch_began == pytest.approx(3600, abs=60)
        assert members(content).items() <= members(write_token(token, NO_OFFSET)).items()


def test_b99_a_shared_failure_of_an_old_pod_is_used(recording: Recording) -> None:
    """The fleet waits, whichever version failed to fetch."""
    failures = recording.under("fail")
    assert failures
    for key, value in failures.items():
        content = SEAL.open(f"{PREFIX}{key}:fail", "", bytes.fromhex(value))
        assert content is not None
        setback = read_setback(content, NO_OFFSET)
        assert setback is not None
        assert setback.reason
        assert members(content).items() <= members(write_setback(setback, NO_OFFSET)).items()


def test_b99_busts_of_old_pods_are_accepted_and_new_ones_are_the_same(recording: Recording) -> None:
    """Byte for byte, with the signature: an old pod accepts what a new one publishes."""
    read = recording.busts()
    assert len(read) == len(recording.messages[BUST_CHANNEL])
    assert {type(message.what) for message in read} == {Bust, Revocation}
    for message, payload in zip(read, recording.messages[BUST_CHANNEL], strict=True):
        made = encode(
            message.what, channel=BUST_CHANNEL, sender=message.sender, at=message.at, sign=SEAL.sign
        )
        assert made == payload.encode()


def test_b99_a_bust_by_label_that_an_old_pod_recorded_is_recalled(recording: Recording) -> None:
    """Pods that missed it read it from Redis."""
    inbox = Inbox(channel=BUST_CHANNEL, own="self", verify=SEAL.verify)
    recorded = [inbox.recall(bytes.fromhex(each)) for each in recording.values[f"{PREFIX}{REVOKED_KEY}"]]
    assert [each.selector for each in recorded if each] == [parse_selector({"service": "a"})]


def test_b99_fills_of_old_pods_name_the_key(recording: Recording) -> None:
    """So a pod of today that waits for a token reads it."""
    assert set(recording.messages[FILL_CHANNEL]) == {PREFIX + key for key in recording.under("")}


def test_b99_the_state_of_old_scripts_is_that_of_todays(recording: Recording) -> None:
    """Generations, last busts and leases are texts that today's scripts match; a cool-down has the fields they read."""
    texts = {suffix: recording.under(suffix).values() for suffix in ("gen", "dead", "lease")}
    assert all(texts.values())
    for text in map(bytes.fromhex, texts["gen"]):
        assert 0 < int(text) < 10**15
    for text in map(bytes.fromhex, texts["dead"]):
        fp, since = text.split(b" ")
        assert len(fp) == 12
        assert int(since) < 10**17
    assert all(map(bytes.fromhex, texts["lease"]))
    for cool in recording.under("cool").values():
        assert set(cool) <= {"until", "rounds", "token", "probing"}
        assert all(f"'{name}'" in COOL_DOWN.text for name in cool)
    assert "'^1:[^:]*:([^:]*):'" in CLAIM.text
    assert "'^(%S+) (%d+)$'" in BUST.text
