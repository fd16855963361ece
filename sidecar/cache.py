"""TokenCache: memory, then the flight, then the store, then a fetch; and what follows a refusal."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from sidecar.core.backoff import Setbacks
from sidecar.core.busts import Busts
from sidecar.core.cooldown import CoolDowns
from sidecar.core.errors import SidecarError, TokenRefused, TokenUnavailable
from sidecar.core.events import BustSent, CoolingDown, Failed
from sidecar.core.memory import Held, Lru, hold
from sidecar.core.ports import Clock, Journal, Randomness, TokenSource, TokenStore
from sidecar.core.token import FetchReason, Freshness, Token, TokenRequest
from sidecar.flight import SingleFlight, wait, within

CALLER_LIMIT = 15.0
"""Seconds a caller waits for a token."""
FLIGHT_LIMIT = 15.0
"""Seconds after which a flight is given up; a token request ends after 10 by itself."""
MAX_FLIGHTS = 1000
WARM_UP_SPREAD = 1.0
"""Seconds over which a starting pod spreads its first fetches, so that a roll-out is no burst."""
_ALWAYS = float("-inf")


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """One token in memory, for people: no secret. Durations in seconds."""

    token: str
    service: str
    tenant: str
    fp: str
    expires_in: float
    age: float


class TokenCache:
    """Tokens for requests. Bounded in entries, flights and remembered failures."""

    def __init__(
        self,
        *,
        source: TokenSource,
        store: TokenStore,
        clock: Clock,
        randomness: Randomness,
        journal: Journal,
        memory_ttl: float = 30.0,
        max_entries: int = 10_000,
    ) -> None:
        """`memory_ttl` in seconds: how long memory does without asking a reachable store."""
        self._source = source
        self._store = store
        self._clock = clock
        self._randomness = randomness
        self._journal = journal
        self._memory_ttl = memory_ttl
        self._memory: Lru[Held] = Lru(max_entries)
        self._setbacks = Setbacks(max_entries)
        self._busts = Busts(max_entries)
        self._cool_downs = CoolDowns(max_entries)
        self._flights: SingleFlight[Token] = SingleFlight(clock, limit=MAX_FLIGHTS)

    def use(self, source: TokenSource, *, memory_ttl: float) -> None:
        """Load from another source from now on; tokens held and flights under way stay."""
        self._source = source
        self._memory_ttl = memory_ttl

    def peek(self, request: TokenRequest, now: float) -> Token | None:
        """Return a usable token from memory, None if there is none; starts a renewal behind an aging one.

        Hot path: ≤ 0.5 µs, never suspends.
        """
        held = self._memory.get(request.key)
        if held is None:
            return None
        return held.token if now < held.carefree_until else self._look_closer(held, now)

    async def token(self, request: TokenRequest) -> Token:
        """Return a token, loading one if need be; callers share one load and wait ≤ 15 s.

        Raises TokenUnavailable or TokenRefused, at once while a recent failure is the answer.
        """
        token = self.peek(request, self._clock.now())
        if token is not None:
            return token
        try:
            return await wait(self._clock, self._join(request, "cold", _ALWAYS), CALLER_LIMIT)
        except SidecarError:
            token = self.peek(request, self._clock.now())  # one not yet expired is better than none
            if token is None:
                raise
            return token

    async def renew(self, request: TokenRequest, refused: Token, sent_at: float) -> Token:
        """Return another token than `refused`, which an upstream refused in a request sent at `sent_at`.

        Only a token whose fetch began after that counts. Raises like `token`, and TokenRefused when the
        authorization server gives the refused one again.
        """
        held = self._memory.get(request.key)
        if held is not None and held.token.secret == refused.secret:
            self._memory.pop(request.key)
        elif held is not None and held.token.fetch_began > sent_at:
            return held.token
        if self._busts.mark(request.key, refused.fingerprint, sent_at):
            self._journal.tell(BustSent(request.name, request.service, request.tenant, refused.fingerprint))
            under_way = self._flights.find(request.key, newer_than=sent_at)
            work = partial(self._bust_and_load, request, refused, under_way)
            flight = self._flights.start(request.key, work)
        else:
            flight = self._join(request, "refused", sent_at)
        token = await wait(self._clock, flight, CALLER_LIMIT)
        if token.fetch_began <= sent_at:  # the flight had it from the store before it knew of the refusal
            raise TokenUnavailable("the token in the store is older than the refusal", 0.0)
        if token.secret == refused.secret:
            self.cool_down(request, token)
            raise TokenRefused("the authorization server gave the token again that the upstream refused", "")
        return token

    def cooling(self, request: TokenRequest, now: float) -> bool:
        """Tell whether this key's refusals pass straight through; after a window one caller is told False."""
        return self._cool_downs.cooling(request.key, now)

    def cool_down(self, request: TokenRequest, token: Token) -> None:
        """Note that the second send was refused too; parallel ones of a round count once."""
        jitter = self._randomness.uniform(1.0, 1.25)
        seconds = self._cool_downs.refused(request.key, token.fingerprint, self._clock.now(), jitter)
        if seconds:
            self._journal.tell(CoolingDown(request.name, request.service, request.tenant, seconds))

    def healed(self, request: TokenRequest) -> None:
        """Note that the second send was accepted."""
        self._cool_downs.healed(request.key)

    async def warm_up(self, requests: Iterable[TokenRequest]) -> None:
        """Load what will be needed, each after a random moment; failures are only told to the journal."""
        await asyncio.gather(*(self._warm(request) for request in requests))

    async def close(self) -> None:
        """Give up every load under way."""
        await self._flights.close()

    def status(self, now: float) -> list[TokenStatus]:
        """List the usable tokens in memory."""
        return [
            TokenStatus(
                token=held.request.name,
                service=held.request.service,
                tenant=held.request.tenant,
                fp=held.token.fingerprint,
                expires_in=held.token.expires_at - now,
                age=now - held.token.fetch_began,
            )
            for held in self._memory
            if held.token.freshness(now) is not Freshness.STALE
        ]

    def _look_closer(self, held: Held, now: float) -> Token | None:
        request, token = held.request, held.token
        freshness = token.freshness(now)
        if freshness is Freshness.STALE:
            self._memory.pop(request.key)
            return None
        waiting = self._setbacks.error(request.key, now) is not None
        if now >= held.until:
            if self._store.reachable and not waiting:
                return None
            self._hold(request, token, now)  # nobody to ask: keep it for another round
        if freshness is Freshness.AGING and not waiting:
            self._renew_behind(request)
        return token

    def _renew_behind(self, request: TokenRequest) -> None:
        try:
            self._join(request, "aging", _ALWAYS)
        except TokenUnavailable:
            return  # too many flights: a later peek finds room

    async def _warm(self, request: TokenRequest) -> None:
        await self._clock.sleep(self._randomness.uniform(0.0, WARM_UP_SPREAD))
        if self.peek(request, self._clock.now()) is not None:
            return
        try:
            await wait(self._clock, self._join(request, "warm_up", _ALWAYS), CALLER_LIMIT)
        except SidecarError:
            return  # the first request tries again

    def _join(self, request: TokenRequest, reason: FetchReason, newer_than: float) -> asyncio.Task[Token]:
        """Return the flight under way that began after `newer_than`, else a new one. Raises like `token`."""
        flight = self._flights.find(request.key, newer_than=newer_than)
        if flight is not None:
            return flight
        error = self._setbacks.error(request.key, self._clock.now())
        if error is not None:
            raise error
        return self._flights.start(request.key, partial(self._attempt, request, reason))

    async def _bust_and_load(
        self, request: TokenRequest, refused: Token, under_way: asyncio.Task[Token] | None
    ) -> Token:
        await self._store.bust(request, refused)
        if under_way is not None:
            return await wait(self._clock, under_way, FLIGHT_LIMIT)
        error = self._setbacks.error(request.key, self._clock.now())
        if error is not None:
            raise error
        return await self._attempt(request, "refused")

    async def _attempt(self, request: TokenRequest, reason: FetchReason) -> Token:
        """Load within the limit and remember what went wrong, so that not every caller tries anew."""
        try:
            token = await within(self._clock, self._load(request, reason), FLIGHT_LIMIT)
        except TokenRefused as error:
            raise self._setbacks.refused(request.key, error, self._clock.now()) from None
        except TokenUnavailable as error:
            raise self._outage(request, error) from None
        except Exception as bug:
            self._journal.tell(Failed("loading a token", type(bug).__name__))
            raise self._outage(request, TokenUnavailable("internal fault; see the log", 0.0)) from bug
        self._setbacks.clear(request.key)
        return token

    def _outage(self, request: TokenRequest, error: TokenUnavailable) -> TokenUnavailable:
        jitter = self._randomness.uniform(1.0, 1.25)
        return self._setbacks.unavailable(request.key, error, self._clock.now(), jitter)

    async def _load(self, request: TokenRequest, reason: FetchReason) -> Token:
        """Look again in memory, then in the store, then fetch; keep only what no refusal has overtaken.

        Memory again because this runs some turns of the loop after the miss that led here: a flight
        that ended in between has just filled it, and a second fetch would be for nothing.
        """
        held = self._memory.get(request.key)
        if held is not None and self._clock.now() < held.carefree_until and self._counts(request, held.token):
            return held.token
        stored, generation = await self._store.get(request)
        if stored is not None and self._counts(request, stored) and self._serves(stored, reason):
            self._keep(request, stored)
            return stored
        floor = self._busts.floor(request.key)
        token = await self._source.token(request, newer_than=floor, reason=reason)
        if await self._store.fill(request, token, generation):
            self._keep(request, token)
        return token

    def _counts(self, request: TokenRequest, token: Token) -> bool:
        """Tell whether the token was fetched after every refused request we know of was sent."""
        return token.fetch_began > self._busts.floor(request.key)

    def _serves(self, stored: Token, reason: FetchReason) -> bool:
        freshness = stored.freshness(self._clock.now())
        return freshness is Freshness.FRESH or (freshness is Freshness.AGING and reason != "aging")

    def _keep(self, request: TokenRequest, token: Token) -> None:
        """Put the token in memory, unless a refusal came meanwhile or a flight begun later was quicker."""
        held = self._memory.get(request.key)
        if self._counts(request, token) and (held is None or held.token.fetch_began <= token.fetch_began):
            self._hold(request, token, self._clock.now())

    def _hold(self, request: TokenRequest, token: Token, now: float) -> None:
        self._memory.put(request.key, hold(request, token, now + self._memory_ttl))
