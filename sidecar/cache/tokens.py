"""TokenCache: memory, then the flight, then the source; the handling of refusals and of other pods' busts."""

import asyncio
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from functools import partial
from math import inf

from sidecar.cache.carry_over import carry_over, drop_unneeded
from sidecar.cache.cooldown import PROBE_LIFE, CoolDowns
from sidecar.cache.evictable import EvictableCache
from sidecar.cache.ports import Current, Fleet
from sidecar.cache.refused_tokens import Bust, RefusedTokens
from sidecar.cache.revocations import Revocations
from sidecar.cache.single_flight import SingleFlight, side_by_side, wait, within
from sidecar.cache.token_memory import HeldToken, hold, memory, stay
from sidecar.cache.token_status import TokenStatus, Troubles, reason_of, token_statuses
from sidecar.core.backoff import Setbacks
from sidecar.core.errors import NoToken, RequestRefused, SidecarError, TokenRefused, TokenUnavailable
from sidecar.core.labels import Labels, describe
from sidecar.core.ports import Clock, Randomness
from sidecar.oauth.ports import TokenSource
from sidecar.oauth.token import FetchReason, Freshness, Token, TokenRequest
from sidecar.telemetry.events import CoolingDown, Failed
from sidecar.telemetry.fleet_events import BustFailed, BustSent
from sidecar.telemetry.ports import Journal

CALLER_LIMIT = 15.0
"""Limit: time that a request waits for a token (seconds). Beyond: 503."""
FLIGHT_LIMIT = 15.0
"""Seconds after which a flight is cancelled; a token request ends after 10 by itself."""
MAX_FLIGHTS = 1000
WARM_UP_SPREAD = 1.0
"""Seconds over which a starting pod spreads its first fetches, so that a roll-out is no burst."""
OVERTAKEN = 3
"""How many tokens of one load may be bust before they arrive."""


