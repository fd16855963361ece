"""What is told of a sidecar while it runs, and to whom."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from sidecar import __version__
from sidecar.config.settings import Config
from sidecar.core.errors import Fault
from sidecar.core.origin import Origin
from sidecar.core.ports import Clock, Randomness
from sidecar.http1.pool import Pool
from sidecar.proxy.routes import Route
from sidecar.telemetry.counters import Counters
from sidecar.telemetry.events import ConfigDoubtful, SettingIgnored, Stopped
from sidecar.telemetry.fan_out import FanOut, Listener
from sidecar.telemetry.instruments import Family, PoolReadings, Readings
from sidecar.telemetry.otel_env import Ignored, read_otel, unusable
from sidecar.telemetry.request_counters import FirstErrors, MeasuredRoute
from sidecar.telemetry.sinks.log_lines import LogJournal, lines
from sidecar.telemetry.sinks.log_writer import LogWriter
from sidecar.telemetry.sinks.otlp.exporter import OtlpExporter
from sidecar.telemetry.sinks.prometheus import prometheus_text

LOOK_EVERY = 0.5
"""Seconds between two looks at how late the event loop is."""


class Telemetry:
    """The log and the metrics."""

    def __init__(
        self,
        config: Config,
        descriptor: int,
        clock: Clock,
        randomness: Randomness,
        listeners: tuple[Listener, ...] = (),
    ) -> None:
        """`descriptor` is where the log goes; `listeners` hear of events too."""
        self.instance = randomness.token_bytes(4).hex()
        """Tells this process from others."""
        self._clock = clock
        self._output = LogWriter(descriptor)
        self._metrics = Counters(__version__, map(measured, config.routes), config.tenants)
        form = lines(config.log.format, descriptor, os.environ)
        self._logs = LogJournal(form, self._output.write, clock, partial(randomness.uniform, 0.0, 1.0))
        self._logs.set_level(config.log.level, config.log.requests)
        otel = read_otel(os.environ)
        self._ignored = (*(Ignored(each.path, each.reason) for each in config.ignored), *otel.ignored)
        self._doubtful = config.doubtful
        self._otlp: OtlpExporter | None = None
        if otel.signals:
            try:
                self._otlp = OtlpExporter(otel, clock=clock, environ=os.environ, instance=self.instance)
            except Exception as error:  # noqa: BLE001  the library reads many more variables, and raises what it likes
                self._ignored += (unusable(error),)
        spans = self._otlp.spans if self._otlp is not None else None
        self.tracer = self._otlp.tracer if self._otlp is not None else None
        """None while nothing is traced."""
        also = [spans] if spans is not None else []
        self.journal = FanOut(self._logs, self._metrics, *also, listeners=listeners)

    @property
    def lines_dropped(self) -> int:
        """Log lines lost so far."""
        return self._output.dropped

    def configure(self, config: Config) -> Iterator[None]:
        """Tell of what this configuration has, and as it says; in short steps, of which it needs all."""
        self._logs.set_level(config.log.level, config.log.requests)
        routes = []
        for route in config.routes:
            routes.append(measured(route))
            yield
        yield from self._metrics.configuring(routes, config.tenants)

    def of_requests(self) -> Iterable[Family]:
        """Read how long requests took, and their upstreams."""
        return self._metrics.of_requests()

    def first_errors(self) -> FirstErrors:
        """Return by route and status when the first error was, since they were last forgotten."""
        return self._metrics.first_errors()

    def forget_first_errors(self) -> None:
        """Date the next error of each kind anew."""
        self._metrics.forget_first_errors()

    async def text(self, readings: Readings) -> bytes:
        """Return everything measured as Prometheus text."""
        return await prometheus_text(self._families(readings))

    async def export(self, readings: Callable[[], Readings]) -> None:
        """Send metrics where they are to be sent, for ever."""
        for ignored in self._ignored:
            self.journal.tell(SettingIgnored(ignored.variable, ignored.reason))
        self.doubt(self._doubtful)
        if self._otlp is not None:
            await self._otlp.run(lambda: self._families(readings()), self.journal)

    def doubt(self, doubtful: Iterable[Fault]) -> None:
        """Log the values of a configuration that are probably a mistake."""
        for each in doubtful:
            self.journal.tell(ConfigDoubtful(str(each)))

    async def watch_loop(self) -> None:
        """Look for ever how late the event loop is."""
        while True:
            due = self._clock.now() + LOOK_EVERY
            await self._clock.sleep(LOOK_EVERY)
            self._metrics.loop_was_late(max(0.0, self._clock.now() - due))

    async def close(self, readings: Callable[[], Readings]) -> None:
        """Send and write what is still to be; takes two seconds at most."""
        if self._otlp is not None:
            await self._otlp.close(lambda: self._families(readings()))
        self.journal.tell(Stopped())
        self._output.close()

    def _families(self, readings: Readings) -> tuple[Family, ...]:
        exports = self._otlp.readings() if self._otlp is not None else None
        return self._metrics.families(replace(readings, exports=exports))


def pool_readings(pools: Mapping[Origin, Pool]) -> dict[tuple[str, int], PoolReadings]:
    """Tell how the connections to each host and port are used, however many pools lead there."""
    by_address: defaultdict[tuple[str, int], list[PoolReadings]] = defaultdict(list)
    for origin, pool in pools.items():
        by_address[origin.host, origin.port].append(pool.readings())
    return {
        address: PoolReadings(
            sum(reading.active for reading in readings),
            sum(reading.idle for reading in readings),
            sum(reading.waiting for reading in readings),
        )
        for address, readings in by_address.items()
    }


def measured(route: Route) -> MeasuredRoute:
    """Return what metrics say of a route."""
    token, tenant = (route.token.name, route.token.tenant) if route.token is not None else ("", "")
    return MeasuredRoute(route.name, route.origin.host, route.origin.port, token, tenant)
