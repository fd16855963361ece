"""Stores of tokens and credentials without a Redis, held to the contracts of the real ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sidecar.cache.cooldown import PROBE_LIFE, CoolDowns
from sidecar.cache.lease import LEASE, Claim, Lease
from sidecar.cache.refused_tokens import Bust, Busted, BustFailure
from sidecar.core.backoff import Setback
from sidecar.fleet.generations import following
from sidecar.oauth.token import Token, TokenRequest
from tests.support.clock import FakeClock


class FakeServer:
    """The state that a fleet shares, by `TokenRequest.key`; `listeners` get what is published."""

    def __init__(self) -> None:
        self.tokens: dict[str, Token] = {}
        self.generations: dict[str, int] = {}
        self.leases: dict[str, tuple[str, float]] = {}
        self.setbacks: dict[str, Setback] = {}
        self.dead: dict[str, tuple[str, float]] = {}
        self.cool_downs = CoolDowns(1000)
        self.windows: dict[str, float] = {}
        self.listeners: list[Callable[[Bust | str], None]] = []
        self.busts: list[Bust] = []

    def publish(self, message: Bust | str) -> None:
        if isinstance(message, Bust):
            self.busts.append(message)
        for listener in self.listeners:
            listener(message)

    def release(self, key: str, owner: str) -> None:
        if self.leases.get(key, ("", 0.0))[0] == owner:
            del self.leases[key]
        self.publish(key)


class FakeStore:
    """One pod's connection to a `FakeServer`; `reachable` cuts it, `shaken` means that it was cut recently."""

    def __init__(self, clock: FakeClock, server: FakeServer | None = None) -> None:
        self.reachable = True
        self.shaken = False
        self.server = server or FakeServer()
        self.claims = 0
        self._clock = clock

    @property
    def settled(self) -> bool:
        return self.reachable and not self.shaken

    async def claim(self, request: TokenRequest, owner: str, passing_over: str) -> Claim:
        self.claims += 1
        if not self.reachable:
            return Claim()
        server, key, now = self.server, request.key, self._clock.now()
        generation = server.generations.get(key, 0)
        token = server.tokens.get(key)
        if token is not None and token.fingerprint != passing_over and now < token.expires_at:
            return Claim(replace(token, source="store", generation=generation), generation=generation)
        setback = server.setbacks.get(key)
        if setback is not None and now < setback.until:
            return Claim(setback=setback)
        holder, until = server.leases.get(key, ("", 0.0))
        if holder != owner and now < until:
            return Claim(lease=Lease.THEIRS, remaining=until - now, setback=setback)
        server.leases[key] = (owner, now + LEASE)
        return Claim(lease=Lease.OURS, generation=generation, setback=setback)

    async def extend(self, request: TokenRequest, owner: str) -> bool:
        holder, until = self.server.leases.get(request.key, ("", 0.0))
        if self.reachable and (holder != owner or until <= self._clock.now()):
            return False
        if self.reachable:
            self.server.leases[request.key] = (owner, self._clock.now() + LEASE)
        return True

    async def fill(self, request: TokenRequest, token: Token, owner: str) -> bool:
        if not self.reachable:
            return True
        if self.server.generations.get(request.key, 0) != token.generation:
            return False
        self.server.tokens[request.key] = token
        self.server.setbacks.pop(request.key, None)
        self.server.release(request.key, owner)
        return True

    async def give_up(self, request: TokenRequest, owner: str, setback: Setback) -> None:
        if self.reachable:
            self.server.setbacks[request.key] = setback
            self.server.release(request.key, owner)

    async def release(self, request: TokenRequest, owner: str) -> None:
        if self.reachable:
            self.server.release(request.key, owner)

    async def generations(self, keys: Sequence[str]) -> Mapping[str, int] | None:
        return {key: self.server.generations.get(key, 0) for key in keys} if self.reachable else None

    async def bust(self, request: TokenRequest, refused: Token, sent_at: float) -> Busted:
        if not self.reachable:
            return Busted(news=True, floor=sent_at, failure=BustFailure("publish", "unreachable"))
        server, key, now = self.server, request.key, self._clock.now()
        if now < server.windows.get(key, 0.0):
            return Busted(news=False, floor=sent_at, cooling=server.windows[key] - now)
        held = server.tokens.get(key)
        is_held = held is not None and held.fingerprint == refused.fingerprint
        dead, since = server.dead.get(key, ("", 0.0))
        if dead == refused.fingerprint and not is_held:
            return Busted(news=False, floor=min(sent_at, since))
        probing = key in server.windows
        if probing:
            server.cool_downs.cooling(key, now)
            server.windows[key] = now + PROBE_LIFE
        if is_held:
            del server.tokens[key]
        known = max(refused.generation, server.generations.get(key, 0))
        server.generations[key] = following(known, now)
        server.dead[key] = (refused.fingerprint, sent_at)
        server.publish(Bust(key, refused.fingerprint, server.generations[key]))
        return Busted(news=True, floor=sent_at, probing=probing)

    async def cool_down(self, request: TokenRequest, token: Token, jitter: float) -> float:
        if not self.reachable:
            return 0.0
        now = self._clock.now()
        seconds = self.server.cool_downs.refused(request.key, token.fingerprint, now, jitter)
        if seconds:
            self.server.windows[request.key] = now + seconds
        return max(0.0, self.server.windows[request.key] - now)

    async def healed(self, request: TokenRequest) -> None:
        if self.reachable:
            self.server.cool_downs.healed(request.key)
            self.server.windows.pop(request.key, None)