class TokenCache(EvictableCache[HeldToken]):
    """Tokens for requests. Bounded in entries, flights and remembered failures."""

    def __init__(
        self,
        *,
        source: TokenSource,
        fleet: Fleet,
        revocations: Revocations,
        clock: Clock,
        randomness: Randomness,
        journal: Journal,
        current: Current = lambda request: request,
        memory_ttl: float = 30.0,
        max_entries: int = 10_000,
    ) -> None:
        """Take `memory_ttl` in seconds: how long memory serves without the store, while the fleet is reachable."""
        super().__init__(memory(max_entries), revocations)
        self._source = source
        self._fleet = fleet
        self._clock = clock
        self._randomness = randomness
        self._journal = journal
        self._current = current
        self._memory_ttl = memory_ttl
        self._setbacks = Setbacks(max_entries)
        self._troubles = Troubles(max_entries)
        self._refused = RefusedTokens(max_entries)
        self._cool_downs = CoolDowns(max_entries)
        self._flights: SingleFlight[Token] = SingleFlight(clock, limit=MAX_FLIGHTS)
        self._telling: set[asyncio.Task[None]] = set()
        self._gaps = 0  # times that busts may have been missed

    def set_source(self, source: TokenSource, current: Current, *, memory_ttl: float) -> None:
        """Load from another source from now on; flights under way continue."""
        self._source, self._current, self._memory_ttl = source, current, memory_ttl

    def forget(self) -> Iterator[None]:
        """Drop what is not needed, in short steps; which tokens were refused is remembered. See `carry_over`."""
        tables = (self._memory, self._troubles, self._setbacks, self._cool_downs)
        return carry_over(*tables, current=self._current, now=self._clock.now())

    def drop_unneeded(self) -> Iterator[None]:
        """Drop the tokens that were not needed FAREWELL seconds ago, in short steps."""
        return drop_unneeded(self._memory, self._clock.now())

    def peek(self, request: TokenRequest, now: float) -> Token | None:
        """Return a usable token from memory, or None; renew an aging one in the background. Hot path: ≤ 0.5 µs."""
        held = self._memory.get(request.key)
        if held is None:
            return None
        return held.token if now < held.no_check_before else self._look_closer(held, now)

    async def token(self, request: TokenRequest) -> Token:
        """Return a token, loading one if necessary; callers share one load and wait ≤ 15 s.

        Raises TokenUnavailable or TokenRefused, at once while a recent failure applies.
        """
        token = self.peek(request, self._clock.now())
        if token is not None:
            return token
        reason: FetchReason = "refused" if self._refused.had_token(request.key) else "cold"
        try:
            return await wait(self._clock, self._join(request, reason, -inf), CALLER_LIMIT)
        except SidecarError:
            token = self.peek(request, self._clock.now())  # use one that has not yet expired
            if token is None:
                raise
            return token

    async def renew(self, request: TokenRequest, refused: Token, sent_at: float) -> Token:
        """Return another token than `refused`, which an upstream refused in a request sent at `sent_at`.

        Only a token whose fetch began after the first such request was sent counts. Raises like `token`, and
        TokenRefused when the authorization server gives the refused one again.
        """
        held = self._memory.get(request.key)
        if held is not None and held.token.secret == refused.secret:
            self._memory.pop(request.key)
        elif held is not None and held.token.fetch_began > sent_at:
            return held.token
        if self._refused.mark(request.key, refused, sent_at):
            under_way = self._flights.find(request.key, newer_than=sent_at)
            work = partial(self._bust_and_load, request, refused, sent_at, under_way)
            flight = self._flights.start(request.key, work)
        else:
            flight = self._join(request, "refused", self._refused.floor(request.key))
        token = await wait(self._clock, flight, CALLER_LIMIT)
        if token.fetch_began <= self._refused.floor(request.key):  # obtained before the refusal was known
            raise TokenUnavailable("the token in the store is older than the refusal", 0.0)
        if token.secret == refused.secret:
            self.cool_down(request, token)
            raise TokenRefused("the authorization server gave the token again that the upstream refused", "")
        return token

    def cooling(self, request: TokenRequest, now: float) -> bool:
        """Return whether this key's refusals are relayed without a renewal; after a window, False for one caller."""
        return self._cool_downs.cooling(request.key, now)

    def cools_for(self, request: TokenRequest, now: float) -> float:
        """Return the seconds to the end of this key's cool-down; 0 without one."""
        return self._cool_downs.left(request.key, now)

    def cool_down(self, request: TokenRequest, token: Token) -> None:
        """Note that the second send was refused too; parallel refusals of a round count once."""
        jitter = self._randomness.uniform(1.0, 1.25)
        seconds = self._cool_downs.refused(request.key, token.fingerprint, self._clock.now(), jitter)
        if seconds:
            self._journal.tell(CoolingDown(request.name, request.service, request.tenant, seconds))
            self._tell(self._share_cool_down(request, token, jitter))

    def healed(self, request: TokenRequest) -> None:
        """Note that the second send was accepted."""
        if self._cool_downs.healed(request.key):
            self._tell(self._fleet.healed(request))

    async def warm_up(self, requests: Iterable[TokenRequest]) -> None:
        """Load what will be needed, each after a random moment; failures are only reported to the journal."""
        await side_by_side(map(self._warm, requests))

    async def close(self) -> None:
        """Cancel every load under way; reports to the fleet that are under way are finished."""
        await self._flights.close()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def status(self, now: float, selector: Labels = frozenset()) -> Iterator[TokenStatus]:
        """Return the status of tokens that carry these labels, missing ones first."""
        tables = (self._memory, self._troubles, self._cool_downs)
        return token_statuses(*tables, now=now, today=self._clock.wall(), selector=selector)

    def spare(self, request: TokenRequest) -> Token | None:
        """Return the token in memory, due to be looked up again or not; the caller judges whether it is usable."""
        held = self._memory.get(request.key)
        return held.token if held is not None else None

    # Busts of other pods

    def evict(self, bust: Bust) -> bool:
        """Drop this token, and only it, also if it is still being loaded; return whether it was in memory."""
        self._refused.hear(bust, self._clock.now())
        return super().evict(bust)

    def evict_behind(self, generations: Mapping[str, int]) -> int:
        """Drop every token whose generation differs from these; return the number. See Evictions."""
        self._gaps += 1
        return super().evict_behind(generations)

    # Internals

    def _look_closer(self, held: HeldToken, now: float) -> Token | None:
        request, token = held.request, held.token
        freshness = self._freshness(token, now)
        if freshness is Freshness.STALE:
            self._memory.pop(request.key)
            return None
        waiting = self._setbacks.error(request.key, now) is not None
        if now >= held.until:
            if self._fleet.reachable and not waiting:
                return None
            self._hold(request, token, now)  # no store to read: keep it for another round
        if freshness is Freshness.AGING and not waiting:
            self._renew_behind(request)
        return token

    def _freshness(self, token: Token, now: float) -> Freshness:
        return token.freshness(now, self._clock.wall())

    def _renew_behind(self, request: TokenRequest) -> None:
        try:
            self._join(request, "aging", -inf)
        except TokenUnavailable:
            return  # too many flights: a later peek starts one

    async def _warm(self, request: TokenRequest) -> None:
        await self._clock.sleep(self._randomness.uniform(0.0, WARM_UP_SPREAD))
        if self.peek(request, self._clock.now()) is not None:
            return
        try:
            await wait(self._clock, self._join(request, "warm_up", -inf), CALLER_LIMIT)
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
        self, request: TokenRequest, refused: Token, sent_at: float, under_way: asyncio.Task[Token] | None
    ) -> Token:
        busted = await self._fleet.bust(request, refused, sent_at)
        if busted.cooling:
            raise self._stand_down(request, refused, busted.cooling)
        self._refused.settle(request.key, refused, busted.floor)
        if busted.published:
            self._journal.tell(BustSent(request.name, request.service, request.tenant, refused.fingerprint))
        if (why := busted.failure) is not None:
            owner = describe(request.labels)
            self._journal.tell(BustFailed("token", owner, refused.fingerprint, why.step, why.error))
        if busted.probing:
            self._cool_downs.learn(request.key, self._clock.now(), PROBE_LIFE, probing=True)
        if under_way is not None:
            return await wait(self._clock, under_way, FLIGHT_LIMIT)
        error = self._setbacks.error(request.key, self._clock.now())
        if error is not None:
            raise error
        return await self._attempt(request, "refused")

    def _stand_down(self, request: TokenRequest, refused: Token, seconds: float) -> TokenUnavailable:
        """Withdraw a refusal that the fleet relays: the newest token there is continues to be sent."""
        now = self._clock.now()
        self._cool_downs.learn(request.key, now, seconds)
        self._refused.take_back(request.key, refused)
        if self._memory.get(request.key) is None and self._freshness(refused, now) is not Freshness.STALE:
            self._hold(request, refused, now)
        return TokenUnavailable("new tokens of this kind are refused too; the fleet waits", seconds)

    async def _share_cool_down(self, request: TokenRequest, token: Token, jitter: float) -> None:
        seconds = await self._fleet.cool_down(request, token, jitter)
        if seconds:
            self._cool_downs.learn(request.key, self._clock.now(), seconds)

    def _tell(self, what: Coroutine[None, None, None]) -> None:
        """Report to the fleet in the background; each report takes no longer than one store operation."""
        telling = asyncio.get_running_loop().create_task(what)
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _attempt(self, request: TokenRequest, reason: FetchReason) -> Token:
        """Load within the limit and remember a failure, so that not every caller tries again."""
        try:
            token = await within(self._clock, self._load(request, reason), FLIGHT_LIMIT)
        except TokenRefused as error:
            if not error.of_caller:
                self._note(request, error)
            raise self._setbacks.refused(request.key, error, self._clock.now()) from None
        except TokenUnavailable as error:
            raise self._outage(request, error) from None
        except RequestRefused:  # caused by the client, and no failure of the key
            raise
        except Exception as bug:
            self._journal.tell(Failed.of("loading a token", bug))
            raise self._outage(request, TokenUnavailable("internal fault; see the log", 0.0)) from bug
        self._setbacks.clear(request.key)
        self._troubles.end(request.key)
        return token

    def _outage(self, request: TokenRequest, error: TokenUnavailable) -> TokenUnavailable:
        self._note(request, error)
        jitter = self._randomness.uniform(1.0, 1.25)
        return self._setbacks.unavailable(request.key, error, self._clock.now(), jitter)

    def _note(self, request: TokenRequest, error: NoToken) -> None:
        if (current := self._current(request)) is not None:  # else a reload came while it was under way
            known = (str(error), self._clock.now(), error.description, error.hint)
            self._troubles.note(current, *known, reason=reason_of(error))

    async def _load(self, request: TokenRequest, reason: FetchReason) -> Token:
        """Look in memory again, then load from the source; keep only a token that no refusal has overtaken.

        Memory again because this runs some turns of the loop after the miss that led here: a flight
        that ended in between has just filled it, and a second fetch would be for nothing.

        A token that other pods bust meanwhile, or may have bust, is not returned to callers that joined since: the
        source must return one fetched later. In the end the upstream overrules a bust, but nothing overrules a select.
        """
        passed = -inf
        held, now = self._memory.get(request.key), self._clock.now()
        young = held is not None and now < held.until and self._freshness(held.token, now) is Freshness.FRESH
        if held is not None and young and self._is_trustworthy(request, held.token):
            return held.token
        for _ in range(OVERTAKEN):
            floor, gaps = max(self._refused.floor(request.key), passed), self._gaps
            token = await self._source.token(request, newer_than=floor, reason=reason)
            counts = gaps == self._gaps and self._is_trustworthy(request, token)
            if counts or token.fetch_began <= self._refused.floor(request.key):
                break
            passed = self._refused.later_than(request.key, token, self._clock.now())
        if self._revocations.cover(token.labels, token.fetch_began):
            raise TokenUnavailable("tokens are revoked faster than they are fetched", 1.0)
        self._keep(request, token)
        return token

    def _is_trustworthy(self, request: TokenRequest, token: Token) -> bool:
        """Return whether no known refusal, bust or select rules out the token."""
        revoked = self._revocations.cover(token.labels, token.fetch_began)
        return not revoked and self._refused.is_trustworthy(request.key, token)

    def _keep(self, request: TokenRequest, token: Token) -> None:
        """Store the token in memory, unless a refusal came meanwhile or a flight begun later was quicker.

        A token that was due to be looked up is replaced by the store's even if that is older. So the pods hold the same
        token again after each had to fetch for itself.
        """
        held, now = self._memory.get(request.key), self._clock.now()
        quicker = held is not None and now < held.until and held.token.fetch_began > token.fetch_began
        if self._is_trustworthy(request, token) and not quicker:
            self._hold(request, token, now)

    def _hold(self, request: TokenRequest, token: Token, now: float) -> None:
        current = self._current(request)
        until = now + stay(self._memory_ttl, settled=self._fleet.settled)
        unneeded_since = inf if current is not None else now
        self._memory.put(request.key, hold(current or request, token, now, until, unneeded_since))
