"""Stands for the caches where messages are received."""

from collections.abc import Mapping

from sidecar.cache.refused_tokens import Bust
from sidecar.core.labels import Labels


class RecordingMemory:
    """Evictions and fills that are only noted; each eviction returns `held_of_each` as the number dropped."""

    def __init__(self) -> None:
        self.busts: list[Bust] = []
        self.selects: list[tuple[Labels, float]] = []
        self.keys: list[str] = []
        self.held_of_each = 1

    def evict(self, bust: Bust) -> bool:
        self.busts.append(bust)
        return self.held_of_each > 0

    def evict_selected(self, selector: Labels, at: float) -> int:
        self.selects.append((selector, at))
        return self.held_of_each

    def evict_revoked(self) -> int:
        return self.held_of_each

    def held(self) -> Mapping[str, int]:
        return {}

    def evict_behind(self, generations: Mapping[str, int]) -> int:
        return len(generations)

    def filled(self, key: str) -> None:
        self.keys.append(key)
