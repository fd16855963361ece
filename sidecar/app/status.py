"""Content of `/status` and of the page: what operators check first, without secrets."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import islice

from sidecar import __version__
from sidecar.admin.live_finding import Line, LiveFinding, Needs, Seen
from sidecar.admin.ports import Readiness
from sidecar.admin.route_traffic import EVERY, Count, Reading, RouteTraffic
from sidecar.admin.wrong_now import wrong_now
from sidecar.app import known_labels
from sidecar.app.secret_store_health import SecretStoreHealth, UnreadSecrets
from sidecar.app.token_fetching import TokenFetching
from sidecar.app.turns import turns
from sidecar.app.upstreams import url
from sidecar.cache.token_status import TokenStatus
from sidecar.cache.tokens import TokenCache
from sidecar.config.settings import Config
from sidecar.core.health import Health
from sidecar.core.labels import Labels
from sidecar.core.origin import Origin
from sidecar.core.ports import Clock
from sidecar.credentials.model import AwsSecretCredentials
from sidecar.fleet.membership import Membership
from sidecar.http1.pool import OriginPool
from sidecar.proxy.routes import Route
from sidecar.system import threads
from sidecar.telemetry.fan_out import Listener
from sidecar.telemetry.recent_events import EarlyRefusals, Occurrence, RecentEvents
from sidecar.telemetry.sinks.dates import Dates
from sidecar.telemetry.words import NEIGHBOURS, NeighbourKind

MOST_TOKENS = 200
"""Limit: tokens in `/status` (number). Beyond: missing tokens are shown first, then those used last."""
_OF_TOKENS = tuple(field.name for field in fields(TokenStatus))
_OF_FINDINGS = tuple(field.name for field in fields(LiveFinding) if field.name != "scope")

Shown = dict[str, object]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of the sidecar from which the status is read."""

    config: Config
    cache: TokenCache
    fetching: TokenFetching
    member: Membership
    pools: Mapping[Origin, OriginPool]
    counts: Mapping[str, Count]
    readiness: Readiness


class Status:
    """Keep the results of events, and read the rest from the parts of the sidecar."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._dates = Dates(clock)
        self._began = clock.now()
        self._recent_events = RecentEvents(clock)
        self._early_refusals = EarlyRefusals(clock)
        self._secret_store = SecretStoreHealth(clock)
        self.unread_secrets = UnreadSecrets(clock)
        self._traffic = RouteTraffic(clock.now())

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Return the listeners for events."""
        return (self._recent_events, self._early_refusals, self._secret_store, self.unread_secrets)

    def configure(self, before: Config, now: Config) -> None:
        """Drop the state of secrets that this configuration does not name, or reads in another way."""
        old, new = (_secrets(config) for config in (before, now))
        unchanged = {service for service in new if old.get(service) == new[service]}
        self._secret_store.configure(new, unchanged)
        self.unread_secrets.configure(new, unchanged)

    async def run(
        self, count: Callable[[], Mapping[str, Count]], forget_first_errors: Callable[[], None]
    ) -> None:
        """Count the routes' traffic at intervals until cancelled."""
        while True:
            await self._clock.sleep(EVERY)
            self._traffic.close_window(count(), self._clock.now())
            forget_first_errors()

    def read(self, parts: Parts, selector: Labels) -> Shown:
        """Return the whole status; of tokens, those that carry these labels."""
        now, config = self._clock.now(), parts.config
        readings = {
            route.name: self._traffic.read(route.name, parts.counts[route.name], now)
            for route in config.routes
        }
        return {
            "version": __version__,
            "pod": pod_name(),
            "mode": config.cache.mode,
            "at": self._clock.wall(),
            "uptime": now - self._began,
            "busts": config.admin.token is not None,
            "not_found": "",
            "findings": [self._finding(each) for each in wrong_now(self._seen(parts, readings, now))],
            "routes": [
                _route(route, parts.counts[route.name], readings[route.name]) for route in config.routes
            ],
            "tokens": [
                self._token(token) for token in islice(parts.cache.status(now, selector), MOST_TOKENS)
            ],
            "health": [self._health_of(kind, name, health) for kind, name, health in self.health(parts)],
            "events": [self._event(occurrence) for occurrence in self._recent_events],
        }

    async def not_found(self, config: Config, cache: TokenCache, selector: Labels) -> str:
        """Return why no token carries these labels, and what to do; "" if no thread is free to find out."""
        tenants = [token.tenant async for token in turns(cache.status(self._clock.now()))]
        with suppress(OSError):
            return await threads.beside("labels", partial(known_labels.not_found, config, selector, tenants))
        return ""

    def _seen(self, parts: Parts, readings: Mapping[str, Reading], now: float) -> Seen:
        """Return the unfiltered state, because failures of other tenants' tokens matter too."""
        return Seen(
            now,
            parts.readiness,
            neighbours=tuple(self.health(parts)),
            tokens=tuple(islice(parts.cache.status(now), MOST_TOKENS)),
            routes=tuple(readings.items()),
            events=tuple(self._recent_events),
            replaced=tuple(self._early_refusals),
            wrong_clocks=tuple(parts.fetching.wrong_clocks()),
            lines=tuple(
                Line(url(origin), pool.readings().waiting, origin.max_connections)
                for origin, pool in parts.pools.items()
            ),
            needs={
                route.name: Needs(route.token.name if route.token else "", url(route.origin))
                for route in parts.config.routes
            },
        )

    def _finding(self, finding: LiveFinding) -> Shown:
        dates = {"since": self._date(finding.since), "last_tried": self._date(finding.last_tried)}
        shown = {name: getattr(finding, name) for name in _OF_FINDINGS}
        return {**shown, **dates, **asdict(finding.scope)}

    def health(self, parts: Parts) -> Iterator[tuple[NeighbourKind, str, Health]]:
        """Return the health of every neighbour that is in use: kind, name, health."""
        redis = parts.config.redis
        for kind, health in parts.member.health().items():
            hosts = (f"{host}:{port}" for host, port in redis.hosts) if redis is not None else ()
            yield kind, ", ".join(hosts) or (redis.unix_path if redis is not None else ""), health
        for name, health in parts.fetching.health():
            yield "authorization_server", name, health
        if self._secret_store.health.state != "unknown":
            yield "secret_store", NEIGHBOURS["secret_store"].name, self._secret_store.health
        for origin, pool in parts.pools.items():
            yield "upstream", url(origin), pool.health

    def _token(self, token: TokenStatus) -> Shown:
        shown = {name: getattr(token, name) for name in _OF_TOKENS}  # asdict() takes twenty times as long
        for name in ("problem_since", "last_tried", "cooling_since"):
            shown[name] = self._date(shown[name])
        return shown

    def _health_of(self, kind: str, name: str, health: Health) -> Shown:
        dates = {"since": self._dates.of(health.since), "last_failure": self._date(health.last_failure)}
        return {"kind": kind, "name": name, **asdict(health), **dates}

    def _date(self, moment: float | None) -> float | None:
        return self._dates.of(moment) if moment is not None else None

    def _event(self, occurrence: Occurrence) -> Shown:
        event = occurrence.event
        return {
            "event": event.name,
            "level": event.level,
            "first": self._dates.of(occurrence.first),
            "last": self._dates.of(occurrence.last),
            "count": occurrence.count,
            "fields": event.values(),
        }


