"""What Prometheus has of a sidecar during an incident that goes on, from pages of metrics that were scraped from it.

The first scrape finds the sidecar healthy. From the second on, each scrape finds what the incident shows: counters grow
as they did between the two pages, and the gauges that date a failure grow with the time, because requests fail.
"""

import re
from collections.abc import Iterator, Mapping

from tests.system.alerts.promtool import INTERVAL

SCRAPES = 80
"""Scrapes during the incident: forty minutes, longer than any alert waits."""
TARGET = 'namespace="shop",pod="a"'
"""Labels that Prometheus gives to the pod."""
GROWING = re.compile(r"sidecar_(?:token|secret)_failing_seconds|sidecar_neighbour_down_seconds")
"""Gauges of the time from the first failure to the last."""
_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_GAUGE = re.compile(r"# TYPE (\w+) gauge")

Page = Mapping[str, float]
"""Values by series, without the target's labels."""


def read(page: bytes) -> Page:
    """Return the values of a page."""
    lines = page.decode().splitlines()
    samples = (_SAMPLE.fullmatch(line) for line in lines if not line.startswith("#"))
    return {f"{each[1]}{{{each[2] or ''}}}": float(each[3]) for each in samples if each is not None}


def gauges(page: bytes) -> frozenset[str]:
    """Return the names of the page's gauges."""
    return frozenset(_GAUGE.findall(page.decode()))


def continued(before: bytes, early: bytes, late: bytes, names: str) -> dict[str, str]:
    """Return the series whose names occur in `names`, as in promtool's files: healthy, then as long as SCRAPES.

    `early` and `late` are pages of the incident, with requests between them.
    """
    healthy, first, then = read(before), read(early), read(late)
    constant = gauges(late)
    return {
        _with_target(series): f"{_number(healthy.get(series))} {values}"
        for series in {**healthy, **then}
        if re.search(rf"\b{series.partition('{')[0]}\b", names)
        for values in _during(series, first.get(series), then.get(series), constant)
    }


def _during(series: str, early: float | None, late: float | None, constant: frozenset[str]) -> Iterator[str]:
    name = series.partition("{")[0]
    if late is None:
        yield "stale"
    elif GROWING.fullmatch(name):
        yield f"0+{INTERVAL}x{SCRAPES}"
    elif name in constant:
        yield f"{_number(late)}x{SCRAPES}"
    else:
        yield f"{_number(late)}+{_number(late - (early or 0.0))}x{SCRAPES}"


def _number(value: float | None) -> str:
    return "_" if value is None else f"{value:f}"


def _with_target(series: str) -> str:
    name, _, labels = series.removesuffix("}").partition("{")
    return f"{name}{{{','.join(filter(None, (TARGET, labels)))}}}"
