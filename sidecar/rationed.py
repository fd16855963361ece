"""RationedTokens: a source that strangers cannot wear out."""

from sidecar.core.errors import RequestRefused
from sidecar.core.ports import Clock, TokenSource
from sidecar.core.ration import Ration
from sidecar.core.token import FetchReason, Token, TokenRequest

BURST = 1000
"""First tokens for clients' own choice of identity that a sidecar fetches at once."""
RATE = 50.0
"""A second, from then on."""


class RationedTokens:
    """Wraps the source that fetches: a client that invents tenants is answered 429 before it can wear out others.

    Only the first token of an identity that a client named is rationed, and only when it is fetched: whoever is
    known, to the configuration or to the caches, does not notice.
    """

    def __init__(self, source: TokenSource, *, known: frozenset[str], ration: Ration, clock: Clock) -> None:
        """`known` are the tenants of the configuration; the ration outlives a reload."""
        self._source = source
        self._known = known
        self._ration = ration
        self._clock = clock

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """See the port. Raises RequestRefused (429) over the ration."""
        named = request.tenant != "" and request.tenant not in self._known
        if named and reason == "cold" and not self._ration.take(self._clock.now()):
            raise RequestRefused(429, "too many tenants that were not seen before: wait, or name known ones")
        return await self._source.token(request, newer_than=newer_than, reason=reason)
