"""Documents that other servers publish, kept: one fetch at a time, and the last one stays in use during an outage."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar

from sidecar.core.errors import TokenUnavailable
from sidecar.core.lru import Lru
from sidecar.core.ports import Clock
from sidecar.core.rate_limit import RateLimit

T = TypeVar("T")


@dataclass(slots=True)
class _Document(Generic[T]):
    """One document. The fetching task holds the lock; the others wait for its result."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    content: T | None = None
    looked: float = -inf
    error: TokenUnavailable | None = None
    """Why the last fetch failed."""
    early: RateLimit = field(kw_only=True)
    """Early fetches that are left before the document is old."""


class RemoteDocuments(Generic[T]):
    """Documents by key, at most `limit` of them."""

    def __init__(
        self, clock: Clock, *, limit: int, pause: float, first_pause: float = 0.0, early: int = 0
    ) -> None:
        """Seconds after a failed fetch: `pause` while an old document serves, `first_pause` while there is none.

        At most `early` fetches of a document may happen before it is old, and one more in each `pause`.
        """
        self._clock = clock
        self._early = early
        self._pause = pause
        self._first_pause = first_pause
        self._documents: Lru[_Document[T]] = Lru(limit)

    async def get(self, key: str, fetch: Callable[[], Awaitable[T]], *, age: float, early: bool = False) -> T:
        """Return the document, fetched at most `age` seconds ago; an older one while it cannot be fetched.

        With `early` there is reason to think that it has changed: a rate limit decides in place of `age`, unless the
        last fetch failed, and a fetch that began after this call will do. Raises TokenUnavailable when there is none,
        and whatever else `fetch` raises.
        """
        document = self._documents.get(key)
        if document is None:
            document = _Document(early=RateLimit(burst=self._early, rate=1 / self._pause))
            self._documents.put(key, document)
        called = self._clock.now()
        async with document.lock:
            if self._is_due(document, age, called if early else None):
                await self._fetch(document, fetch)
        if document.content is not None:
            return document.content
        assert document.error is not None
        raise TokenUnavailable(str(document.error), document.error.retry_after)

    def _is_due(self, document: _Document[T], age: float, early: float | None) -> bool:
        """Return whether to fetch it now; `early` is the time of the call that expects a change."""
        now = self._clock.now()
        if early is None or document.content is None or document.error is not None:
            return now - document.looked >= self._patience(document, age)
        return document.looked < early and document.early.take(now)

    def known(self) -> Iterator[T]:
        """Return those that were fetched."""
        return (document.content for document in self._documents if document.content is not None)

    def _patience(self, document: _Document[T], age: float) -> float:
        if document.error is None:
            return age
        return self._first_pause if document.content is None else self._pause

    async def _fetch(self, document: _Document[T], fetch: Callable[[], Awaitable[T]]) -> None:
        began = self._clock.now()
        try:
            document.content = await fetch()
            document.error = None
        except TokenUnavailable as error:
            document.error = error
        document.looked = began
