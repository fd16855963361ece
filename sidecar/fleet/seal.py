"""Sealing of stored values and signing of messages: the home of the cryptography library."""

import hmac
from binascii import hexlify
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from sidecar.core.lru import Lru
from sidecar.core.ports import Randomness
from sidecar.fleet.messages import MAC_LENGTH

MAX_CIPHERS = 4096
"""Derived keys that are kept; another tenant's is derived again in some 20 µs."""
_VERSION = b"1"
_FIELDS = 4
"""Of a value's clear part: version, key id, fingerprint, generation; each ends in a colon."""
_NONCE = 12
_COMMON_KNOWLEDGE = b"sidecar: no encryption key"


class AesSeal:
    """AES-256-GCM with a key per tenant, HMAC-SHA-256 over messages; all derived from the configured keys.

    The first key seals and signs, every key opens and verifies. To rotate: add the new key after the old one in every
    pod, then put it first, then remove the old one.
    """

    def __init__(self, keys: Sequence[tuple[str, bytes]], randomness: Randomness) -> None:
        """Take `keys` by id, at least one, of 32 bytes each."""
        self._first = keys[0][0]
        self._keys = dict(keys)
        self._macs = [HMAC(_derive(key, b"message"), SHA256()) for _, key in keys]
        self._ciphers: Lru[AESGCM] = Lru(MAX_CIPHERS)
        self._randomness = randomness
        self.fingerprint_key = _derive(keys[0][1], b"fingerprint")

    def seal(self, key: str, tenant: str, header: bytes, content: bytes) -> bytes:
        """Return the value: its clear part, nonce and ciphertext."""
        clear = b"%b:%b:%b" % (_VERSION, self._first.encode(), header)
        nonce = self._randomness.token_bytes(_NONCE)
        cipher = self._cipher(self._first, tenant)
        return clear + nonce + cipher.encrypt(nonce, content, _bound(clear, key))

    def open(self, key: str, tenant: str, value: bytes) -> bytes | None:
        """Return the content, None for a value that our keys did not seal for this very key and tenant."""
        parts = _split(value)
        if parts is None:
            return None
        key_id, clear, sealed = parts
        if key_id not in self._keys:
            return None
        try:
            return self._cipher(key_id, tenant).decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(clear, key))
        except (InvalidTag, ValueError):  # altered, moved, or too short
            return None

    def sign(self, message: bytes) -> bytes:
        """Return the MAC under the first key, in hexadecimal."""
        return _mac(self._macs[0], message)

    def verify(self, message: bytes, mac: bytes) -> bool:
        """Return whether the MAC is one of ours; the time it takes does not depend on how close a wrong one is."""
        if len(mac) != MAC_LENGTH:
            return False
        for keyed in self._macs:  # noqa: SIM110  a generator costs a third more, and any client decides how often
            if hmac.compare_digest(_mac(keyed, message), mac):
                return True
        return False

    def _cipher(self, key_id: str, tenant: str) -> AESGCM:
        name = f"{key_id}:{tenant}"
        cipher = self._ciphers.get(name)
        if cipher is None:
            cipher = AESGCM(_derive(self._keys[key_id], b"value:" + tenant.encode()))
            self._ciphers.put(name, cipher)
        return cipher


class NoSeal:
    """The seal of `encryption: none`: any client of Redis can read the values and write messages.

    A value still names its key, so that a misplaced one is a miss here too.
    """

    fingerprint_key = _COMMON_KNOWLEDGE

    def seal(self, key: str, tenant: str, header: bytes, content: bytes) -> bytes:
        """Return the clear part, the key it is for, and the content."""
        return b"%b::%b%b\n%b" % (_VERSION, header, key.encode(), content)

    def open(self, key: str, tenant: str, value: bytes) -> bytes | None:
        """Return the content, None for what is sealed, or for another key."""
        parts = _split(value)
        if parts is None or parts[0] != "":
            return None
        owner, newline, content = parts[2].partition(b"\n")
        return content if newline and owner == key.encode() else None

    def sign(self, message: bytes) -> bytes:
        """Return no MAC."""
        return b""

    def verify(self, message: bytes, mac: bytes) -> bool:
        """Accept any message without a MAC; one with a MAC comes from a fleet that has keys."""
        return not mac


def _split(value: bytes) -> tuple[str, bytes, bytes] | None:
    """Split a value: the id of its key, its clear part, the rest. None if it has another form."""
    parts = value.split(b":", _FIELDS)
    if len(parts) <= _FIELDS or parts[0] != _VERSION:
        return None
    rest = parts[_FIELDS]
    return parts[1].decode("ascii", "replace"), value[: len(value) - len(rest)], rest


def _bound(clear: bytes, key: str) -> bytes:
    """Return what is authenticated with the content; unambiguous, because the clear part has four colons."""
    return clear + key.encode()


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"sidecar:" + purpose).derive(key)


def _mac(keyed: HMAC, message: bytes) -> bytes:
    mac = keyed.copy()  # a copy takes half the time of the standard library's
    mac.update(message)
    return hexlify(mac.finalize())
