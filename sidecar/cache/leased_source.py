"""A source of tokens for a whole fleet: the store, or a fetch by a single pod."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from sidecar.cache.lease import RENEW_EVERY, Claim, Lease
from sidecar.cache.ports import TokenStore
from sidecar.cache.revocations import Revocations
from sidecar.core.backoff import outage, refusal
from sidecar.core.errors import TokenRefused, TokenUnavailable
from sidecar.core.ports import Clock, Randomness
from sidecar.oauth.ports import TokenSource
from sidecar.oauth.token import FetchReason, Freshness, Token, TokenRequest

POLL = (0.1, 0.5)
"""Seconds after which a pod that waits for another's fetch looks again, notified or not."""
LEASE_OUTCOMES = ("taken", "awaited", "lost", "overtaken")
"""`taken`: this pod had the lease. `awaited`: another had it. `lost`: it could not be kept. `overtaken`: by a bust."""
OVERTAKEN = 3
"""Number of fetches that busts may overtake before a flight fails."""


def _nothing(_: TokenRequest) -> None:
    return None


class LeasedSource:
    """Wrap the source that fetches: read the store first, and fetch only under the fleet's lease.

    The pods without the lease wait for the token that its holder stores. If the holder crashes, they wait one lease
    time. While the store is unavailable each pod fetches for itself. A token that is still in memory, and was only due
    to be looked up again, replaces the fetch. Otherwise every outage of the store, and every restart with an empty one,
    would cause a burst of token requests.
    """

    def __init__(
        self,
        *,
        source: TokenSource,
        store: TokenStore,
        revocations: Revocations,
        clock: Clock,
        randomness: Randomness,
        spare: Callable[[TokenRequest], Token | None] = _nothing,
    ) -> None:
        """Take `spare`, which returns the token still in memory."""
        self._source = source
        self._store = store
        self._revocations = revocations
        self._clock = clock
        self._randomness = randomness
        self._spare = spare
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.leases = dict.fromkeys(LEASE_OUTCOMES, 0)
        """How many, by outcome."""

    def set_source(self, source: TokenSource) -> None:
        """Fetch from another source from now on."""
        self._source = source

    def filled(self, key: str) -> None:
        """Wake the waiting flights, so that they look for this key again."""
        for ended in self._waiting.get(key, ()):
            ended.set()

    async def token(self, request: TokenRequest, *, newer_than: float, reason: FetchReason) -> Token:
        """Return a token as `TokenSource.token` does. The caller limits the time this may take."""
        owner = self._randomness.token_bytes(8).hex()
        ended = asyncio.Event()
        self._waiting[request.key].add(ended)
        try:
            return await self._token(request, newer_than, reason, owner, ended)
        finally:
            self._waiting[request.key].discard(ended)
            if not self._waiting[request.key]:
                del self._waiting[request.key]

    async def _token(
        self, request: TokenRequest, newer_than: float, reason: FetchReason, owner: str, ended: asyncio.Event
    ) -> Token:
        passing_over = ""
        overtaken = 0
        while overtaken < OVERTAKEN:
            ended.clear()
            claim = await self._store.claim(request, owner, passing_over)
            if claim.token is not None:
                if self._is_usable(claim.token, newer_than, reason):
                    return claim.token
                passing_over = claim.token.fingerprint
            elif claim.lease is Lease.OURS:
                self.leases["taken"] += 1
                token = await self._fetch_for_all(request, newer_than, reason, owner, claim)
                if token is not None:
                    return token
                self.leases["overtaken"] += 1
                overtaken += 1
            elif claim.lease is Lease.THEIRS or claim.setback is not None:
                self._raise_setback(claim)
                self.leases["awaited"] += 1
                await self._wait(ended, claim.remaining)
            else:  # no pod to coordinate with
                spare = self._spare_token(request, newer_than, reason)
                return spare or await self._source.token(request, newer_than=newer_than, reason=reason)
        await self._store.release(request, owner)
        raise TokenUnavailable("tokens are revoked faster than they are fetched", 1.0)

    def _is_usable(self, stored: Token, newer_than: float, reason: FetchReason) -> bool:
        if stored.fetch_began <= newer_than or self._revocations.cover(stored.labels, stored.fetch_began):
            return False
        freshness = stored.freshness(self._clock.now(), self._clock.wall())
        return freshness is Freshness.FRESH or (freshness is Freshness.AGING and reason != "aging")

    def _spare_token(self, request: TokenRequest, newer_than: float, reason: FetchReason) -> Token | None:
        spare = self._spare(request)
        return spare if spare is not None and self._is_usable(spare, newer_than, reason) else None

    def _raise_setback(self, claim: Claim) -> None:
        error = claim.setback.error(self._clock.now()) if claim.setback is not None else None
        if error is not None:
            raise error

    async def _wait(self, ended: asyncio.Event, remaining: float) -> None:
        """Wait until notified that the other pod's lease has ended, at most to its end; look again now and then."""
        seconds = min(self._randomness.uniform(*POLL), max(remaining, POLL[0]))
        message = asyncio.ensure_future(ended.wait())
        alarm = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({message, alarm}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            message.cancel()
            alarm.cancel()

    async def _fetch_for_all(
        self, request: TokenRequest, newer_than: float, reason: FetchReason, owner: str, claim: Claim
    ) -> Token | None:
        """Fetch and store; return None if a bust came meanwhile. Share a failure, so that no other pod repeats it."""
        spare = self._spare_token(request, newer_than, reason)
        if spare is not None and spare.generation == claim.generation:  # no bust since: only absent
            return spare if await self._store.fill(request, spare, owner) else None
        try:
            async with self._lease_kept(request, owner):
                token = await self._source.token(request, newer_than=newer_than, reason=reason)
        except TokenUnavailable as error:
            jitter = self._randomness.uniform(1.0, 1.25)
            setback = outage(claim.setback, error, self._clock.now(), jitter)
            await self._store.give_up(request, owner, setback)
            raise setback.unavailable(self._clock.now()) from None
        except TokenRefused as error:
            await self._store.give_up(request, owner, refusal(error, self._clock.now()))
            raise
        except BaseException:
            await self._store.release(request, owner)
            raise
        token = replace(token, generation=claim.generation)
        return token if await self._store.fill(request, token, owner) else None

    @asynccontextmanager
    async def _lease_kept(self, request: TokenRequest, owner: str) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self._keep(request, owner))
        try:
            yield
        finally:
            keeping.cancel()

    async def _keep(self, request: TokenRequest, owner: str) -> None:
        while True:
            await self._clock.sleep(RENEW_EVERY)
            if not await self._store.extend(request, owner):
                self.leases["lost"] += 1
                return
