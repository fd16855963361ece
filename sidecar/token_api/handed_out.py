"""Tokens that programs and proxies were given, and which reports of refusals cost a renewal.

The sidecar does not see whether a server accepted a token, and a report may be wrong. So it bounds the renewals:

Rule 1. A report is about a token that was handed out, for the same token request.
Rule 2. A token that replaced a refused one counts as working after it was handed out PROVEN_BY further times, or
        PROVEN_AFTER seconds ago. If it is reported before that, the key cools down, as after the second send on a
        route.
Rule 3. For each key, BURST reports of tokens that have worked cause a renewal at once, then one report in PROVEN_AFTER
        seconds. Each further report begins a cool-down.

So a program that reports good tokens again and again costs a few renewals, then those of the cool-down's probes.
"""

from dataclasses import dataclass

from sidecar.cache.cooldown import MAX_WINDOW
from sidecar.core.lru import Lru
from sidecar.core.rate_limit import RateLimit
from sidecar.oauth.token import Token, TokenRequest

PROVEN_BY = 20
PROVEN_AFTER = MAX_WINDOW
BURST = 10
MAX_TOKENS = 4096
"""Limit: tokens that were handed out and of which a refusal may be reported (number). Beyond: 409 for the one that was
used least recently."""
MAX_BYTES = 8 << 20
OBJECTS = 1024
"""Approximate bytes of an entry besides its token."""


@dataclass(slots=True)
class HandedOut:
    """A token that was handed out."""

    token: Token
    replaced_at: float | None
    """When it was handed out in place of a refused one; None if it was not."""
    uses: int = 0
    """How often it was handed out otherwise."""
    reported: bool = False
    """Whether a report of its refusal has caused a renewal."""
    doubted: bool = False
    """Whether a report of its refusal has begun a cool-down."""
    answer: tuple[int, bytes] | None = None
    """A program's last answer, and the seconds in it."""
    body: int = 0
    """Length of that answer's body."""

    def has_worked(self, now: float) -> bool:
        """Return whether the token was accepted at some time, by rule 2."""
        if self.replaced_at is None:
            return True
        return self.uses >= PROVEN_BY or now - self.replaced_at >= PROVEN_AFTER


def _weight(handed: HandedOut) -> int:
    return OBJECTS + 2 * len(handed.token.authorization)


class HandedOutTokens:
    """The tokens handed out last. Bounded."""

    def __init__(self, limit: int = MAX_TOKENS) -> None:
        self._tokens: Lru[HandedOut] = Lru(limit, most=MAX_BYTES, weigh=_weight)
        self._limits: Lru[RateLimit] = Lru(limit)
        self._recent: tuple[TokenRequest, HandedOut] | None = None

    def use(self, request: TokenRequest, token: Token) -> HandedOut:
        """Note that the token is handed out, and return it so. Hot path: ≤ 0.2 µs for the token of the call before."""
        recent = self._recent
        if recent is not None and recent[0] is request and recent[1].token is token:
            recent[1].uses += 1
            return recent[1]
        name = f"{request.key} {token.fingerprint}"
        known = self._tokens.get(name)
        if known is None:
            known = HandedOut(token, None)
            self._tokens.put(name, known)
        known.uses += 1
        known.token = token  # its moments may differ after another look into the store
        self._recent = (request, known)
        return known

    def replace(self, request: TokenRequest, token: Token, now: float) -> HandedOut:
        """Note that the token is handed out in place of a refused one, and return it so."""
        name = f"{request.key} {token.fingerprint}"
        known = self._tokens.get(name)
        if known is None:
            known = HandedOut(token, now)
            self._tokens.put(name, known)
        return known

    def find(self, request: TokenRequest, fp: str) -> HandedOut | None:
        """Return the token of this fingerprint, None if it was not handed out for this request, or long ago."""
        return self._tokens.get(f"{request.key} {fp}")

    def doubts(self, request: TokenRequest, handed: HandedOut, now: float) -> bool:
        """Return whether a report of the token's refusal begins a cool-down, by rules 2 and 3."""
        if handed.doubted or (handed.has_worked(now) and self._limit(request).take(now)):
            return False
        handed.doubted = True
        return True

    def _limit(self, request: TokenRequest) -> RateLimit:
        limit = self._limits.get(request.key)
        if limit is None:
            limit = RateLimit(burst=BURST, rate=1 / PROVEN_AFTER)
            self._limits.put(request.key, limit)
        return limit
