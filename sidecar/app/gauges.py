"""What the gauges show at one moment, from the same state as `/status`."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping

from sidecar.app.own_certificates import OwnCertificates
from sidecar.app.secret_store_health import Unread
from sidecar.app.status import Parts, Status
from sidecar.app.turns import turns
from sidecar.app.upstreams import pool_readings, url
from sidecar.cache.token_status import TokenStatus
from sidecar.core.health import Health
from sidecar.core.ports import Clock
from sidecar.http1.shared.listener import Listener
from sidecar.system.certificates import Validity, of_peer
from sidecar.telemetry.ports import Readings
from sidecar.telemetry.words import NeighbourKind

NOT_TRIED = 600.0
"""Seconds after the last failure of a neighbour or a secret until its gauge is removed: no request depends on it any
more."""


class Gauges:
    """Read at each scrape and export."""

    def __init__(self, clock: Clock, status: Status) -> None:
        self._clock = clock
        self._status = status
        self.own_certificates = OwnCertificates(clock)

    async def read(self, parts: Parts, listeners: Collection[Listener], *, lines_dropped: int) -> Readings:
        """Return the readings of this moment; those of the tokens are taken in turns."""
        now = self._clock.now()
        tokens = TokenGauges()
        async for token in turns(parts.cache.status(now)):
            tokens.add(token)
        return Readings(
            requests_in_flight=sum(listener.busy for listener in listeners),
            connections_open=sum(len(listener.connections) for listener in listeners),
            tasks=len(asyncio.all_tasks()),
            log_lines_dropped=lines_dropped,
            token_expires_in=tokens.expires_in,
            tokens_failing=tokens.failing,
            secrets_failing=unread(self._status.unread_secrets, now),
            neighbours_down=outages(self._status.health(parts), now),
            certificates=lifetimes(self._certificates(parts), self._clock.wall()),
            pools=pool_readings(parts.pools),
            clock_skews=parts.fetching.clock_skews(),
            fleet=parts.member.readings(),
        )

    def _certificates(self, parts: Parts) -> Iterator[tuple[tuple[str, str], Validity]]:
        for origin, pool in parts.pools.items():
            if pool.certificate and (validity := of_peer(pool.certificate)) is not None:
                yield ("upstream", url(origin)), validity
        for path, validity in self.own_certificates.validities.items():
            yield ("client", path), validity


class TokenGauges:
    """Collect what the gauges show of tokens."""

    def __init__(self) -> None:
        self.expires_in: dict[tuple[str, str], float] = {}
        """Seconds until cached tokens expire, by name and tenant; of several tokens, the earliest."""
        self.failing: dict[tuple[str, str, str, str], float] = {}
        """Seconds from the first failed fetch to the last, by name, tenant, state and reason; the longest.

        To the last, as below. Alerts compare this duration, so a single failed fetch fires none.
        """

    def add(self, token: TokenStatus) -> None:
        """Note a token."""
        if token.state != "missing":
            owner = (token.token, token.tenant)
            self.expires_in[owner] = min(token.expires_in, self.expires_in.get(owner, token.expires_in))
        if token.problem_since is not None and token.last_tried is not None:
            problem = (token.token, token.tenant, token.state, token.reason)
            lasts = token.last_tried - token.problem_since
            self.failing[problem] = max(lasts, self.failing.get(problem, 0.0))


def unread(secrets: Iterable[Unread], now: float) -> Mapping[tuple[str, str, str], float]:
    """Return the seconds from the first failed read to the last, by service, tenant and reason; see `outages`."""
    return {
        (each.service, each.tenant, each.reason): each.last - each.since
        for each in secrets
        if now - each.last < NOT_TRIED
    }


def outages(
    neighbours: Iterable[tuple[NeighbourKind, str, Health]], now: float
) -> Mapping[tuple[str, str], float]:
    """Return the seconds from the first failure to the last of what is down, by kind and name; the longest.

    To the last failure, not to now: one failure does not grow into an outage while no request tries again.
    """
    found: dict[tuple[str, str], float] = {}
    for kind, name, health in neighbours:
        last = health.last_failure
        if health.state == "down" and last is not None and now - last < NOT_TRIED:
            found[kind, name] = max(last - health.since, found.get((kind, name), 0.0))
    return found


def lifetimes(
    certificates: Iterable[tuple[tuple[str, str], Validity]], today: float
) -> Mapping[tuple[str, str], tuple[float, float]]:
    """Return the seconds until certificates expire and those of their whole life, by role and name.

    Of several certificates with one name, those of the one that expires first.
    """
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for named, validity in certificates:
        life = (validity.ends - today, validity.ends - validity.begins)
        found[named] = min(life, found.get(named, life))
    return found