def pod_name() -> str:
    """Return the name of this pod for people: its host's name, which in Kubernetes is the pod's."""
    return socket.gethostname()


def _route(route: Route, count: Count, reading: Reading) -> Shown:
    return {
        "name": route.name,
        "host": route.host,
        "prefix": route.prefix,
        "upstream": f"{url(route.origin)}{route.base_path}",
        "token": route.token.name if route.token else "",
        "requests": count.requests,
        "errors": count.errors.total(),
        "rate": reading.rate,
        "error_rate": reading.error_rate,
        "errors_by": reading.errors,
        "latency": reading.mean,
        "latency_p99": reading.p99,
        "windows": [[window.requests, window.errors, round(window.mean, 6)] for window in reading.windows],
    }


def _secrets(config: Config) -> dict[str, AwsSecretCredentials]:
    specs = config.credentials.values()
    return {spec.service: spec for spec in specs if isinstance(spec, AwsSecretCredentials)}


FIELDS: Mapping[str, str] = {
    "version": "Version of the sidecar.",
    "pod": "Host name of the pod.",
    "mode": "`cache.mode`: `local` or `distributed`.",
    "listen": "Address for the application.",
    "at": "When this was written.",
    "uptime": "Seconds since the process started.",
    "started": "Whether the sidecar has requested each token that depends on no request.",
    "busts": "Whether `POST /bust` is enabled: `admin.token` is set.",
    "not_found": "Why no token carries the selected labels, and what to do. Else empty; always empty in `/events`.",
    "in_flight": "Requests in flight.",
    "connections": "Open client connections.",
    "token_api.listen": "Address of the token API; empty if there is none.",
    "token_api.tokens": "Entries of `tokens` that it hands out.",
    "token_api.authorize": "Whether it serves proxies.",
    "routes[].name": "Name of the route.",
    "routes[].host": "`match.host`; empty for any.",
    "routes[].prefix": "`match.prefix`.",
    "routes[].upstream": "URL of the upstream.",
    "routes[].token": "Name of the entry in `tokens`; empty if there is none.",
    "routes[].requests": "Requests since the start.",
    "routes[].errors": "Errors since the start: a 5xx, or a 401 although the route has a token.",
    "routes[].rate": "Requests per second over the last 15 to 30 s.",
    "routes[].error_rate": "Errors per second over the same time.",
    "routes[].errors_by": "Errors of that time by status or [word](errors.md), the most frequent first.",
    "routes[].latency": "Mean time in seconds to the head of the upstream's response, over the same time; null without "
    "responses.",
    "routes[].latency_p99": "Time that 99 of 100 of these did not exceed, as the bound of a bucket, at most 10; null "
    "without responses.",
    "routes[].windows": "The last 60 windows of 15 s, the current one last: requests, errors and mean latency.",
    "health[].kind": "`store` and `bus` (Redis), `authorization_server`, `secret_store` or `upstream`.",
    "health[].name": "Address or name of the neighbour.",
    "events[].event": "Name of the [event](log-events.md); all but `request`, `token_fetched` and `secret_read`.",
    "events[].level": "Level of the event.",
    "events[].first": "When it happened first. The same event again within a minute is one entry.",
    "events[].last": "When it happened last.",
    "events[].count": "How often it happened.",
    "events[].fields": "Fields of the last one.",
}
"""Meanings of the fields that are composed here; those of the others are in docstrings."""
