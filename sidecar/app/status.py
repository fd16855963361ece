"""What `/status` and the page show: everything an operator asks first, and nothing that is secret."""

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import islice

from sidecar import __version__
from sidecar.app.fetching import Fetching
from sidecar.app.fleet import Membership
from sidecar.app.health import SecretStoreHealth
from sidecar.cache import TokenCache
from sidecar.core.dates import Dates
from sidecar.core.health import Health
from sidecar.core.journal import Listener
from sidecar.core.ports import Clock
from sidecar.core.routes import Origin, Route
from sidecar.core.selectors import Selector
from sidecar.core.settings import Config
from sidecar.core.timeline import Happened, Timeline
from sidecar.core.token_status import TokenStatus
from sidecar.core.traffic import EVERY, Count, Traffic
from sidecar.http1.pool import Pool

MOST_TOKENS = 200
"""Tokens shown: the missing ones, then those used last."""
_OF_TOKENS = tuple(field.name for field in fields(TokenStatus))

Shown = dict[str, object]


@dataclass(frozen=True, slots=True)
class Parts:
    """Who knows something at the moment of asking."""

    config: Config
    cache: TokenCache
    fetching: Fetching
    member: Membership
    pools: Mapping[Origin, Pool]
    counts: Mapping[str, Count]


class Status:
    """Remembers what is only told once, and asks the parts of the sidecar for the rest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._dates = Dates(clock)
        self._began = clock.now()
        self._timeline = Timeline(clock)
        self._secret_store = SecretStoreHealth(clock)
        self._traffic = Traffic(clock.now())

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who wants to hear of events."""
        return (self._timeline, self._secret_store)

    async def run(self, count: Callable[[], Mapping[str, Count]]) -> None:
        """Count the routes' traffic now and then, for ever."""
        while True:
            await self._clock.sleep(EVERY)
            self._traffic.close_window(count(), self._clock.now())

    def read(self, parts: Parts, chosen: Selector) -> Shown:
        """Tell all; of tokens, those that carry these labels."""
        now, config = self._clock.now(), parts.config
        return {
            "version": __version__,
            "pod": socket.gethostname(),
            "mode": config.cache.mode,
            "at": self._clock.wall(),
            "uptime": now - self._began,
            "busts": config.admin.token is not None,
            "routes": [self._route(route, parts.counts[route.name], now) for route in config.routes],
            "tokens": [self._token(token) for token in islice(parts.cache.status(now, chosen), MOST_TOKENS)],
            "health": [
                {"kind": kind, "name": name, **asdict(health), "since": self._dates.of(health.since)}
                for kind, name, health in self._health(parts)
            ],
            "events": [self._event(happened) for happened in self._timeline],
        }

    def _route(self, route: Route, count: Count, now: float) -> Shown:
        reading = self._traffic.read(route.name, count, now)
        return {
            "name": route.name,
            "host": route.host,
            "prefix": route.prefix,
            "upstream": f"{_url(route.origin)}{route.base_path}",
            "token": route.token.name if route.token else "",
            "requests": count.requests,
            "errors": count.errors.total(),
            "rate": reading.rate,
            "error_rate": reading.error_rate,
            "errors_by": reading.errors,
            "latency": reading.mean,
            "latency_p99": reading.p99,
            "windows": [
                [window.requests, window.errors, round(window.mean, 6)] for window in reading.windows
            ],
        }

    def _health(self, parts: Parts) -> Iterator[tuple[str, str, Health]]:
        where = parts.config.redis
        for kind, health in parts.member.health().items():
            hosts = (f"{host}:{port}" for host, port in where.hosts) if where is not None else ()
            yield kind, ", ".join(hosts) or (where.unix_path if where is not None else ""), health
        for name, health in parts.fetching.health():
            yield "authorization_server", name, health
        if self._secret_store.health.state != "unknown":
            yield "secret_store", "AWS Secrets Manager", self._secret_store.health
        for origin, pool in parts.pools.items():
            yield "upstream", _url(origin), pool.health

    def _token(self, token: TokenStatus) -> Shown:
        shown = {name: getattr(token, name) for name in _OF_TOKENS}  # asdict() takes twenty times as long
        if token.problem_since is not None:
            shown["problem_since"] = self._dates.of(token.problem_since)
        return shown

    def _event(self, happened: Happened) -> Shown:
        event = happened.event
        return {
            "event": event.name,
            "level": event.level,
            "first": self._dates.of(happened.first),
            "last": self._dates.of(happened.last),
            "count": happened.count,
            "fields": event.values(),
        }


def _url(origin: Origin) -> str:
    return f"{origin.scheme}://{origin.authority.decode()}"
