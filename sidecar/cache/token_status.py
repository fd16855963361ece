"""Status of tokens for operators: which are in memory, which are missing, and why. No secrets."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from sidecar.cache.cooldown import CoolDowns
from sidecar.cache.token_memory import HeldToken
from sidecar.core.errors import NoToken, TokenRefused
from sidecar.core.labels import Labels
from sidecar.core.lru import Lru
from sidecar.oauth.token import Freshness, TokenRequest
from sidecar.telemetry.words import TokenFault

REMEMBERED = 600.0
"""Seconds after which a failure that does not recur is no longer shown."""
CONNECTED = 3600.0
"""Seconds after which the next failure begins another problem, so that rare requests, all of which fail, are one."""


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """One token. Durations in seconds."""

    token: str
    """Name of the entry in `tokens`."""
    service: str
    """Service of the credentials."""
    tenant: str
    """Tenant; empty if there is none."""
    state: Literal["fresh", "aging", "missing"]
    """`fresh`; `aging`: in use, and being renewed; `missing`: requested within ten minutes, but it cannot be
    fetched."""
    fp: str
    """Fingerprint. Of a missing token, this and `source` are empty, and the next three are 0."""
    source: Literal["fetch", "store", ""]
    """Where this pod got the token from: `fetch`, or `store` (Redis)."""
    age: float
    """Seconds since its fetch began."""
    expires_in: float
    """Seconds until it expires."""
    last_used: float
    """Seconds since its last use. It is noted once per `cache.memory_ttl`, so it may be too high by that."""
    cooling: float
    """Seconds that the cool-down still lasts; 0: there is none."""
    problem: str
    """Why the last fetch failed; empty if it did not."""
    problem_since: float | None
    """When that began; null if there is no problem."""
    last_tried: float | None
    """When the last fetch failed; null if it did not."""
    error_description: str = ""
    """Text of the authorization server about the problem; empty if there is none."""
    hint: str = ""
    """What to do about the problem; empty if that is not known."""
    cooling_since: float | None = None
    """When the first of these cool-downs began; null if there is none."""
    reason: TokenFault | Literal[""] = ""
    """Kind of the problem: `refused` by the authorization server, `unavailable`, or `no_credentials` (the secret in AWS
    cannot be used); empty if there is none."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a key cannot be loaded. Its request holds no caller's token."""

    request: TokenRequest
    key: str
    why: str
    description: str
    """The authorization server's own text."""
    hint: str
    since: float
    last: float
    reason: TokenFault


def reason_of(error: NoToken) -> TokenFault:
    """Return the kind of a failure that is not the caller's."""
    if error.of_secret:
        return "no_credentials"
    return "refused" if isinstance(error, TokenRefused) else "unavailable"


class Troubles:
    """Which of at most `limit` keys could not be loaded, since when and why."""

    def __init__(self, limit: int) -> None:
        self._troubles: Lru[Trouble] = Lru(limit)

    def note(
        self,
        request: TokenRequest,
        why: str,
        now: float,
        description: str = "",
        hint: str = "",
        *,
        reason: TokenFault = "unavailable",
    ) -> None:
        """Note a load that failed."""
        known = self._troubles.peek(request.key)
        since = known.since if known is not None and now - known.last < CONNECTED else now
        trouble = Trouble(request.anonymous, request.key, why, description, hint, since, now, reason)
        self._troubles.put(trouble.key, trouble)

    def rename(self, trouble: Trouble, request: TokenRequest) -> None:
        """Rename a failure to the request's new name."""
        if self._troubles.peek(trouble.key) is trouble:
            self._troubles.exchange(trouble.key, replace(trouble, request=request))

    def __iter__(self) -> Iterator[Trouble]:
        """Return all of them."""
        return iter(self._troubles)

    def end(self, key: str) -> None:
        """Note a load that succeeded."""
        self._troubles.pop(key)

    def of(self, key: str) -> Trouble | None:
        """Return why the key's last load failed, None if it did not."""
        return self._troubles.peek(key)

    def recent(self, now: float) -> Iterator[Trouble]:
        """Return the recent failures, the last first."""
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
    """Return the status of tokens that carry these labels: missing ones, then those in memory, the last used first.

    `now` is the moment, `today` the date.
    """
    for trouble in troubles.recent(now):
        held = memory.peek(trouble.key)
        missing = held is None or held.token.freshness(now, today) is Freshness.STALE
        if missing and selector <= trouble.request.labels:
            yield _missing(trouble, cool_downs, now)
    for held in reversed(memory):
        freshness = held.token.freshness(now, today)
        if held.unneeded_since > now and selector <= held.token.labels and freshness is not Freshness.STALE:
            known = troubles.of(held.request.key)
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
                problem=known.why if known is not None else "",
                problem_since=known.since if known is not None else None,
                last_tried=known.last if known is not None else None,
                error_description=known.description if known is not None else "",
                hint=known.hint if known is not None else "",
                cooling_since=cool_downs.since(held.request.key, now),
                reason=known.reason if known is not None else "",
            )


def _missing(trouble: Trouble, cool_downs: CoolDowns, now: float) -> TokenStatus:
    return TokenStatus(
        token=trouble.request.name,
        service=trouble.request.service,
        tenant=trouble.request.tenant,
        state="missing",
        fp="",
        source="",
        age=0.0,
        expires_in=0.0,
        last_used=0.0,
        cooling=cool_downs.left(trouble.key, now),
        problem=trouble.why,
        problem_since=trouble.since,
        last_tried=trouble.last,
        error_description=trouble.description,
        hint=trouble.hint,
        cooling_since=cool_downs.since(trouble.key, now),
        reason=trouble.reason,
    )
