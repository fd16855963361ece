"""How much each route has to do, of late and over the last quarter of an hour, from counters read now and then.

Nobody counts anything for this: whoever calls reads the metrics, every EVERY seconds and when somebody asks.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from sidecar.core.instruments import CLIENT, SECONDS, SERVER, Distribution, Family
from sidecar.core.routes import Route

EVERY = 15.0
"""Seconds in a window."""
WINDOWS = 60


_LABELS = ("http.route", "http.response.status_code", "error.type")
_NONE = Distribution((0,) * (len(SECONDS) + 1), 0.0)


@dataclass(frozen=True, slots=True)
class Count:
    """What a route's counters say."""

    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """How many were answered 5xx, or 401 although we have a token for the route: by status, or our word for it."""
    answers: Distribution = _NONE
    """Seconds from sending to the head of the upstream's answer."""


@dataclass(frozen=True, slots=True)
class Window:
    """What happened in some seconds."""

    requests: int = 0
    errors: int = 0
    answers: int = 0
    mean: float = 0.0
    """Seconds; 0 without answers."""


_QUIET = Window()


@dataclass(frozen=True, slots=True)
class Reading:
    """A route's traffic over the last one to two windows, and the windows."""

    rate: float
    """Requests a second."""
    error_rate: float
    """Errors a second."""
    errors: Mapping[str, int]
    """What they were, the most frequent first."""
    mean: float | None
    """Seconds to the head of an answer; None without answers."""
    p99: float | None
    """99 of 100 answers took at most so many seconds: the bound of a bucket; of the last one also for longer ones."""
    windows: tuple[Window, ...]
    """The oldest first; the last is under way."""


def counts(routes: Iterable[Route], families: Iterable[Family]) -> Mapping[str, Count]:
    """Sum the metrics of requests up by route."""
    has_token = {route.name: route.token is not None for route in routes}
    found = dict.fromkeys(has_token, Count())
    for instrument, series in ((family.instrument, family.series) for family in families):
        name_at, status_at, error_at = map(instrument.labels.index, _LABELS)
        for labels, value in series:
            name, status = labels[name_at], labels[status_at]
            if name not in found or not isinstance(value, Distribution):
                continue
            if instrument is SERVER:
                number = sum(value.counts)
                failed = status.startswith("5") or (status == "401" and has_token[name])
                errors = Counter({labels[error_at] or status: number}) if failed and number else Counter()
                found[name] = _sum(found[name], Count(number, errors))
            elif instrument is CLIENT and status:
                found[name] = _sum(found[name], Count(answers=value))
    return found


class Traffic:
    """The windows of every route."""

    def __init__(self, now: float) -> None:
        self._began = self._before = now
        self._base: Mapping[str, Count] = {}
        self._base_before: Mapping[str, Count] = {}
        self._windows: dict[str, deque[Window]] = {}

    def close_window(self, counts: Mapping[str, Count], now: float) -> None:
        """End the window under way and begin the next; a route that is gone is forgotten."""
        kept = {name: self._windows.get(name) or deque(maxlen=WINDOWS - 1) for name in counts}
        for name, count in counts.items():
            kept[name].append(_window(_between(self._base.get(name), count)))
        self._windows = kept
        self._base_before, self._base = self._base, counts
        self._before, self._began = self._began, now

    def read(self, name: str, count: Count, now: float) -> Reading:
        """Tell of a route whose counters say this now."""
        lately = _between(self._base_before.get(name), count)
        seconds = max(now - self._before, 1.0)
        under_way = _window(_between(self._base.get(name), count))
        window = _window(lately)
        return Reading(
            rate=window.requests / seconds,
            error_rate=window.errors / seconds,
            errors=dict(lately.errors.most_common()),
            mean=window.mean if window.answers else None,
            p99=_p99(lately.answers.counts),
            windows=(*self._windows.get(name, ()), under_way),
        )


def _sum(one: Count, other: Count) -> Count:
    places = zip(one.answers.counts, other.answers.counts, strict=True)
    answers = Distribution(tuple(a + b for a, b in places), one.answers.total + other.answers.total)
    return Count(one.requests + other.requests, one.errors + other.errors, answers)


def _between(base: Count | None, count: Count) -> Count:
    """What was counted since; all of it if there are fewer now: then the counters began anew."""
    if base is None or base.requests > count.requests:
        return count
    places = zip(count.answers.counts, base.answers.counts, strict=True)
    answers = Distribution(tuple(a - b for a, b in places), count.answers.total - base.answers.total)
    return Count(count.requests - base.requests, count.errors - base.errors, answers)


def _window(count: Count) -> Window:
    if not count.requests:
        return _QUIET
    answers = sum(count.answers.counts)
    return Window(
        count.requests, count.errors.total(), answers, count.answers.total / answers if answers else 0.0
    )


def _p99(counts: tuple[int, ...]) -> float | None:
    most = sum(counts) * 0.99
    if not most:
        return None
    place = bisect_left(list(accumulate(counts)), most)
    return SECONDS[min(place, len(SECONDS) - 1)]
