"""The export to an OTLP endpoint, if one is configured."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol

from sidecar import __version__
from sidecar.core.ports import Clock
from sidecar.telemetry.events import ExportDown, ExportUp
from sidecar.telemetry.instruments import Family
from sidecar.telemetry.otel_env import OtelSettings
from sidecar.telemetry.ports import ExportReadings, Journal
from sidecar.telemetry.sinks.dates import Dates
from sidecar.telemetry.tracing import Tracer
from sidecar.telemetry.words import Signal

PARTING = 1.0
"""Seconds that a stopping sidecar waits for its last export."""


class Push(Protocol):
    """Sends metrics."""

    def push(self, families: Iterable[Family], started: float, now: float) -> None:
        """Send what was counted from the date `started` to the date `now`."""

    def close(self, within: float) -> None:
        """Send what waits, then end."""


class Spans(Journal, Protocol):
    """Makes spans of requests and events, and sends them."""

    dropped: int

    def close(self) -> None:
        """Send what waits, then end."""

    def abandon(self) -> None:
        """Give up what is being sent."""


class OtlpExporter:
    """Export metrics and spans; count the results, and emit an event when exports begin or cease to fail."""

    def __init__(
        self, settings: OtelSettings, *, clock: Clock, environ: Mapping[str, str], instance: str
    ) -> None:
        """Take `instance`, which identifies this process."""
        from sidecar.telemetry.sinks.otlp import endpoint, metrics, spans  # noqa: PLC0415  a quarter of a second

        self._settings = settings
        self._clock = clock
        self._dates = Dates(clock)
        self._began = clock.now()
        self._journal: Journal | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._counts: dict[tuple[str, str], int] = {
            (signal, outcome): 0 for signal in sorted(settings.signals) for outcome in ("ok", "failed")
        }
        self._down: set[Signal] = set()
        endpoint.silence()
        who = endpoint.resource(environ, __version__, instance)
        self.tracer: Tracer | None = None
        self.spans: Spans | None = None
        self._push: Push | None = None
        if "traces" in settings.signals:
            self.tracer = tracer = Tracer(settings.sampler, random.getrandbits)
            self.spans = spans.SpanJournal(
                tracer, clock, who, version=__version__, batches=settings.batches, report=self._from_thread
            )
        if "metrics" in settings.signals:
            self._push = metrics.MetricsPush(who, __version__, self._from_thread)

    def readings(self) -> ExportReadings:
        """Return the results of exports."""
        return ExportReadings(dict(self._counts), self.spans.dropped if self.spans is not None else 0)

    async def run(self, families: Callable[[], Awaitable[Iterable[Family]]], journal: Journal) -> None:
        """Push current metrics until cancelled; report failures to `journal`."""
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        while True:
            await self._clock.sleep(self._settings.interval)
            await self._read(families)

    async def close(self, families: Callable[[], Awaitable[Iterable[Family]]]) -> None:
        """Send what waits, as far as that takes at most PARTING seconds."""
        await self._read(families)
        threads = [threading.Thread(target=end, daemon=True) for end in self._partings()]
        for thread in threads:
            thread.start()
        await asyncio.to_thread(_join, threads, PARTING)
        if self.spans is not None:
            self.spans.abandon()
        self._loop = None

    async def _read(self, families: Callable[[], Awaitable[Iterable[Family]]]) -> None:
        if self._push is not None:
            self._push.push(await families(), self._dates.of(self._began), self._clock.wall())

    def _partings(self) -> Iterable[Callable[[], None]]:
        if self._push is not None:
            yield partial(self._push.close, PARTING)
        if self.spans is not None:
            yield self.spans.close

    def _from_thread(self, signal: Signal, error: str) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has been closed meanwhile
                loop.call_soon_threadsafe(self._exported, signal, error)

    def _exported(self, signal: Signal, error: str) -> None:
        self._counts[signal, "failed" if error else "ok"] += 1
        if self._journal is None or bool(error) == (signal in self._down):
            return
        if error:
            self._down.add(signal)
            self._journal.tell(ExportDown(signal, error))
        else:
            self._down.discard(signal)
            self._journal.tell(ExportUp(signal))


def _join(threads: Iterable[threading.Thread], within: float) -> None:
    """Wait for all of them, together for that many seconds at most."""
    end = time.monotonic() + within
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
