"""What people are told of tokens: which are in memory, which are wanted and missing, and why. No secrets."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sidecar.cache.cooldown import CoolDowns
from sidecar.cache.token_memory import HeldToken
from sidecar.core.labels import Labels
from sidecar.core.lru import Lru
from sidecar.oauth.token import Freshness, TokenRequest

REMEMBERED = 600.0
"""Seconds after which a failure nobody has met again is no news."""


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """One token. Durations in seconds."""

    token: str
    """Its name in the configuration."""
    service: str
    tenant: str
    state: Literal["fresh", "aging", "missing"]
    """`missing`: asked for, and not to be had."""
    fp: str
    """"" where it is missing, as are the next four."""
    source: Literal["fetch", "store", ""]
    """Where this pod had it from."""
    age: float
    """Since its fetch began."""
    expires_in: float
    last_used: float
    """How long ago it was: noted once in a memory life, so by up to that much too long."""
    cooling: float
    """For how long refusals pass straight through to clients, because new tokens are refused too; else 0."""
    problem: str
    """Why the last fetch gave none, "" if it did."""
    problem_since: float | None
    """The moment when that began."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a key cannot be loaded. Of its request only what is told: that may hold a caller's token."""

    key: str
    token: str
    service: str
    tenant: str
    labels: Labels
    why: str
    since: float
    last: float


class Troubles:
    """Which of at most `limit` keys could not be loaded, since when and why."""

    def __init__(self, limit: int) -> None:
        self._troubles: Lru[Trouble] = Lru(limit)

    def note(self, request: TokenRequest, why: str, now: float) -> None:
        """Note a load that failed."""
        known = self._troubles.peek(request.key)
        trouble = Trouble(
            key=request.key,
            token=request.name,
            service=request.service,
            tenant=request.tenant,
            labels=request.labels,
            why=why,
            since=known.since if known is not None else now,
            last=now,
        )
        self._troubles.put(trouble.key, trouble)

    def end(self, key: str) -> None:
        """Note one that did not."""
        self._troubles.pop(key)

    def of(self, key: str) -> tuple[str, float | None]:
        """Tell why the key's last load failed and since when they do; "" and None if it did not."""
        known = self._troubles.peek(key)
        return (known.why, known.since) if known is not None else ("", None)

    def recent(self, now: float) -> Iterator[Trouble]:
        """What was met of late, the last first."""
        return (trouble for trouble in reversed(self._troubles) if now - trouble.last < REMEMBERED)


def token_statuses(
    memory: Lru[HeldToken],
    troubles: Troubles,
    cool_downs: CoolDowns,
    *,
    now: float,
    today: float,
    selector: Labels = frozenset(),
) -> Iterator[TokenStatus]:
    """Tell of the tokens that carry these labels: the missing ones, then those in memory, the last used first.

    `now` is the moment, `today` the date.
    """
    for trouble in troubles.recent(now):
        held = memory.peek(trouble.key)
        missing = held is None or held.token.freshness(now, today) is Freshness.STALE
        if missing and selector <= trouble.labels:
            yield TokenStatus(
                token=trouble.token,
                service=trouble.service,
                tenant=trouble.tenant,
                state="missing",
                fp="",
                source="",
                age=0.0,
                expires_in=0.0,
                last_used=0.0,
                cooling=cool_downs.left(trouble.key, now),
                problem=trouble.why,
                problem_since=trouble.since,
            )
    for held in reversed(memory):
        freshness = held.token.freshness(now, today)
        if selector <= held.token.labels and freshness is not Freshness.STALE:
            why, began = troubles.of(held.request.key)
            yield TokenStatus(
                token=held.request.name,
                service=held.request.service,
                tenant=held.request.tenant,
                state="fresh" if freshness is Freshness.FRESH else "aging",
                fp=held.token.fingerprint,
                source=held.token.source,
                age=now - held.token.fetch_began,
                expires_in=held.token.left(now, today),
                last_used=max(0.0, now - held.since),
                cooling=cool_downs.left(held.request.key, now),
                problem=why,
                problem_since=began,
            )
