"""The checker: judges a history. It is a pure function, and uses nothing of the code that made the history."""

from collections.abc import Sequence

from tests.histories import pod_rules, redis_rules
from tests.histories.facts import Facts, Violation
from tests.histories.history import History

LINES = 25
"""Most lines of an excerpt."""


def judge(history: History) -> list[Violation]:
    """Return the violations, by the moment at which each is complete."""
    facts = Facts(history)
    found = [*redis_rules.judge(facts), *pod_rules.judge(facts)]
    return sorted(found, key=lambda violation: violation.proof[-1].at)


def excerpt(history: History, violation: Violation) -> Sequence[str]:
    """Return the violation with the events that show it, and between them those of the same key or token."""
    words = {
        getattr(event, name)
        for event in violation.proof
        for name in ("key", "token")
        if getattr(event, name, "")
    }
    begin, end = violation.proof[0].at, violation.proof[-1].at
    between = [
        event
        for event in history
        if event in violation.proof
        or (begin <= event.at <= end and {getattr(event, "key", ""), getattr(event, "token", "")} & words)
    ]
    shown = between if len(between) <= LINES else violation.proof
    marked = [f"{'>' if event in violation.proof else ' '} {event}" for event in shown]
    return [f"invariant {violation.invariant}: {violation.text}", *marked]
