"""The log, the metrics and the traces of a running sidecar."""

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

from sidecar import __version__
from sidecar.config.settings import Config
from sidecar.core.errors import Fault
from sidecar.core.ports import Clock, Randomness
from sidecar.proxy.routes import Route
from sidecar.telemetry.counters import Counters
from sidecar.telemetry.events import ConfigDoubtful, SettingIgnored, Stopped
from sidecar.telemetry.fan_out import FanOut, Listener
from sidecar.telemetry.instruments import Family
from sidecar.telemetry.otel_env import Ignored, read_otel, unusable
from sidecar.telemetry.ports import Readings
from sidecar.telemetry.request_counters import FirstErrors, MeasuredRoute
from sidecar.telemetry.sinks.log_lines import LogJournal, lines
from sidecar.telemetry.sinks.log_writer import LogWriter
from sidecar.telemetry.sinks.otlp.exporter import OtlpExporter
from sidecar.telemetry.sinks.prometheus import prometheus_text
from sidecar.token_api.server import entries

LOOK_EVERY = 0.5
"""Seconds between two measurements of the event loop's delay."""


class Telemetry:
    """The log, the metrics and the traces."""

    def __init__(
        self,
        config: Config,
        descriptor: int,
        clock: Clock,
        randomness: Randomness,
        listeners: tuple[Listener, ...] = (),
    ) -> None:
        """Take `descriptor`, which the log is written to, and `listeners`, which get events too."""
        self.instance = randomness.token_bytes(4).hex()
        """Identifies this process."""
        self._clock = clock
        self._output = LogWriter(descriptor)
        self._metrics = Counters(
            __version__, map(measured, (*config.routes, *entries(config))), config.tenants
        )
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
            except Exception as error:  # noqa: BLE001  the library reads many more variables, and raises anything
                self._ignored += (unusable(error),)
        spans = self._otlp.spans if self._otlp is not None else None
        self.tracer = self._otlp.tracer if self._otlp is not None else None
        """None if nothing is traced."""
        also = [spans] if spans is not None else []
        self.journal = FanOut(self._logs, self._metrics, *also, listeners=listeners)

    @property
    def lines_dropped(self) -> int:
        """Return the number of lost log lines."""
        return self._output.dropped

    def configure(self, config: Config) -> Iterator[None]:
        """Apply the configuration's log level and its metrics' series; in short steps, all of which must be taken."""
        self._logs.set_level(config.log.level, config.log.requests)
        routes = []
        for route in (*config.routes, *entries(config)):
            routes.append(measured(route))
            yield
        yield from self._metrics.configuring(routes, config.tenants)

    def of_requests(self) -> Iterable[Family]:
        """Return the durations of requests, and their upstreams."""
        return self._metrics.of_requests()

    def first_errors(self) -> FirstErrors:
        """Return by route and status when the first error was, since the last reset."""
        return self._metrics.first_errors()

    def forget_first_errors(self) -> None:
        """Reset the dates of first errors."""
        self._metrics.forget_first_errors()

    async def text(self, readings: Readings) -> bytes:
        """Return all metrics as Prometheus text."""
        return await prometheus_text(self._families(readings))

    async def export(self, readings: Callable[[], Awaitable[Readings]]) -> None:
        """Export metrics, if that is configured, until cancelled."""
        for ignored in self._ignored:
            self.journal.tell(SettingIgnored(ignored.variable, ignored.reason))
        self.doubt(self._doubtful)
        if self._otlp is not None:
            await self._otlp.run(partial(self._read, readings), self.journal)

    def doubt(self, doubtful: Iterable[Fault]) -> None:
        """Log the values of a configuration that are probably a mistake."""
        for each in doubtful:
            self.journal.tell(ConfigDoubtful(str(each)))

    async def watch_loop(self) -> None:
        """Measure the event loop's delay until cancelled."""
        while True:
            due = self._clock.now() + LOOK_EVERY
            await self._clock.sleep(LOOK_EVERY)
            self._metrics.loop_was_late(max(0.0, self._clock.now() - due))

    async def close(self, readings: Callable[[], Awaitable[Readings]]) -> None:
        """Send and write what is still queued; takes two seconds at most."""
        if self._otlp is not None:
            await self._otlp.close(partial(self._read, readings))
        self.journal.tell(Stopped())
        self._output.close()

    async def _read(self, readings: Callable[[], Awaitable[Readings]]) -> tuple[Family, ...]:
        return self._families(await readings())

    def _families(self, readings: Readings) -> tuple[Family, ...]:
        exports = self._otlp.readings() if self._otlp is not None else None
        return self._metrics.families(replace(readings, exports=exports))


def measured(route: Route) -> MeasuredRoute:
    """Return the labels of a route's metrics."""
    token, tenant = (route.token.name, route.token.tenant) if route.token is not None else ("", "")
    return MeasuredRoute(route.name, route.origin.host, route.origin.port, token, tenant)
