"""What a history states, in the form in which the rules look it up."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from tests.histories.history import (
    Asked,
    Cut,
    Deleted,
    Event,
    Fetched,
    Fetching,
    History,
    Left,
    Lost,
    Reported,
    Sent,
    Wrote,
)

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, with the events that show it."""

    invariant: int
    text: str
    proof: Sequence[Event]

    def __str__(self) -> str:
        return "\n".join((f"invariant {self.invariant}: {self.text}", *map(str, self.proof)))


@dataclass(frozen=True, slots=True)
class Window:
    """A cool-down of a key, as Redis kept it."""

    begin: float
    end: float


class Facts:
    """Look-ups in one history."""

    def __init__(self, history: History) -> None:
        self.history = history

    def every(self, kind: type[E]) -> list[E]:
        """Return the events of that kind, in order."""
        return [event for event in self.history if isinstance(event, kind)]

    @cached_property
    def asked(self) -> dict[int, Asked]:
        """Return the requests, by their number."""
        return {event.request: event for event in self.every(Asked)}

    @cached_property
    def sent(self) -> dict[int, list[Sent]]:
        """Return what reached the upstream, by the request's number."""
        found = defaultdict(list)
        for event in self.every(Sent):
            found[event.request].append(event)
        return found

    @cached_property
    def fetching(self) -> dict[int, Fetching]:
        """Return the fetches, by their number."""
        return {event.fetch: event for event in self.every(Fetching)}

    @cached_property
    def fetch_of(self) -> dict[str, Fetching]:
        """Return the fetch that each token comes from."""
        return {
            event.token: self.fetching[event.fetch]
            for event in self.every(Fetched)
            if event.token and event.fetch in self.fetching
        }

    @cached_property
    def _reports(self) -> dict[int, list[Reported]]:
        found = defaultdict(list)
        for event in self.every(Reported):
            found[event.pod].append(event)
        return found

    def received(self, pod: int, since: float) -> Reported | None:
        """Return the first report that the pod has received what was published until `since`."""
        return next((each for each in self._reports.get(pod, ()) if each.since > since), None)

    def is_sure(self, pod: int, begin: float, end: float) -> bool:
        """Return whether reports before and after that time prove that Redis answered the pod throughout."""
        reports = self._reports.get(pod, [])
        before = [each for each in reports if each.at < begin]
        after = [each for each in reports if each.since > end]
        if not before or not after or before[-1].failures != after[0].failures:
            return False
        return not self._between(self._cuts, before[-1].at, after[0].at, pod)

    def lost_data(self, begin: float, end: float) -> bool:
        """Return whether Redis lost its data in that time."""
        return any(begin <= each.at <= end for each in self._losses)

    @cached_property
    def _losses(self) -> list[Lost]:
        return self.every(Lost)

    def cooled(self, key: str, begin: float, end: float) -> bool:
        """Return whether a cool-down of the key was in force in Redis at any moment of that time."""
        return any(each.begin <= end and each.end >= begin for each in self._windows.get(key, ()))

    @cached_property
    def _windows(self) -> dict[str, list[Window]]:
        found: dict[str, list[Window]] = defaultdict(list)
        for event in self.history:
            match event:
                case Wrote(part="cool", key=key, text=ends):
                    found[key].append(Window(event.at, float(ends)))
                case Deleted(part="cool", key=key) if found[key]:
                    last = found[key].pop()
                    found[key].append(Window(last.begin, min(last.end, event.at)))
                case _:
                    pass
        return found

    @cached_property
    def _cuts(self) -> dict[int, list[float]]:
        found: dict[int, list[float]] = defaultdict(list)
        for event in self.history:
            if isinstance(event, Cut | Left):
                found[event.pod].append(event.at)
        return found

    @staticmethod
    def _between(moments: dict[int, list[float]], begin: float, end: float, pod: int) -> bool:
        of_pod = moments.get(pod, [])
        place = bisect_left(of_pod, begin)
        return place < len(of_pod) and of_pod[place] <= end
