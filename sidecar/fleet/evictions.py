"""Several caches that get the same messages."""

from collections.abc import Mapping

from sidecar.cache.refused_tokens import Bust
from sidecar.core.labels import Labels
from sidecar.fleet.ports import Evictions


class EveryCache:
    """Pass the bus's calls to each cache, and add up the results."""

    def __init__(self, *caches: Evictions) -> None:
        self._caches = caches

    def evict(self, bust: Bust) -> bool:
        """See Evictions."""
        return sum(cache.evict(bust) for cache in self._caches) > 0

    def evict_selected(self, selector: Labels, at: float) -> int:
        """See Evictions."""
        return sum(cache.evict_selected(selector, at) for cache in self._caches)

    def evict_revoked(self) -> int:
        """See Evictions."""
        return sum(cache.evict_revoked() for cache in self._caches)

    def held(self) -> Mapping[str, int]:
        """See Evictions."""
        return {key: generation for cache in self._caches for key, generation in cache.held().items()}

    def evict_behind(self, generations: Mapping[str, int]) -> int:
        """See Evictions."""
        return sum(cache.evict_behind(generations) for cache in self._caches)
