"""OpenTelemetry's standard variables that the sidecar reads; the exporter reads its own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan
from typing import get_args

from sidecar.telemetry.trace_context import Sampler, SamplerName
from sidecar.telemetry.words import Signal

PROTOCOL = "http/protobuf"
_DEFAULT_SAMPLER: SamplerName = "parentbased_always_on"
_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_OF_SIGNAL = {
    "metrics": (
        "OTEL_METRICS_EXPORTER",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
        "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    ),
    "traces": (
        "OTEL_TRACES_EXPORTER",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    ),
}
MEANINGS: Mapping[str, str] = {
    _ENDPOINT: "URL of the collector for metrics and traces, such as `http://collector:4318`. Unset: nothing is "
    "exported, unless there is a URL for one of the two.",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "Complete URL for metrics; overrides the one for both.",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "Complete URL for traces; overrides the one for both.",
    _PROTOCOL: f"Only `{PROTOCOL}` is supported; another value disables the export.",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "The same for metrics.",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "The same for traces.",
    "OTEL_METRICS_EXPORTER": "`otlp`, or `none` to export no metrics. Unset: `otlp`.",
    "OTEL_TRACES_EXPORTER": "`otlp`, or `none` to make no traces. Unset: `otlp`.",
    "OTEL_SDK_DISABLED": "`true` disables the export of metrics and traces.",
    "OTEL_SERVICE_NAME": "Name of the service in metrics and traces. Unset: `credential-sidecar`.",
    "OTEL_RESOURCE_ATTRIBUTES": "Further resource attributes, `name=value,name=value`.",
    "OTEL_METRIC_EXPORT_INTERVAL": "Milliseconds between two exports of metrics. Unset: 60000.",
    "OTEL_TRACES_SAMPLER": "`always_on`, `always_off`, `traceidratio`, or one of these with the prefix "
    f"`parentbased_`. Unset: `{_DEFAULT_SAMPLER}`.",
    "OTEL_TRACES_SAMPLER_ARG": "Share of traces, 0 to 1, for samplers that end in `traceidratio`. Unset: 1.",
    "OTEL_BSP_SCHEDULE_DELAY": "Milliseconds that a span waits for others. Unset: 5000.",
    "OTEL_BSP_MAX_QUEUE_SIZE": "Spans that may wait for export, at most 65536; further spans are dropped. Unset: 2048.",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "Spans in one export. Unset: 512.",
}
"""Meanings of the variables, from which `docs/reference/environment.md` is generated."""
_VARIABLE = re.compile("OTEL_[A-Z_]+")
_NUMBER = re.compile("[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Ignored:
    """A variable whose value is not used, and why."""

    variable: str
    reason: str


@dataclass(frozen=True, slots=True)
class Batches:
    """How spans are sent."""

    queue: int
    """Spans that may wait; further ones are dropped."""
    size: int
    """Spans in one request."""
    delay_ms: int
    """Seconds for which a span waits for others."""


@dataclass(frozen=True, slots=True)
class OtelSettings:
    """Settings of the export."""

    signals: frozenset[Signal]
    """Signals to export; empty: none."""
    interval: float
    """Seconds between two exports of metrics."""
    sampler: Sampler
    batches: Batches
    ignored: tuple[Ignored, ...]


@dataclass(slots=True)
class _Reader:
    environ: Mapping[str, str]
    ignored: list[Ignored] = field(default_factory=list)

    def text(self, name: str) -> str:
        """Return the value; an empty variable counts as unset."""
        return self.environ.get(name, "").strip()

    def positive(self, name: str, default: int, most: int = 2**31) -> int:
        text = self.text(name)
        if not text or (_NUMBER.fullmatch(text) and 1 <= int(text) <= most):
            return int(text or default)
        self.ignore(name, f"must be a whole number from 1 to {most}: {default} is taken")
        return default

    def number(self, name: str, default: float) -> float:
        """Return the number, NaN for any other text."""
        try:
            return float(self.text(name) or default)
        except ValueError:
            return nan

    @property
    def disabled(self) -> bool:
        return self.text("OTEL_SDK_DISABLED").lower() == "true"

    def ignore(self, name: str, reason: str) -> None:
        self.ignored.append(Ignored(name, reason))


def read_otel(environ: Mapping[str, str]) -> OtelSettings:
    """Read the variables. As the specification requires, an unusable one is ignored and reported."""
    reader = _Reader(environ)
    signals: set[Signal] = {signal for signal in get_args(Signal) if _is_on(reader, signal)}
    _look_at_the_exporters_own(reader)
    queue = reader.positive("OTEL_BSP_MAX_QUEUE_SIZE", 2048, 65_536)
    return OtelSettings(
        signals=frozenset(signals),
        interval=reader.positive("OTEL_METRIC_EXPORT_INTERVAL", 60_000) / 1000,
        sampler=_sampler(reader),
        batches=Batches(
            queue=queue,
            size=min(queue, reader.positive("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)),
            delay_ms=reader.positive("OTEL_BSP_SCHEDULE_DELAY", 5000),
        ),
        ignored=tuple(reader.ignored) if _asked(reader) else (),
    )


def unusable(error: Exception) -> Ignored:
    """Return which variable the library could not use, if it names one; never the value."""
    named = _VARIABLE.search(str(error))
    why = "OpenTelemetry's library cannot use it: nothing is exported"
    return Ignored(named[0] if named is not None else "OTEL_*", why)


def _asked(reader: _Reader) -> bool:
    """Return whether any export is requested."""
    endpoints = (_ENDPOINT, *(endpoint for _, endpoint, _ in _OF_SIGNAL.values()))
    return not reader.disabled and any(map(reader.text, endpoints))


def _is_on(reader: _Reader, signal: Signal) -> bool:
    exporter, endpoint, protocol = _OF_SIGNAL[signal]
    if reader.disabled or not (reader.text(endpoint) or reader.text(_ENDPOINT)):
        return False
    chosen = reader.text(exporter) or "otlp"
    if chosen != "otlp":
        if chosen != "none":
            reader.ignore(exporter, f"only otlp and none are supported: no {signal} are exported")
        return False
    spoken = protocol if reader.text(protocol) else _PROTOCOL
    if reader.text(spoken) not in ("", PROTOCOL):
        reader.ignore(spoken, f"only {PROTOCOL} is supported, and the endpoint must accept it")
    return True


def _look_at_the_exporters_own(reader: _Reader) -> None:
    """Add those that the exporter silently replaces by its default."""
    for of in ("OTLP_", "OTLP_METRICS_", "OTLP_TRACES_"):
        timeout, compression = f"OTEL_EXPORTER_{of}TIMEOUT", f"OTEL_EXPORTER_{of}COMPRESSION"
        if isnan(reader.number(timeout, 10.0)):
            reader.ignore(timeout, "must be a number of seconds: 10 is taken")
        if reader.text(compression).lower() not in ("", "none", "gzip", "deflate"):
            reader.ignore(compression, "must be gzip, deflate or none: none is taken")


def _sampler(reader: _Reader) -> Sampler:
    name = reader.text("OTEL_TRACES_SAMPLER").lower() or _DEFAULT_SAMPLER
    known: tuple[SamplerName, ...] = get_args(SamplerName)
    chosen = next((sampler for sampler in known if sampler == name), None)
    if chosen is None:
        reader.ignore("OTEL_TRACES_SAMPLER", f"no such sampler: {_DEFAULT_SAMPLER} is taken")
        return Sampler(_DEFAULT_SAMPLER)
    return Sampler(chosen, _ratio(reader) if chosen.endswith("ratio") else 1.0)


def _ratio(reader: _Reader) -> float:
    ratio = reader.number("OTEL_TRACES_SAMPLER_ARG", 1.0)
    if 0.0 <= ratio <= 1.0:
        return ratio
    reader.ignore("OTEL_TRACES_SAMPLER_ARG", "must be a number from 0 to 1: 1 is taken")
    return 1.0
