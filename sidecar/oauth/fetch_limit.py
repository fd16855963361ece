"""A source with a rate limit for identities that clients may have invented."""

from sidecar.core.errors import RequestRefused
from sidecar.core.ports import Clock
from sidecar.core.rate_limit import RateLimit
from sidecar.core.tenants import TenantRule
from sidecar.oauth.ports import TokenSource
from sidecar.oauth.token import FetchReason, Token, TokenRequest

BURST = 1000
"""Limit: first token requests for unknown tenants, and for subjects that are refused, at once (number). Beyond:
429."""
RATE = 50.0
"""Limit: first token requests for unknown tenants, and for subjects that are refused, per second (number). Beyond:
429."""


class LimitedSource:
    """Wrap the source that fetches: a client that invents identities gets 429 before it exhausts other parts.

    Only the first token of a tenant or a subject that a client named is rate-limited, and only when it is fetched.
    Identities that the configuration or the caches know are not affected. A subject for which the authorization server
    gave a token was not invented, and is not counted.
    """

    def __init__(
        self, source: TokenSource, *, tenants: TenantRule | None, rate_limit: RateLimit, clock: Clock
    ) -> None:
        """Take `tenants`, which may be invented, or None if no client names one; the rate limit outlives a reload."""
        self._source = source
        self._tenants = tenants
        self._rate_limit = rate_limit
        self._clock = clock

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """Return a token. Raises RequestRefused (429) over the rate limit."""
        stranger = self._tenants is not None and self._tenants.invented(request.tenant)
        if reason != "cold" or not (stranger or request.of_caller):
            return await self._source.token(request, newer_than=newer_than, reason=reason)
        if not self._rate_limit.take(self._clock.now()):
            raise RequestRefused(429, "the rate limit for new tenants or subjects is exceeded; retry later")
        token = await self._source.token(request, newer_than=newer_than, reason=reason)
        if not stranger:
            self._rate_limit.give_back()
        return token
