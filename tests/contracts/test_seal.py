"""Sealing: what comes back opens, and nothing else does. The same over the sealed and the plain variant."""

import base64
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.fleet.ports import Seal
from sidecar.fleet.seal import AesSeal, NoSeal
from sidecar.system.clock import SystemRandomness
from tests.support.examples import examples

KEY = "tenant:acme:m2m:ledger:token:0f"
HEADER = b"a1b2c3d4e5f6:17:"
CONTENT = b'{"token":"canary-token"}'


def aes(*ids: str) -> AesSeal:
    return AesSeal([(name, name.encode().ljust(32, b"\0")) for name in ids], SystemRandomness())


SEALS = [pytest.param(aes("k1"), id="sealed"), pytest.param(NoSeal(), id="plain")]


@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize("content", [CONTENT, b"", b":\n:\0\xff", b"x" * 100_000])
def test_what_was_sealed_opens(seal: Seal, content: bytes) -> None:
    """Any bytes, under any key and tenant."""
    for key, tenant in ((KEY, "acme"), ("pre:m2m:ü:token:0", ""), ("k:" * 9, "x")):
        assert seal.open(key, tenant, seal.seal(key, tenant, HEADER, content)) == content


@pytest.mark.parametrize("seal", SEALS)
def test_the_clear_part_is_readable(seal: Seal) -> None:
    """Scripts compare the fingerprint without opening: version, key id, fingerprint, generation."""
    fields = seal.seal(KEY, "acme", HEADER, CONTENT).split(b":", 4)
    assert (fields[0], fields[2], fields[3]) == (b"1", b"a1b2c3d4e5f6", b"17")
    assert fields[1] == (b"k1" if isinstance(seal, AesSeal) else b"")


@pytest.mark.parametrize("seal", SEALS)
def test_b51_a_moved_value_is_a_miss(seal: Seal) -> None:
    """Under another key it does not open, however alike the two are."""
    value = seal.seal(KEY, "acme", HEADER, CONTENT)
    for key in (KEY + "1", KEY[:-1], KEY.replace("acme", "globex"), "p:" + KEY, "", f"17:{KEY}"):
        assert seal.open(key, "acme", value) is None


@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"1",
        b"::::",
        b"1:k1:fp:1:",
        b"1:k1:fp:1:short",
        b"2:k1:fp:1:" + b"x" * 40,
        b"1:other:fp:1:" + b"x" * 40,
        b"1:\xff:fp:1:" + b"x" * 40,
        b"\xff" * 99,
        b"canary-token",
        b'{"token":"canary-token"}',
    ],
)
def test_b50_an_unreadable_value_is_a_miss(seal: Seal, value: bytes) -> None:
    """Empty, foreign, cut off or of another version: never an exception."""
    assert seal.open(KEY, "acme", value) is None


@pytest.mark.parametrize("seal", SEALS)
@given(value=st.binary() | st.binary().map(lambda rest: b"1:k1:fp:1:" + rest))
def test_b50_no_value_raises(seal: Seal, value: bytes) -> None:
    """Fuzzed values are misses."""
    assert seal.open(KEY, "acme", value) is None


def test_b51_every_altered_bit_is_a_miss() -> None:
    """In the clear part, in the nonce and in the ciphertext alike."""
    seal = aes("k1")
    value = seal.seal(KEY, "acme", HEADER, CONTENT)
    for place in range(len(value)):
        for bit in range(8):
            altered = bytearray(value)
            altered[place] ^= 1 << bit
            assert seal.open(KEY, "acme", bytes(altered)) is None


def test_b51_nothing_sealed_is_readable() -> None:
    """Neither as it is nor in base64; and no two sealings of it are alike."""
    values = [aes("k1").seal(KEY, "acme", HEADER, CONTENT) for _ in range(20)]
    for value in values:
        assert b"canary" not in value
        assert base64.b64encode(b"canary-token")[:12] not in value
    assert len({value[:40] for value in values}) == 20


def test_b51_tenants_do_not_open_each_others_values() -> None:
    """Each has a key of its own, which the others' pods could not even derive by mistake."""
    seal = aes("k1")
    value = seal.seal(KEY, "acme", HEADER, CONTENT)
    assert seal.open(KEY, "globex", value) is None
    assert seal.open(KEY, "", value) is None
    assert seal.open(KEY, "acme", value) == CONTENT


def test_b51_keys_rotate_without_a_miss() -> None:
    """Old, then old and new, then new and old, then new: neighbours open and verify each other's."""
    steps = [aes("old"), aes("old", "new"), aes("new", "old"), aes("new")]
    for one, other in pairwise(steps):
        for writer, reader in ((one, other), (other, one)):
            assert reader.open(KEY, "acme", writer.seal(KEY, "acme", HEADER, CONTENT)) == CONTENT
            assert reader.verify(b"message", writer.sign(b"message"))
    assert steps[3].open(KEY, "acme", steps[0].seal(KEY, "acme", HEADER, CONTENT)) is None
    assert not steps[3].verify(b"message", steps[0].sign(b"message"))


def test_b51_an_id_does_not_vouch_for_a_key() -> None:
    """A value sealed with another key of the same id is a miss."""
    forger = AesSeal([("k1", b"x" * 32)], SystemRandomness())
    assert aes("k1").open(KEY, "acme", forger.seal(KEY, "acme", HEADER, CONTENT)) is None
    assert not aes("k1").verify(b"message", forger.sign(b"message"))


def test_b43_only_the_very_message_verifies() -> None:
    """Nothing altered, nothing empty, nothing that is no MAC at all."""
    seal = aes("k1")
    mac = seal.sign(b"message")
    assert seal.verify(b"message", mac)
    for message, given_mac in ((b"massage", mac), (b"message", mac[:-1]), (b"message", b"")):
        assert not seal.verify(message, given_mac)
    assert not seal.verify(b"message", mac.upper())
    assert not seal.verify(b"message", b"\xff")


def test_without_keys_messages_go_unsigned() -> None:
    """And one that is signed comes from a fleet with keys: the two do not mix."""
    assert NoSeal().sign(b"message") == b""
    assert NoSeal().verify(b"message", b"")
    assert not NoSeal().verify(b"message", aes("k1").sign(b"message"))
    assert not aes("k1").verify(b"message", b"")


def test_a_sealed_and_a_plain_fleet_miss_each_others_values() -> None:
    """A fleet that turns encryption on or off starts with an empty cache, and nothing breaks."""
    assert NoSeal().open(KEY, "acme", aes("k1").seal(KEY, "acme", HEADER, CONTENT)) is None
    assert aes("k1").open(KEY, "acme", NoSeal().seal(KEY, "acme", HEADER, CONTENT)) is None


def test_fingerprints_are_the_fleets() -> None:
    """Every pod with the same first key names tokens alike; that key itself is given away nowhere."""
    assert aes("k1", "k2").fingerprint_key == aes("k1").fingerprint_key != aes("k2").fingerprint_key
    assert NoSeal().fingerprint_key == NoSeal().fingerprint_key
    assert aes("k1").fingerprint_key != b"k1".ljust(32, b"\0")


@settings(max_examples=examples(20))
@given(st.lists(st.text(max_size=20), min_size=1, max_size=5, unique=True))
def test_b51_tenants_are_isolated_whatever_they_are_called(tenants: list[str]) -> None:
    """Also names with colons, quotes or nothing in them."""
    seal = aes("k1")
    for owner in tenants:
        value = seal.seal(KEY, owner, HEADER, CONTENT)
        assert [tenant for tenant in tenants if seal.open(KEY, tenant, value) is not None] == [owner]
