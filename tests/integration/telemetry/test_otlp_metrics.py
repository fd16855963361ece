"""Metrics as an OTLP receiver gets them."""

import asyncio
from collections.abc import Callable

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
)
from prometheus_client.parser import text_string_to_metric_families

from sidecar.telemetry.instruments import (
    BUS_LAG,
    BUS_UP,
    BUSTS_APPLIED,
    BUSTS_FAILED,
    BUSTS_REJECTED,
    INSTRUMENTS,
    LEASES,
    SECONDS,
    SERVER,
    STORE_OPERATIONS,
    STORE_UP,
)
from tests.support.otlp_receiver import Collector, attributes
from tests.support.sidecar import Running, Start
from tests.support.upstream import Upstream
from tests.support.waiting import PATIENCE
from tests.support.wire_client import ask

Environ = Callable[..., None]
FAILED = "sidecar_telemetry_exports_total[('outcome', 'failed'), ('signal', 'metrics')]"
OF_A_FLEET = {
    BUSTS_APPLIED,
    BUSTS_FAILED,
    BUSTS_REJECTED,
    LEASES,
    STORE_UP,
    STORE_OPERATIONS,
    BUS_UP,
    BUS_LAG,
}


@pytest.fixture
def pushing(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> Environ:
    """Push metrics from now on; more variables may be set."""

    def push(**variables: str) -> None:
        for name, value in {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_TRACES_EXPORTER": "none",
        }.items():
            monkeypatch.setenv(name, value)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return push


def points(metric: Metric) -> list[NumberDataPoint | HistogramDataPoint]:
    return [*metric.gauge.data_points, *metric.sum.data_points, *metric.histogram.data_points]


def labels_of(point: NumberDataPoint) -> list[tuple[str, str | int]]:
    """As Prometheus names them, in order."""
    return sorted(
        (name.replace(".", "_"), value) for name, value in attributes(list(point.attributes)).items()
    )


async def pushed(running: Running, collector: Collector) -> dict[str, Metric]:
    """The next export, a minute later, by name."""
    before = len(collector.exports)
    await running.clock.advance(60)
    await collector.until(lambda: len(collector.exports) > before)
    return {metric.name: metric for metric in collector.exports[-1]}


async def scraped(running: Running) -> dict[str, float]:
    text = (await ask(running.app.admin_address, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")).body
    return {
        sample.name + repr(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


async def test_what_is_pushed_is_what_is_scraped(
    sidecar: Start, collector: Collector, pushing: Environ
) -> None:
    """Every counter with its value, under OpenTelemetry's name for it and cumulative."""
    pushing()
    async with sidecar() as running:
        for _ in range(3):
            assert (await running.get(b"/")).status == 200
        found = await pushed(running, collector)
        text = await scraped(running)
    assert set(found) == {each.name for each in INSTRUMENTS if each not in OF_A_FLEET}
    counted = {
        (metric.name, repr(labels_of(point))): point.as_int
        for metric in found.values()
        for point in metric.sum.data_points
        if metric.name != "sidecar.telemetry.exports"  # whose last one is this very export
    }
    assert counted == {key: text[f"{key[0].replace('.', '_')}_total{key[1]}"] for key in counted}
    hits = found["m2m_credential_cache_hits"].sum
    assert (hits.is_monotonic, hits.aggregation_temporality) == (True, AGGREGATION_TEMPORALITY_CUMULATIVE)
    assert [point.as_int for point in hits.data_points] == [2]


async def test_a_histogram_has_our_buckets_in_seconds(
    sidecar: Start, collector: Collector, pushing: Environ
) -> None:
    """With unit and description, its labels under OpenTelemetry's names."""
    pushing()
    async with sidecar() as running:
        assert (await running.get(b"/")).status == 200
        metric = (await pushed(running, collector))["http.server.request.duration"]
    assert (metric.unit, metric.description) == ("s", SERVER.description)
    assert metric.histogram.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    (point,) = metric.histogram.data_points
    assert (point.count, sum(point.bucket_counts), list(point.explicit_bounds)) == (1, 1, list(SECONDS))
    assert attributes(list(point.attributes)) == {
        "http.route": "api",
        "http.request.method": "GET",
        "http.response.status_code": "200",
    }


async def test_every_point_has_its_times(sidecar: Start, collector: Collector, pushing: Environ) -> None:
    """The same start in every export, and the moment of that export."""
    pushing()
    async with sidecar() as running:
        exports = [await pushed(running, collector), await pushed(running, collector)]
    of_each = [[point for metric in export.values() for point in points(metric)] for export in exports]
    starts = {
        point.start_time_unix_nano for found in of_each for point in found if point.start_time_unix_nano
    }
    (first,), (second,) = ({point.time_unix_nano for point in found} for found in of_each)
    assert len(starts) == 1
    assert 59e9 < second - first < 61e9


async def test_metrics_are_pushed_as_often_as_is_said(
    sidecar: Start, collector: Collector, pushing: Environ
) -> None:
    """And once more when the sidecar stops, so that nothing of its last seconds is lost."""
    pushing(OTEL_METRIC_EXPORT_INTERVAL="5000")
    async with sidecar() as running:
        for count in (1, 2):
            await running.clock.advance(5)
            await collector.until(lambda count=count: len(collector.exports) == count)  # type: ignore[misc]
        await running.get(b"/")
    last = {metric.name: metric for metric in collector.exports[-1]}
    assert len(collector.exports) == 3
    assert [point.count for point in last["http.server.request.duration"].histogram.data_points] == [1]


async def test_a_receiver_that_is_out_costs_only_what_it_misses(
    sidecar: Start, upstream: Upstream, collector: Collector, pushing: Environ
) -> None:
    """Requests continue, the failure is logged and counted, and the next export has everything: it is cumulative."""
    pushing()
    collector.script(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")
    async with sidecar() as running:
        await running.get(b"/")
        await running.clock.advance(60)
        async with asyncio.timeout(PATIENCE):
            while not (await scraped(running))[
                "sidecar_telemetry_exports_total[('outcome', 'failed'), ('signal', 'metrics')]"
            ]:
                await asyncio.sleep(0.01)
        found = await pushed(running, collector)
    assert [point.count for point in found["http.server.request.duration"].histogram.data_points] == [1]
    told = [line["event"] for line in running.log() if str(line["event"]).startswith("export")]
    assert told == ["export_down", "export_up"]


async def test_headers_and_compression_are_those_of_the_standard_variables(
    sidecar: Start, collector: Collector, pushing: Environ
) -> None:
    """What a vendor's endpoint asks for; the log does not show it."""
    pushing(OTEL_EXPORTER_OTLP_HEADERS="api-key=canary", OTEL_EXPORTER_OTLP_COMPRESSION="gzip")
    async with sidecar() as running:
        await pushed(running, collector)
    assert collector.requests[0].values("api-key") == [b"canary"]
    assert collector.requests[0].values("content-encoding") == [b"gzip"]


async def test_nothing_is_sent_where_nothing_is_configured(sidecar: Start, collector: Collector) -> None:
    """No export, no series of exports."""
    async with sidecar() as running:
        await running.clock.advance(120)
        text = await scraped(running)
    assert collector.requests == []
    assert not [series for series in text if "telemetry" in series]
