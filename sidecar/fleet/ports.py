"""What the fleet needs: caches to evict from, a bus, and what seals its values."""

from collections.abc import Mapping
from typing import Protocol

from sidecar.cache.refused_tokens import Bust, BustFailure
from sidecar.core.labels import Labels
from sidecar.fleet.answers import SelectOutcome


class Evictions(Protocol):
    """What the bus hands the cache. Each only evicts: nothing is published, stored or fetched because of it."""

    def evict(self, bust: Bust) -> bool:
        """Drop the token named by the bust, and only that one, now and if it is still on its way into memory.

        Return whether memory held it.
        """

    def evict_selected(self, selector: Labels, at: float) -> int:
        """Drop every token the selector means whose fetch began by `at`; tell how many. Quick: there may be many.

        The bus adds it to `Revocations` first, so that none comes in later.
        """

    def evict_revoked(self) -> int:
        """After a gap: drop every token that `Revocations` cover by now; tell how many."""

    def held(self) -> Mapping[str, int]:
        """Return the key and generation of everything in memory, for the comparison after a gap."""

    def evict_behind(self, generations: Mapping[str, int]) -> int:
        """After a gap: drop what memory holds under another (≠) generation than these, and tell how many.

        What has come in since they were asked for goes too, and what is still on its way does not count.
        """


class Fills(Protocol):
    """Who waits for another pod's fetch."""

    def filled(self, key: str) -> None:
        """The lease of this `TokenRequest.key` has ended, with or without a token: look again."""


class BustBus(Protocol):
    """What the fleet's messages are heard on. A hint: the 401 is the truth."""

    async def run(self) -> None:
        """Hear for ever, coming back by itself after every loss; hand what counts to Evictions and Fills."""

    async def publish(self, selector: Labels) -> SelectOutcome | BustFailure:
        """Revoke a set of tokens in every pod. Return what each pod dropped, or what went wrong."""


class Seal(Protocol):
    """Makes what lies in the store unreadable, and what is told there unforgeable. Never raises, no I/O."""

    @property
    def fingerprint_key(self) -> bytes:
        """What fingerprints are made with: the same in every pod, so that they name a token fleet-wide."""

    def seal(self, key: str, tenant: str, header: bytes, content: bytes) -> bytes:
        """Return `1:<key id>:` + `header` in clear, then the sealed content.

        Bound to `key`, the whole Redis key: moved to another one it does not open. `header` is `<fp>:<gen>:`.
        """

    def open(self, key: str, tenant: str, value: bytes) -> bytes | None:
        """Return the content; None for whatever was not sealed by the fleet for this very key."""

    def sign(self, message: bytes) -> bytes:
        """Return the message's authentication code in hexadecimal, empty where messages go unsigned."""

    def verify(self, message: bytes, mac: bytes) -> bool:
        """Tell, in constant time, whether a holder of one of the keys signed the message."""
