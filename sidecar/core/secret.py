"""Values that never print."""

import hashlib
import hmac
from dataclasses import dataclass


def fingerprint(key: bytes, value: str) -> str:
    """Return a name of `value` that does not reveal it: 12 hex digits of HMAC-SHA-256 under `key`.

    It is keyed, so that guesses of a weak secret cannot be tested against a log line.
    """
    return keyed_hash(key, value)[:12]


def keyed_hash(key: bytes, value: str) -> str:
    """Return a stand-in for `value` where it must not appear: all 64 hex digits of HMAC-SHA-256 under `key`."""
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()


class Secret:
    """A secret string; every way of printing it shows only its fingerprint."""

    __slots__ = ("_value", "fingerprint")

    def __init__(self, value: str, fingerprint: str = "") -> None:
        """Take `fingerprint`, the secret's name in logs; "" for secrets that no log names."""
        self._value = value
        self.fingerprint = fingerprint

    def reveal(self) -> str:
        """Return the secret itself; call it only where it is sent."""
        return self._value

    def __repr__(self) -> str:
        return f"<secret {self.fingerprint}>" if self.fingerprint else "<secret>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a Secret is never pickled")


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A secret in a file of its own, read when it is used: a mounted secret is replaced in place."""

    path: str
    multiline: bool = False
    """Whether it is a key or a certificate rather than a single value."""


SecretRef = Secret | SecretFile
"""A secret from the environment, which lives as long as the process, or the file that holds one."""
