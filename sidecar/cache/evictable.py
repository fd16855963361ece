"""Eviction by busts of other pods: the same for tokens and for credentials."""

from collections.abc import Iterable, Mapping
from typing import Generic, Protocol, TypeVar

from sidecar.cache.refused_tokens import Bust
from sidecar.cache.revocations import Revocations
from sidecar.core.labels import Labels
from sidecar.core.lru import Lru


class Entry(Protocol):
    """An entry in memory, with what busts compare."""

    @property
    def key(self) -> str:
        """The cache key."""

    @property
    def fingerprint(self) -> str:
        """The content's name in logs."""

    @property
    def labels(self) -> Labels:
        """The labels that select it."""

    @property
    def began(self) -> float:
        """When its fetch began, in epoch seconds."""

    @property
    def generation(self) -> int:
        """Generation of its key when it was stored."""


E = TypeVar("E", bound=Entry)


class EvictableCache(Generic[E]):
    """The memory of a cache. Implements Evictions: it drops entries, and publishes, stores and fetches nothing."""

    def __init__(self, memory: Lru[E], revocations: Revocations) -> None:
        self._memory = memory
        self._revocations = revocations

    def evict(self, bust: Bust) -> bool:
        """Drop the entry that the bust names, and only that; return whether it was in memory."""
        held = self._memory.get(bust.key)
        if held is None or held.fingerprint != bust.fingerprint:
            return False
        self._memory.pop(bust.key)
        return True

    def evict_selected(self, selector: Labels, at: float) -> int:
        """Drop everything that carries these labels and whose fetch began by `at`; return the number."""
        return self._drop(held.key for held in self._memory if held.began <= at and selector <= held.labels)

    def evict_revoked(self) -> int:
        """Drop everything that a select has revoked so far; return the number."""
        return self._drop(
            held.key for held in self._memory if self._revocations.cover(held.labels, held.began)
        )

    def held(self) -> Mapping[str, int]:
        """Return key and generation of everything in memory."""
        return {held.key: held.generation for held in self._memory}

    def evict_behind(self, generations: Mapping[str, int]) -> int:
        """Drop everything whose generation differs from these; return the number."""
        return self._drop(key for key, held in self.held().items() if generations.get(key) != held)

    def _drop(self, keys: Iterable[str]) -> int:
        return sum(self._memory.pop(key) is not None for key in keys)
