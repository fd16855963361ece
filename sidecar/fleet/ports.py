"""Ports of the fleet: caches to evict from, a bus, and a seal for values."""

from collections.abc import Mapping
from typing import Protocol

from sidecar.cache.refused_tokens import Bust, BustFailure
from sidecar.core.labels import Labels
from sidecar.fleet.answers import SelectOutcome


class Evictions(Protocol):
    """Calls from the bus to the cache. Each only evicts: it publishes, stores or fetches nothing."""

    def evict(self, bust: Bust) -> bool:
        """Drop the token named by the bust, and only that one, in memory or while it is being loaded.

        Return whether memory held it.
        """

    def evict_selected(self, selector: Labels, at: float) -> int:
        """Drop every selected token whose fetch began by `at`; return the number. Quick, because there may be many.

        The bus adds it to `Revocations` first, so that none comes in later.
        """

    def evict_revoked(self) -> int:
        """After a gap: drop every token that `Revocations` cover by now; return the number."""

    def held(self) -> Mapping[str, int]:
        """Return the key and generation of everything in memory, for the comparison after a gap."""

    def evict_behind(self, generations: Mapping[str, int]) -> int:
        """After a gap: drop everything whose generation differs from these, and return the number.

        What was stored since they were requested is dropped too; what is still being loaded does not count.
        """


class Fills(Protocol):
    """Waiting loads for the results of other pods' fetches."""

    def filled(self, key: str) -> None:
        """Wake those that wait for this `TokenRequest.key`: its lease has ended, with or without a token."""


class BustBus(Protocol):
    """The channel of the fleet's messages. They are only hints: the 401 is authoritative."""

    async def run(self) -> None:
        """Receive until cancelled, reconnect after every loss, and pass accepted messages to Evictions and Fills."""

    async def publish(self, selector: Labels) -> SelectOutcome | BustFailure:
        """Revoke a set of tokens in every pod. Return what each pod dropped, or what went wrong."""


class Seal(Protocol):
    """Encryption of stored values and signatures of messages. Never raises, no I/O."""

    @property
    def fingerprint_key(self) -> bytes:
        """Key of all fingerprints, the same in every pod, so that they name a token fleet-wide."""

    def seal(self, key: str, tenant: str, header: bytes, content: bytes) -> bytes:
        """Return `1:<key id>:` + `header` in clear, then the sealed content.

        It is bound to `key`, the whole Redis key: moved to another one it does not open. `header` is `<fp>:<gen>:`.
        """

    def open(self, key: str, tenant: str, value: bytes) -> bytes | None:
        """Return the content; None for a value that the fleet did not seal for this very key."""

    def sign(self, message: bytes) -> bytes:
        """Return the message's authentication code in hexadecimal, empty if messages are not signed."""

    def verify(self, message: bytes, mac: bytes) -> bool:
        """Return, in constant time, whether a holder of one of the keys signed the message."""
