"""Our own readings in the exporter's form: cumulative, from the start of the process."""

import queue
import threading
from collections.abc import Iterable

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from sidecar.system.causes import in_words
from sidecar.telemetry.instruments import SECONDS, Distribution, Family
from sidecar.telemetry.sinks.otlp.endpoint import SERVICE, Report, Session

_CUMULATIVE = AggregationTemporality.CUMULATIVE


class MetricsPush:
    """Send readings from a thread of its own, one export at a time."""

    def __init__(self, resource: Resource, version: str, report: Report) -> None:
        self._resource = resource
        self._scope = InstrumentationScope(SERVICE, version)
        self._report = report
        self._session = Session()
        self._exporter = OTLPMetricExporter(session=self._session)
        self._waiting: queue.Queue[MetricsData | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="otlp-metrics", daemon=True)
        self._thread.start()

    def push(self, families: Iterable[Family], started: float, now: float) -> None:
        """Send what was counted from the date `started` to the date `now`, in epoch seconds.

        Left out while an earlier one is still under way.
        """
        if not self._waiting.full():
            self._waiting.put_nowait(self._data(families, _nanoseconds(started), _nanoseconds(now)))

    def close(self, within: float) -> None:
        """Send what waits, then end; gives up after `within` seconds, for which it blocks."""
        try:
            self._waiting.put(None, timeout=within)
        except queue.Full:
            pass
        else:
            self._thread.join(within)
        self._exporter.shutdown()

    def _run(self) -> None:
        while (data := self._waiting.get()) is not None:
            try:
                sent = self._exporter.export(data) is MetricExportResult.SUCCESS
            except Exception as error:  # noqa: BLE001  the next export may succeed
                self._report("metrics", in_words(error))
            else:
                self._report("metrics", "" if sent else self._session.last or "nothing was sent")

    def _data(self, families: Iterable[Family], started: int, now: int) -> MetricsData:
        metrics = [_metric(family, started, now) for family in families]
        scoped = ScopeMetrics(scope=self._scope, metrics=metrics, schema_url="")
        found = ResourceMetrics(resource=self._resource, scope_metrics=[scoped], schema_url="")
        return MetricsData(resource_metrics=[found])


def _nanoseconds(date: float) -> int:
    return int(date * 1e9)


def _metric(family: Family, started: int, now: int) -> Metric:
    instrument = family.instrument
    data: Gauge | Histogram | Sum
    if instrument.kind == "histogram":
        data = Histogram(_distributions(family, started, now), _CUMULATIVE)
    elif instrument.kind == "counter":
        data = Sum(_numbers(family, started, now), _CUMULATIVE, is_monotonic=True)
    else:
        data = Gauge(_numbers(family, 0, now))
    return Metric(instrument.name, instrument.description, instrument.unit, data)


def _labels(family: Family, values: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in zip(family.instrument.labels, values, strict=True) if value}


def _numbers(family: Family, started: int, now: int) -> list[NumberDataPoint]:
    return [
        NumberDataPoint(_labels(family, values), started, now, value)
        for values, value in family.series
        if not isinstance(value, Distribution)
    ]


def _distributions(family: Family, started: int, now: int) -> list[HistogramDataPoint]:
    return [
        HistogramDataPoint(
            attributes=_labels(family, values),
            start_time_unix_nano=started,
            time_unix_nano=now,
            count=sum(value.counts),
            sum=value.total,
            bucket_counts=value.counts,
            explicit_bounds=SECONDS,
            min=None,  # type: ignore[arg-type]  # optional on the wire, and not known
            max=None,  # type: ignore[arg-type]
        )
        for values, value in family.series
        if isinstance(value, Distribution)
    ]
