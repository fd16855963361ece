"""Invariants of what Redis executes: its commands are replayed in its own order. Nothing here depends on a delay."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from tests.histories.facts import Facts, Violation
from tests.histories.history import Busted, Deleted, Event, Extended, Lost, Redis, Wrote

FORGOTTEN = 100.0
"""Seconds after a cool-down for which Redis remembers it; a little less."""
MARGIN = 0.25
"""Seconds before its end from which a lease may already have expired: its life began a little before its record."""


@dataclass(slots=True)
class Held:
    """A lease that Redis gave, and when it expires."""

    taken: Wrote
    until: float


@dataclass(slots=True)
class Key:
    """The state of one key in Redis."""

    value: Wrote | None = None
    lease: Held | None = None
    cool: Wrote | None = None
    cool_before: Wrote | None = None
    """The cool-down before the one in force: what it was before the script that began that one."""
    busts: list[Busted] = field(default_factory=list)
    """Since Redis last lost its data."""
    due: tuple[Wrote, Busted] | None = None
    """The first bust after a cool-down, until it has begun a probe."""


class Replay:
    """Redis as a history describes it."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._keys: dict[str, Key] = defaultdict(Key)
        self._highest: dict[str, Wrote] = {}
        """The write of the highest generation of each key, ever."""

    def violations(self) -> Iterator[Violation]:
        """Yield what breaks an invariant."""
        for event in self._facts.history:
            if isinstance(event, Redis):
                yield from self._probed(event, self._keys[event.key])
            match event:
                case Lost():
                    self._keys.clear()
                case Wrote(part="value"):
                    yield from self._stored(event, self._keys[event.key])
                case Wrote(part="gen"):
                    yield from self._moved(event)
                case Wrote(part="lease"):
                    yield from self._leased(event, self._keys[event.key])
                case Wrote(part="cool"):
                    key = self._keys[event.key]
                    key.cool_before, key.cool = key.cool, event
                case Busted(scripted=True):
                    yield from self._bust(event, self._keys[event.key])
                case Deleted():
                    yield from self._deleted(event, self._keys[event.key])
                case Extended():
                    self._extended(event, self._keys[event.key].lease)
                case _:
                    pass

    def _stored(self, event: Wrote, key: Key) -> Iterator[Violation]:
        fetch = self._facts.fetch_of.get(event.text)
        for bust in key.busts:
            if bust.token == event.text:
                yield Violation(1, f"{event.text} was bust, and is stored again", (bust, event))
            elif fetch is not None and fetch.at < bust.at:
                text = f"{event.text} is stored, and a bust came during its fetch"
                yield Violation(1, text, (fetch, bust, event))
        key.value = event

    def _moved(self, event: Wrote) -> Iterator[Violation]:
        last = self._highest.get(event.key)
        if last is not None and int(event.text) <= int(last.text):
            yield Violation(7, f"the generation goes from {last.text} to {event.text}", (last, event))
        else:
            self._highest[event.key] = event

    def _leased(self, event: Wrote, key: Key) -> Iterator[Violation]:
        lease = key.lease
        if lease is not None and lease.taken.text != event.text and event.at < lease.until - MARGIN:
            yield Violation(3, "a pod takes the lease that another one has", (lease.taken, event))
        key.lease = Held(event, event.at + event.life)

    def _extended(self, event: Extended, lease: Held | None) -> None:
        if lease is not None:
            lease.until = event.at + event.life

    def _bust(self, event: Busted, key: Key) -> Iterator[Violation]:
        probes = key.cool is not None and key.cool.script == event.script
        cool = key.cool_before if probes else key.cool
        if cool is not None and event.at < float(cool.text):
            number, text = (9, "a probe") if cool.probing else (8, "a cool-down")
            yield Violation(number, f"{event.token} is bust in {text}", (cool, event))
        elif cool is not None and not probes and event.at < float(cool.text) + FORGOTTEN:
            key.due = (cool, event)
        last = key.busts[-1] if key.busts else None
        if last is not None and last.token == event.token != self._stored_in(key, event.at):
            yield Violation(10, f"{event.token} is bust twice", (last, event))
        key.busts.append(event)

    def _probed(self, event: Redis, key: Key) -> Iterator[Violation]:
        """The script that busts after a cool-down begins a probe, so that the next bust waits for its result."""
        if key.due is None:
            return
        cool, bust = key.due
        if event.script != bust.script:
            key.due = None
            yield Violation(
                9, f"{bust.token} is bust after a cool-down, without a probe", (cool, bust, event)
            )
        elif isinstance(event, Wrote) and event.part == "cool":
            key.due = None

    def _deleted(self, event: Deleted, key: Key) -> Iterator[Violation]:
        match event.part:
            case "value":
                bust = key.busts[-1] if key.busts else None
                stored = self._stored_in(key, event.at)
                by_bust = bust is not None and bust.script == event.script
                if by_bust and bust is not None and stored not in ("", bust.token):
                    proof: tuple[Event, ...] = (key.value, bust, event) if key.value else (bust, event)
                    yield Violation(2, f"the bust of {bust.token} deletes {stored}", proof)
                key.value = None
            case "lease":
                lease = key.lease
                if lease is not None and lease.taken.pod != event.pod and event.at < lease.until - MARGIN:
                    text = "a pod releases the lease of another one"
                    yield Violation(3, text, (lease.taken, event))
                key.lease = None
            case "cool":
                key.cool = None
            case _:
                pass

    @staticmethod
    def _stored_in(key: Key, at: float) -> str:
        """Return the name of the stored token; "" if there is none, or it has expired."""
        value = key.value
        life = inf if value is None or not value.life else value.life
        return value.text if value is not None and at < value.at + life else ""


def judge(facts: Facts) -> Iterator[Violation]:
    """Yield the violations of the invariants 1, 2, 3, 7, 8, 9 and 10."""
    return Replay(facts).violations()
