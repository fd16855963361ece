"""The second level in Redis: sealed tokens, leases, generations and cool-downs, shared by the fleet.

One script a call, so that each is one round trip and one step. Times there are by the server's clock. Every reply
contains its current time, and the pod uses the most certain measurement.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial

from sidecar.cache.cooldown import FORGOTTEN_AFTER, MAX_WINDOW, PROBE_LIFE
from sidecar.cache.lease import LEASE, Claim, Lease
from sidecar.cache.refused_tokens import Busted
from sidecar.core.backoff import Setback
from sidecar.fleet.messages import FILL_CHANNEL
from sidecar.fleet.redis import scripts
from sidecar.fleet.redis.connect import Client
from sidecar.fleet.redis.guarded_client import Reply
from sidecar.fleet.redis.reasons import code
from sidecar.fleet.redis.scripts import keys_of, milliseconds
from sidecar.fleet.redis.sealed_values import SealedValues
from sidecar.fleet.stored_value import read_setback, read_token, write_setback, write_token
from sidecar.oauth.token import Token, TokenRequest

REMEMBERED = 120.0
"""Seconds for which a setback is kept after its end, so that the next outage in a row is recognised as one."""
BATCH = 500
WHATEVER = "*"
_LEASE_MS = round(LEASE * 1000)
_GENERATION = re.compile(rb"[1-9][0-9]{0,14}")


class RedisTokenStore:
    """Implements `TokenStore` and `Fleet`."""

    def __init__(self, values: SealedValues) -> None:
        self._values = values
        self._fills = values.prefix + FILL_CHANNEL

    @property
    def reachable(self) -> bool:
        """Return whether operations are sent to Redis now."""
        return self._values.redis.up

    @property
    def settled(self) -> bool:
        """See Fleet."""
        return self._values.redis.settled

    # TokenStore

    async def claim(self, request: TokenRequest, owner: str, passing_over: str) -> Claim:
        """Return the claim. An unreadable value is rejected too, in a second round trip."""
        for passed in (passing_over, WHATEVER):
            reply = await self._values.run(scripts.CLAIM, request.key, owner, _LEASE_MS, passed)
            claim = self._claimed(request, reply) if reply is not None else Claim()
            if claim is not None:
                return claim
        return Claim()

    async def extend(self, request: TokenRequest, owner: str) -> bool:
        reply = await self._values.run(scripts.EXTEND, request.key, owner, _LEASE_MS)
        return reply is None or reply[0] == 1

    async def fill(self, request: TokenRequest, token: Token, owner: str) -> bool:
        """Store the token. One that is about to expire is not stored, but the waiting pods are woken."""
        clock = self._values.clock
        life = milliseconds(min(self._values.store_ttl, token.left(clock.now(), clock.wall())))
        if life <= 0:
            await self.release(request, owner)
            return True
        header = b"%b:%d:" % (token.fingerprint.encode(), token.generation)
        value = self._values.sealed(
            request.key, request.tenant, header, write_token(token, self._values.offset)
        )
        reply = await self._values.run(
            scripts.FILL, request.key, owner, token.generation, value, life, self._fills
        )
        return reply is None or reply[0] == 1

    async def give_up(self, request: TokenRequest, owner: str, setback: Setback) -> None:
        ends = self._values.offset.earliest_there(setback.until)
        content = write_setback(setback, self._values.offset)
        value = self._values.sealed(
            _fail_key(request), request.tenant, b"%d:0:" % milliseconds(ends), content
        )
        life = max(milliseconds(setback.until - self._values.clock.now() + REMEMBERED), 1)
        await self._values.run(scripts.GIVE_UP, request.key, owner, value, life, self._fills)

    async def release(self, request: TokenRequest, owner: str) -> None:
        await self._values.run(scripts.GIVE_UP, request.key, owner, "", 1, self._fills)

    async def generations(self, keys: Sequence[str]) -> Mapping[str, int] | None:
        """Return the present generations; one round trip for every few hundred keys, so that each ends in time."""
        generations: dict[str, int] = {}
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            values = await self._values.redis.ask(
                "generations", partial(_get_all, self._generation_keys(some))
            )
            if values is None:
                return None
            generations |= zip(some, map(_generation, values), strict=True)
        return generations

    # Fleet

    async def bust(self, request: TokenRequest, refused: Token, sent_at: float) -> Busted:
        sent_there = self._values.offset.latest_there(sent_at)
        state, failure = await self._values.bust(
            request.key, refused.fingerprint, refused.generation, sent_at=sent_there, probe=PROBE_LIFE
        )
        match state:
            case [b"cooling", bytes(left)]:
                return Busted(news=False, floor=sent_at, cooling=int(left) / 1000)
            case [b"known", bytes(since)]:
                since_here = self._values.offset.latest_here(int(since) / 1e6)
                return Busted(news=False, floor=min(sent_at, since_here))
            case [b"told", int(probing)]:
                return Busted(news=True, floor=sent_at, probing=bool(probing), failure=failure)
            case _:
                return Busted(news=True, floor=sent_at, failure=failure)

    async def cool_down(self, request: TokenRequest, token: Token, jitter: float) -> float:
        reply = await self._values.run(
            scripts.COOL_DOWN,
            request.key,
            token.fingerprint,
            jitter,
            milliseconds(MAX_WINDOW),
            milliseconds(FORGOTTEN_AFTER),
        )
        return int(reply[0]) / 1000 if reply else 0.0

    async def healed(self, request: TokenRequest) -> None:
        await self._values.run(scripts.HEALED, request.key)

    # Internals

    def _generation_keys(self, keys: Sequence[str]) -> list[str]:
        return [keys_of(self._values.prefix + key)[1] for key in keys]

    def _claimed(self, request: TokenRequest, reply: Reply) -> Claim | None:
        """Decode a claim's reply, None if the stored value cannot be read."""
        state, generation, *rest = reply
        value = rest[0] if rest and isinstance(rest[0], bytes) else b""
        if state == b"token":
            token = self._token(request, value, int(generation))
            return Claim(token, generation=int(generation)) if token is not None else None
        setback = self._setback(request, value)
        if state == b"setback":
            return Claim(setback=setback) if setback is not None else None
        if state == b"theirs":
            return Claim(lease=Lease.THEIRS, setback=setback, remaining=int(rest[1]) / 1000)
        return Claim(lease=Lease.OURS, generation=int(generation), setback=setback)

    def _token(self, request: TokenRequest, value: bytes, generation: int) -> Token | None:
        content = self._values.opened(request.key, request.tenant, value)
        if content is None:
            return None
        fingerprint = value.split(b":", 3)[2].decode("ascii", "replace")
        return read_token(content, fingerprint, generation, self._values.offset)

    def _setback(self, request: TokenRequest, value: bytes) -> Setback | None:
        content = self._values.opened(_fail_key(request), request.tenant, value) if value else None
        return read_setback(content, self._values.offset) if content is not None else None


async def _get_all(keys: Sequence[str], client: Client) -> list[object]:
    """Return the values; a value of another type counts as absent. Raise any other error, which concerns no key."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.get(key)
    values: list[object] = await pipeline.execute(raise_on_error=False)
    for each in values:
        if isinstance(each, Exception) and code(each) != "WRONGTYPE":
            raise each
    return values


def _fail_key(request: TokenRequest) -> str:
    """Return the name that a setback is sealed for; it only has to differ from the token's key."""
    return f"{request.key}:fail"


def _generation(value: object) -> int:
    return int(value) if isinstance(value, bytes) and _GENERATION.fullmatch(value) else 0
