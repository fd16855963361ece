"""The page of metrics, from the instruments."""

from collections.abc import Iterator

from sidecar.telemetry.instruments import INSTRUMENTS, LABELS, SECONDS, Instrument
from sidecar.telemetry.sinks.prometheus import text_name
from tests.support.programs.pages.markdown import code, codes, page, prose, table

INTRODUCTION = prose(
    f"""`/metrics` on the admin server returns these metrics in the Prometheus text format. A histogram has the series
    `_bucket`, `_sum` and `_count`; its buckets go from {SECONDS[0] * 1000:g} ms to {SECONDS[-1]:g} s. Times are in
    seconds.""",
    """The size grows with the routes: 6 MB with 1,000. It does not grow with the tenants after the first hundred:
    a route with 10,000 tenants takes 195 KB.""",
    """The series of configured routes and tokens exist from the start. Those of leases, Redis, and busts from others
    exist only with `cache.mode: distributed`. `sidecar_telemetry_…` exists only if metrics or traces are exported.""",
    """With `OTEL_EXPORTER_OTLP_ENDPOINT` set, the sidecar also exports all metrics by OTLP, under their OpenTelemetry
    names: `http.server.request.duration` with the unit apart, counters without `_total`. See
    [environment variables](environment.md#opentelemetry).""",
)


def text() -> str:
    """Return the page."""
    rows = [(code(name(each)), each.kind, _labels(each), each.description) for each in INSTRUMENTS]
    return page(
        "Metrics",
        "`sidecar/telemetry/instruments.py`",
        INTRODUCTION,
        "## Names",
        table(("Name", "Kind", "Labels", "Meaning"), rows),
        "## Labels",
        table(("Label", "Meaning"), [(code(label.replace(".", "_")), LABELS[label]) for label in _used()]),
    )


def name(instrument: Instrument) -> str:
    """Return the instrument's name on `/metrics`."""
    return text_name(instrument) + ("_total" if instrument.kind == "counter" else "")


def _labels(instrument: Instrument) -> str:
    return codes(label.replace(".", "_") for label in instrument.labels)


def _used() -> Iterator[str]:
    yield from dict.fromkeys(label for each in INSTRUMENTS for label in each.labels)
