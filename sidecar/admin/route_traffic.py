"""Traffic of each route, current and over the last 15 minutes, from counters read at intervals.

This needs no counters of its own: the caller reads the metrics, every EVERY seconds and at each request for the status.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from operator import add, sub

from sidecar.proxy.routes import Route
from sidecar.telemetry.instruments import CLIENT, SECONDS, SERVER, Distribution, Family
from sidecar.telemetry.request_counters import FirstErrors, error_status

EVERY = 15.0
"""Seconds in a window."""
WINDOWS = 60
CALM = 60.0
"""Seconds without an error after which an answered request ends a failure. Without requests the failure continues."""


_LABELS = ("http.route", "http.response.status_code", "error.type")
_NONE = Distribution((0,) * (len(SECONDS) + 1), 0.0)


@dataclass(frozen=True, slots=True)
class Count:
    """Counters of a route."""

    requests: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    """Number answered 5xx, broken off, or 401 although we have a token for the route: by status, or our word for it."""
    answers: Distribution = _NONE
    """Seconds from sending to the head of the upstream's answer."""
    first_error: float | None = None
    """The moment of the first error in the window under way; None without errors."""


@dataclass(frozen=True, slots=True)
class Window:
    """Traffic of one period."""

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
    """Errors by kind, the most frequent first."""
    mean: float | None
    """Seconds to the head of an answer; None without answers."""
    p99: float | None
    """Upper bound of 99 of 100 answers, from the buckets (seconds); in the last bucket longer ones are possible."""
    windows: tuple[Window, ...]
    """The oldest first; the last is under way."""
    failing_since: float | None
    """The moment of the first continuing error; None without one."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """Errors that continue."""

    since: float
    last: float
    """The end of the last window with an error."""


class _Sum:
    """A Count that is being summed."""

    __slots__ = ("answers", "errors", "first_error", "has_token", "requests", "seconds")

    def __init__(self, *, has_token: bool) -> None:
        self.has_token = has_token
        self.first_error: float | None = None
        self.requests = 0
        self.errors: Counter[str] = Counter()
        self.answers = _NONE.counts
        self.seconds = 0.0

    def add(self, value: Distribution, status: str, error: str) -> None:
        number = sum(value.counts)
        self.requests += number
        if number and self._is_error(error_status(int(status or 0), error)):
            self.errors[error or status] += number

    def add_first_error(self, status: int, moment: float) -> None:
        if self._is_error(status) and (self.first_error is None or moment < self.first_error):
            self.first_error = moment

    def _is_error(self, status: int) -> bool:
        return status >= 500 or (status == 401 and self.has_token)

    def add_answers(self, value: Distribution) -> None:
        self.answers = tuple(map(add, self.answers, value.counts))
        self.seconds += value.total

    def count(self) -> Count:
        return Count(self.requests, self.errors, Distribution(self.answers, self.seconds), self.first_error)


def counts(
    routes: Iterable[Route], families: Iterable[Family], first_errors: FirstErrors
) -> Mapping[str, Count]:
    """Sum the metrics of requests by route; a send without an answer has no status."""
    sums = {route.name: _Sum(has_token=route.token is not None) for route in routes}
    for family in families:
        instrument = family.instrument
        name_at, status_at, error_at = map(instrument.labels.index, _LABELS)
        for labels, value in family.series:
            place, status = sums.get(labels[name_at]), labels[status_at]
            if place is None or not isinstance(value, Distribution):
                continue
            if instrument is SERVER:
                place.add(value, status, labels[error_at])
            elif instrument is CLIENT and status:
                place.add_answers(value)
    for (name, status_of_first), moment in first_errors.items():
        if name in sums:
            sums[name].add_first_error(status_of_first, moment)
    return {name: place.count() for name, place in sums.items()}


class RouteTraffic:
    """The windows of every route."""

    def __init__(self, now: float) -> None:
        self._began = self._before = now
        self._base: Mapping[str, Count] = {}
        self._base_before: Mapping[str, Count] = {}
        self._windows: dict[str, deque[Window]] = {}
        self._failures: dict[str, _Failure] = {}

    def close_window(self, counts: Mapping[str, Count], now: float) -> None:
        """End the window under way and begin the next; drop routes that no longer exist."""
        kept = {name: self._windows.get(name) or deque(maxlen=WINDOWS - 1) for name in counts}
        failures = {}
        for name, count in counts.items():
            window = _window(_between(self._base.get(name), count))
            kept[name].append(window)
            failure = _next(self._failures.get(name), window, count.first_error, now)
            if failure is not None:
                failures[name] = failure
        self._failures = failures
        self._windows = kept
        self._base_before, self._base = self._base, counts
        self._before, self._began = self._began, now

    def read(self, name: str, count: Count, now: float) -> Reading:
        """Return the traffic of a route with these counters."""
        lately = _between(self._base_before.get(name), count)
        seconds = max(now - self._before, 1.0)
        under_way = _window(_between(self._base.get(name), count))
        window = _window(lately)
        failure = _next(self._failures.get(name), under_way, count.first_error, now)
        return Reading(
            rate=window.requests / seconds,
            error_rate=window.errors / seconds,
            errors=dict(lately.errors.most_common()),
            mean=window.mean if window.answers else None,
            p99=_p99(lately.answers.counts),
            windows=(*self._windows.get(name, ()), under_way),
            failing_since=failure.since if failure is not None else None,
        )


def _next(failure: _Failure | None, window: Window, first_error: float | None, now: float) -> _Failure | None:
    """Return the failure that continues after this window, given the one before it."""
    if window.errors:
        since = failure.since if failure is not None else first_error
        return _Failure(since if since is not None else now, now)
    over = failure is None or (window.requests and now - failure.last > CALM)
    return None if over else failure


def _between(base: Count | None, count: Count) -> Count:
    """Return the difference of two counts; all of the later one if it is lower: then the counters were reset."""
    if base is None or base.requests > count.requests:
        return count
    places = map(sub, count.answers.counts, base.answers.counts)
    answers = Distribution(tuple(places), count.answers.total - base.answers.total)
    return Count(count.requests - base.requests, count.errors - base.errors, answers, count.first_error)


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
