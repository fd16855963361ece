"""Requests that carry the caller's own token: each caller gets its own token request."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sidecar.cache.token_memory import size
from sidecar.core.lru import Lru
from sidecar.core.ports import Clock
from sidecar.core.secret import Secret, keyed_hash
from sidecar.oauth import subject_token
from sidecar.oauth.ports import Verifier
from sidecar.oauth.token import FromRequest, Presented, TokenRequest
from sidecar.proxy.routes import Route, with_token
from sidecar.proxy.tenants import Tenants, claimed

MAX_KNOWN = 4096
"""Callers kept in memory."""
MAX_BYTES = 4 << 20
"""Memory that they take, their tokens included."""
BELIEVED = 60.0
"""Seconds until a token is verified again, because its issuer may have withdrawn the key."""

_Value = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class _KnownCaller:
    """A caller's own route, made from `base`, which a reload replaces."""

    base: Route
    route: Route
    until: float
    """The moment at which the caller's token is verified again."""
    exp: float
    """The date at which the caller's token expires."""


def _weight(known: _KnownCaller) -> int:
    return size(known.route.token) if known.route.token is not None else 0


class CallersByToken:
    """Identify callers by a keyed hash of the token they send; every key is made of that hash. Bounded."""

    def __init__(self, clock: Clock, *, fingerprint_key: bytes) -> None:
        """Take the fleet's `fingerprint_key`, so that a caller has the same hash in every pod."""
        self._clock = clock
        self._key = fingerprint_key
        self._known: Lru[_KnownCaller] = Lru(MAX_KNOWN, most=MAX_BYTES, weigh=_weight)
        self._verifier: Verifier | None = None

    def set_verifier(self, verifier: Verifier) -> None:
        """Set the verifier of callers' tokens. Without one, no token that must be verified is accepted."""
        self._verifier = verifier

    def forget(self) -> Iterator[None]:
        """Drop all callers and their tokens, in short steps, because a reload has made new routes."""
        for key, _ in self._known.entries():
            self._known.pop(key)
            yield

    async def route(self, route: Route, value: _Value, tenants: Tenants | None) -> Route:
        template = route.token
        assert template is not None
        fields = [value(header) for header in sorted(template.brought)]
        key = keyed_hash(self._key, ascii([route.name, template.tenant, fields]))
        known = self._known.get(key)
        if known is None or known.base is not route or self._is_over(known):
            known = await self._learn(route, template, value, tenants)
            self._known.put(key, known)
        return known.route

    def _is_over(self, known: _KnownCaller) -> bool:
        return self._clock.now() >= known.until or self._clock.wall() >= known.exp

    async def _learn(
        self, route: Route, template: TokenRequest, value: _Value, tenants: Tenants | None
    ) -> _KnownCaller:
        until = self._clock.now() + BELIEVED if template.verifies else math.inf
        subject, exp = await self._filled(template.subject, value)
        actor, exp_of_actor = await self._filled(template.actor, value)
        if tenants is not None and tenants.claim:
            assert subject is not None
            assert isinstance(subject.where, Secret)  # the configuration and the verifier ensure it
            named = claimed(subject.where.reveal(), tenants.claim)
            template = tenants.route(route, template, named).token or template
        own = with_token(route, replace(template, subject=subject, actor=actor))
        return _KnownCaller(route, own, until, min(exp, exp_of_actor))

    async def _filled(self, presented: Presented | None, value: _Value) -> tuple[Presented | None, float]:
        """Return what this request presents, and the date at which that expires."""
        if presented is None or not isinstance(presented.where, FromRequest):
            return presented, math.inf
        header = presented.where.header
        token = subject_token.brought(value(header), header, presented.type, self._clock.wall())
        if presented.where.verification is not None:
            assert self._verifier is not None
            await self._verifier.verify(token, presented.where.verification)
        filled = replace(presented, where=Secret(token), identity=keyed_hash(self._key, token))
        return filled, subject_token.expiry(token)
