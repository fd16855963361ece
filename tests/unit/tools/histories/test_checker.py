"""The checker of histories: it finds what breaks an invariant, and nothing in what an ideal fleet does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.histories.checker import excerpt, judge
from tests.histories.history import (
    Answered,
    Asked,
    Busted,
    CoolingDown,
    Cut,
    Deleted,
    Dropped,
    Event,
    Extended,
    Fetched,
    Fetching,
    Filling,
    Forged,
    Lost,
    Reported,
    Revoked,
    Selected,
    Sent,
    Waited,
    Wrote,
)


@dataclass
class Book:
    """Writes a history, with an event each hundredth of a second."""

    events: list[Event] = field(default_factory=list)
    now: float = 1000.0
    script: int = 0
    requests: int = 0
    fetches: int = 0

    def at(self) -> float:
        self.now += 0.01
        return self.now

    def step(self) -> int:
        self.script += 1
        return self.script

    def fetch(self, pod: int, token: str) -> None:
        """A pod takes the lease and fetches; the token server answers."""
        self.begin_fetch(pod)
        self.end_fetch(token)

    def begin_fetch(self, pod: int) -> None:
        self.fetches += 1
        self.lease(pod)
        self.events.append(Fetching(self.at(), self.fetches, pod, "a"))

    def end_fetch(self, token: str) -> None:
        self.events.append(Fetched(self.at(), self.fetches, token))

    def lease(self, pod: int) -> None:
        self.events.append(Wrote(self.at(), pod, self.step(), "a", "lease", f"owner-{pod}", 3.0))

    def fill(self, pod: int, token: str, *, rejected: bool = False) -> None:
        script = self.step()
        self.events.append(Filling(self.at(), pod, script, "a", token, 0))
        if rejected:
            self.events.append(Deleted(self.at(), pod, self.step(), "a", "lease"))
        else:
            self.events.append(Deleted(self.at(), pod, script, "a", "lease"))
            self.events.append(Wrote(self.at(), pod, script, "a", "value", token, 300.0))

    def bust(
        self, pod: int, token: str, *, generation: int = 0, probe: bool = False, stored: bool = True
    ) -> None:
        script, at = self.step(), self.at()
        moved = generation or int(at * 1000)
        self.events.append(Busted(at, pod, script, "a", token, moved, scripted=True))
        if stored:
            self.events.append(Deleted(self.at(), pod, script, "a", "value"))
        self.events.append(Wrote(self.at(), pod, script, "a", "gen", str(moved), 600.0))
        if probe:
            self.events.append(Wrote(self.at(), pod, script, "a", "cool", str(at + 30), 0.0, probing=True))

    def cool(self, seconds: float, pod: int = 1) -> None:
        at = self.at()
        self.events.append(Wrote(at, pod, self.step(), "a", "cool", f"{at + seconds:.3f}", 0.0))

    def ask(self, pod: int, *tokens: str, accepted: bool = True, status: int = 200) -> None:
        """A request, sent with these tokens; all but the last are refused."""
        self.requests += 1
        self.events.append(Asked(self.at(), self.requests, pod, "a"))
        for token in tokens:
            at = self.at()
            good = accepted and token == tokens[-1]
            self.events.append(Sent(at, self.requests, token, good, at - 0.001))
        self.events.append(Answered(self.at(), self.requests, status))

    def report(self, pod: int, failures: int = 0) -> None:
        since = self.at()
        self.events.append(Reported(self.at(), pod, since, failures))

    def lose(self) -> None:
        self.events.append(Lost(self.at()))


def stored(book: Book, token: str = "t1", pod: int = 1) -> None:
    book.fetch(pod, token)
    book.fill(pod, token)


def busted_again(book: Book) -> None:
    stored(book)
    book.bust(1, "t1")
    book.fill(2, "t1")


def late_fill(book: Book) -> None:
    stored(book)
    book.begin_fetch(1)
    book.bust(2, "t1")
    book.end_fetch("t2")
    book.fill(1, "t2")


def rejected_and_sent(book: Book) -> None:
    book.report(1)
    book.fetch(1, "t2")
    book.fill(1, "t2", rejected=True)
    book.ask(1, "t2")
    book.report(1)


def other_token_deleted(book: Book) -> None:
    stored(book, "t2")
    book.bust(1, "t1")


def lease_taken(book: Book) -> None:
    book.lease(1)
    book.lease(2)


def foreign_release(book: Book) -> None:
    book.lease(1)
    book.events.append(Deleted(book.at(), 2, book.step(), "a", "lease"))


def idle_lease(book: Book) -> None:
    book.report(1)
    book.fetch(1, "")
    book.report(1)


def older_successor(book: Book) -> None:
    stored(book, "t1")
    stored(book, "t2")
    book.ask(1, "t1", "t2")


def own_successor(book: Book) -> None:
    stored(book)
    book.ask(1, "t1", "t1")


def busted_and_sent(book: Book) -> None:
    stored(book)
    book.bust(1, "t1")
    book.report(2)
    book.ask(2, "t1")


def generation_falls(book: Book) -> None:
    book.bust(1, "t1", generation=20)
    book.lose()
    book.bust(1, "t2", generation=20)


def bust_in_window(book: Book) -> None:
    book.cool(2.0)
    book.bust(2, "t1")


def unshared(book: Book) -> None:
    book.report(1)
    book.events.append(CoolingDown(book.at(), 1, "a"))
    book.report(1)


def second_probe(book: Book) -> None:
    book.cool(0.0)
    book.bust(1, "t1", probe=True)
    book.bust(2, "t2")


def no_probe(book: Book) -> None:
    book.cool(0.0)
    book.bust(1, "t1")
    book.lease(1)


def busted_twice(book: Book) -> None:
    book.bust(1, "t1")
    book.bust(2, "t1")


def unsigned(book: Book) -> None:
    stored(book)
    book.events.append(Forged(book.at(), "a", "t1"))
    book.events.append(Dropped(book.at(), 1, "t1"))


def unanswered(book: Book) -> None:
    book.ask(1, status=-1)


def in_vain(book: Book) -> None:
    book.events.append(Waited(book.at(), "pod 1 to serve a"))


def selected_and_sent(book: Book) -> None:
    stored(book)
    begun = book.at()
    book.events.append(Selected(book.at(), "a", begun))
    book.report(2)
    book.ask(2, "t1")


BROKEN: Sequence[tuple[int, Callable[[Book], None]]] = [
    (1, busted_again),
    (1, late_fill),
    (1, rejected_and_sent),
    (2, other_token_deleted),
    (3, lease_taken),
    (3, foreign_release),
    (4, idle_lease),
    (5, older_successor),
    (5, own_successor),
    (6, busted_and_sent),
    (7, generation_falls),
    (8, bust_in_window),
    (8, unshared),
    (9, second_probe),
    (9, no_probe),
    (10, busted_twice),
    (11, unsigned),
    (12, in_vain),
    (13, selected_and_sent),
    (14, unanswered),
]


@pytest.mark.parametrize(
    ("invariant", "story"), BROKEN, ids=lambda each: getattr(each, "__name__", str(each))
)
def test_what_breaks_an_invariant_is_found(invariant: int, story: Callable[[Book], None]) -> None:
    """With its number, and the events that show it, in the order of time."""
    book = Book()
    story(book)
    found = judge(book.events)
    assert {each.invariant for each in found} == {invariant}
    proof = list(found[0].proof)
    assert proof == sorted(proof, key=lambda event: event.at)
    lines = excerpt(book.events, found[0])
    assert lines[0].startswith(f"invariant {invariant}: ")
    assert sum(line.startswith(">") for line in lines) == len(proof)


def lost_between(book: Book) -> None:
    busted = len(book.events)
    busted_again(book)
    book.events.insert(busted + 7, Lost(book.events[busted + 7].at - 0.001))


def failing(story: Callable[[Book], None]) -> Callable[[Book], None]:
    """The same, and meanwhile an operation of the pod failed: its reply proves nothing."""

    def changed(book: Book) -> None:
        story(book)
        last = book.events[-1]
        assert isinstance(last, Reported)
        book.events[-1] = replace(last, failures=1)

    changed.__name__ = f"failing_{story.__name__}"
    return changed


def cut(story: Callable[[Book], None]) -> Callable[[Book], None]:
    """The same, and meanwhile the pod lost its link."""

    def changed(book: Book) -> None:
        story(book)
        last = book.events.pop()
        book.events += [Cut(last.at - 0.011, 1), last]

    changed.__name__ = f"cut_{story.__name__}"
    return changed


def unreported(book: Book) -> None:
    stored(book)
    book.bust(1, "t1")
    book.ask(2, "t1")


def asked_before(book: Book) -> None:
    stored(book)
    book.requests = 1
    book.events.append(Asked(book.at(), 1, 2, "a"))
    book.bust(1, "t1")
    book.report(2)
    at = book.at()
    book.events.append(Sent(at, 1, "t1", accepted=False, arrived=at - 0.001))


def in_cool_down(book: Book) -> None:
    stored(book)
    book.bust(1, "t1")
    book.cool(2.0)
    book.report(2)
    book.ask(2, "t1", accepted=False)


def expired_lease(book: Book) -> None:
    book.lease(1)
    book.now += 3.0
    book.lease(2)


def kept_lease(book: Book) -> None:
    book.report(1)
    book.begin_fetch(1)
    book.events.append(Extended(book.at(), 1, book.step(), "a", 3.0))
    book.report(1)


def after_the_window(book: Book) -> None:
    book.cool(0.0)
    book.bust(1, "t1", probe=True)
    book.events.append(Deleted(book.at(), 1, book.step(), "a", "cool"))
    book.bust(2, "t2")


def counted_before(book: Book) -> None:
    """Another pod has counted the refused token; its cool-down is over, and Redis remembers it."""
    book.cool(0.0, pod=2)
    book.report(1)
    book.now += 5.0
    book.report(1)
    book.events.append(CoolingDown(book.at(), 1, "a"))
    book.report(1)


def probe_first(book: Book) -> None:
    """An earlier version writes the probe before it publishes the bust."""
    book.cool(0.0)
    book.bust(1, "t1", probe=True)
    *before, bust, deleted, moved, probe = book.events
    book.events = [*before, replace(probe, at=bust.at - 0.001), bust, deleted, moved]


def stored_again_and_busted(book: Book) -> None:
    book.bust(1, "t1")
    book.lose()
    book.bust(2, "t1")


def refused_and_dropped(book: Book) -> None:
    stored(book)
    book.events.append(Revoked(book.at(), "a"))
    book.ask(1, "t1", accepted=False)
    book.events.append(Dropped(book.at(), 2, "t1"))


@pytest.mark.parametrize(
    "story",
    [
        lost_between,
        failing(rejected_and_sent),
        failing(idle_lease),
        failing(unshared),
        cut(rejected_and_sent),
        cut(idle_lease),
        unreported,
        asked_before,
        in_cool_down,
        expired_lease,
        kept_lease,
        after_the_window,
        probe_first,
        counted_before,
        stored_again_and_busted,
        refused_and_dropped,
    ],
    ids=lambda story: story.__name__,
)
def test_what_the_page_does_not_promise_breaks_nothing(story: Callable[[Book], None]) -> None:
    """Its exceptions, what a pod cannot know yet, and replies that may have been lost."""
    book = Book()
    story(book)
    assert judge(book.events) == []


class IdealFleet:
    """Two pods that do each step at once, as the protocol demands."""

    def __init__(self) -> None:
        self.book = Book()
        self.tokens = 0
        self.memory = ["", "", ""]
        self.stored = ""
        self.busted = ""
        self.revoked: set[str] = set()

    def request(self, pod: int) -> None:
        token = self.memory[pod] or self.load(pod)
        if token not in self.revoked:
            self.book.ask(pod, token)
            return
        self.book.requests += 1
        number = self.book.requests
        self.book.events.append(Asked(self.book.at(), number, pod, "a"))
        at = self.book.at()
        self.book.events.append(Sent(at, number, token, accepted=False, arrived=at - 0.001))
        self.book.bust(pod, token, stored=self.stored == token)
        self.busted = token
        self.stored = ""  # what there is was fetched before the refused request
        self.memory = ["" if held == token else held for held in self.memory]
        successor = self.load(pod)
        at = self.book.at()
        self.book.events.append(Sent(at, number, successor, accepted=True, arrived=at - 0.001))
        self.book.events.append(Answered(self.book.at(), number, 200))

    def load(self, pod: int) -> str:
        if not self.stored:
            self.tokens += 1
            self.stored = f"t{self.tokens}"
            stored(self.book, self.stored, pod)
        self.memory[pod] = self.stored
        return self.stored

    def revoke(self, _: int) -> None:
        self.revoked = {f"t{number}" for number in range(1, self.tokens + 1)}
        self.book.events.append(Revoked(self.book.at(), "a"))

    def report(self, pod: int) -> None:
        self.book.report(pod)

    def flush(self, _: int) -> None:
        self.stored = ""
        self.book.lose()

    def restart(self, pod: int) -> None:
        self.memory[pod] = ""


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["request", "request", "revoke", "report", "flush", "restart"]), st.integers(1, 2)
    )
)


@given(STEPS)
def test_an_ideal_fleet_breaks_nothing(steps: Sequence[tuple[str, int]]) -> None:
    """Whatever its clients, its upstream and its Redis do."""
    fleet = IdealFleet()
    for name, pod in steps:
        getattr(fleet, name)(pod)
    assert judge(fleet.book.events) == []


@given(STEPS, st.data())
def test_a_busted_token_that_is_sent_again_is_found_in_any_history(
    steps: Sequence[tuple[str, int]], data: st.DataObject
) -> None:
    """At the end of any history, by any pod, if it has received the bust and Redis has kept its data."""
    fleet = IdealFleet()
    for name, pod in (*steps, ("request", 1), ("revoke", 1), ("request", 1)):
        getattr(fleet, name)(pod)
    pod = data.draw(st.integers(1, 2))
    fleet.book.report(pod)
    fleet.book.ask(pod, fleet.busted, accepted=False)
    assert {violation.invariant for violation in judge(fleet.book.events)} == {6}
