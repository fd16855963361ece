"""Metrics as the Prometheus text format.

prometheus_client takes 50 ms to import, longer than a request may wait: it is loaded at the first scrape, in a thread,
and the text is made there too.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from sidecar.telemetry.instruments import SECONDS, Distribution, Family, Instrument

if TYPE_CHECKING:
    from prometheus_client import Metric

_BOUNDS = (*(str(bound) for bound in SECONDS), "+Inf")


async def prometheus_text(families: Iterable[Family]) -> bytes:
    """Return the readings in text format 0.0.4; counters end in `_total`."""
    return await asyncio.to_thread(_text, tuple(families))


def text_name(instrument: Instrument) -> str:
    """Return the instrument's name by the OpenTelemetry-to-Prometheus rules, without a counter's `_total`."""
    name = instrument.name.replace(".", "_")
    unit = "_seconds" if instrument.unit == "s" else ""
    return name if name.endswith(unit) else name + unit


class _Collector:
    def __init__(self, families: tuple[Family, ...]) -> None:
        self._families = families

    def collect(self) -> "Iterator[Metric]":
        return map(_metric, self._families)


def _text(families: tuple[Family, ...]) -> bytes:
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415  see the head

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(families))
    return generate_latest(registry)


def _metric(family: Family) -> "Metric":
    from prometheus_client import Metric  # noqa: PLC0415  see the head

    instrument = family.instrument
    name = text_name(instrument)
    metric = Metric(name, instrument.description, instrument.kind)
    names = [label.replace(".", "_") for label in instrument.labels]
    for values, value in family.series:
        labels = {name: value for name, value in zip(names, values, strict=True) if value}
        if isinstance(value, Distribution):
            _add_distribution(metric, labels, value)
        else:
            metric.add_sample(f"{name}_total" if instrument.kind == "counter" else name, labels, value)
    return metric


def _add_distribution(metric: "Metric", labels: dict[str, str], value: Distribution) -> None:
    cumulative = list(accumulate(value.counts))
    for bound, count in zip(_BOUNDS, cumulative, strict=True):
        metric.add_sample(f"{metric.name}_bucket", labels | {"le": bound}, count)
    metric.add_sample(f"{metric.name}_count", labels, cumulative[-1])
    metric.add_sample(f"{metric.name}_sum", labels, value.total)
