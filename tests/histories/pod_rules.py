"""Invariants of what pods do with what they know.

A pod knows what was published before it reported so. A rule that depends on replies of Redis counts only while Redis
answered the pod, as its own counters prove. So no rule depends on how busy the machine is.
"""

from collections.abc import Iterator
from math import inf

from tests.histories.facts import Facts, Violation
from tests.histories.history import (
    Answered,
    Busted,
    CoolingDown,
    Deleted,
    Dropped,
    Event,
    Extended,
    Fetched,
    Fetching,
    Filling,
    Reported,
    Selected,
    Sent,
    Waited,
    Wrote,
)

LOG = 0.002
"""Seconds by which the date of a log line may be rounded."""
REMEMBERED = 180.0
"""Seconds for which Redis may remember a cool-down. Late refusals of the token that began it open no other one."""


def judge(facts: Facts) -> Iterator[Violation]:
    """Yield the violations of the invariants 1, 4, 5, 6, 8, 11, 12, 13 and 14."""
    yield from _late_fills(facts)
    yield from _idle_leases(facts)
    yield from _successors(facts)
    yield from _busted_tokens(facts)
    yield from _unshared_cool_downs(facts)
    yield from _unsigned(facts)
    yield from _selected_tokens(facts)
    for event in facts.every(Waited):
        yield Violation(12, f"timed out waiting for {event.what}", (event,))
    for answer in facts.every(Answered):
        if answer.status < 0:
            asked = facts.asked[answer.request]
            yield Violation(14, "a request got no response in time", (asked, answer))


def _late_fills(facts: Facts) -> Iterator[Violation]:
    """1: a pod does not use a token that Redis rejected because of a bust."""
    stored = {(event.script, event.text) for event in facts.every(Wrote) if event.part == "value"}
    for fill in facts.every(Filling):
        if (fill.script, fill.token) in stored:
            continue
        for use in _uses(facts, fill.pod, fill.token, fill.at):
            if facts.is_sure(fill.pod, fill.at, use.at):
                yield Violation(1, f"Redis rejected {fill.token}, and its pod sends it", (fill, use))
                break


def _uses(facts: Facts, pod: int, token: str, since: float) -> Iterator[Sent]:
    for use in facts.every(Sent):
        if use.token == token and use.arrived > since and facts.asked[use.request].pod == pod:
            yield use


def _idle_leases(facts: Facts) -> Iterator[Violation]:
    """4: a pod that has no fetch under way has no lease."""
    leases: dict[str, tuple[Wrote, float]] = {}
    open_fetches: dict[int, Fetching] = {}
    ended: dict[tuple[int, str], Fetched] = {}
    for event in facts.history:
        match event:
            case Wrote(part="lease"):
                leases[event.key] = (event, event.at + event.life)
            case Extended():
                if event.key in leases:
                    leases[event.key] = (leases[event.key][0], event.at + event.life)
            case Deleted(part="lease"):
                leases.pop(event.key, None)
            case Fetching():
                open_fetches[event.fetch] = event
            case Fetched():
                fetch = open_fetches.pop(event.fetch)
                ended[fetch.pod, fetch.key] = event
            case Reported():
                busy = {(fetch.pod, fetch.key) for fetch in open_fetches.values()}
                for key, (taken, until) in leases.items():
                    end = ended.get((event.pod, key))
                    mine = taken.pod == event.pod and (event.pod, key) not in busy and event.at < until
                    ends = end is not None and taken.at < end.at < event.since
                    if mine and ends and end and facts.is_sure(event.pod, taken.at, event.since - LOG):
                        text = "a fetch has ended, and its lease has not"
                        yield Violation(4, text, (taken, end, event))
            case _:
                pass


def _successors(facts: Facts) -> Iterator[Violation]:
    """5: the fetch of a successor began after the first refused request with its predecessor."""
    since: dict[str, Event] = {}
    for sent in facts.every(Sent):
        asked = facts.asked[sent.request]
        if not sent.accepted and (sent.token not in since or asked.at < since[sent.token].at):
            since[sent.token] = asked
        before = [each for each in facts.sent[sent.request] if each.at < sent.at]
        fetch = facts.fetch_of.get(sent.token)
        if not before or fetch is None:
            continue
        first = since.get(before[-1].token)
        if before[-1].token == sent.token:
            yield Violation(5, f"{sent.token} succeeds itself", (before[-1], sent))
        elif first is not None and fetch.at < first.at:
            text = f"{sent.token} succeeds {before[-1].token}, and its fetch began before the refusal"
            yield Violation(5, text, (fetch, first, before[-1], sent))


def _busted_tokens(facts: Facts) -> Iterator[Violation]:
    """6: a pod that has received a bust does not send that token for a later request."""
    busts: dict[str, Busted] = {}
    for event in facts.every(Busted):
        busts.setdefault(event.token, event)
    for use in facts.every(Sent):
        bust = busts.get(use.token)
        if bust is None or bust.at > use.at:
            continue
        asked = facts.asked[use.request]
        report = facts.received(asked.pod, bust.at)
        if report is None or report.at >= asked.at:
            continue
        if facts.lost_data(bust.at, report.at) or facts.cooled(bust.key, bust.at, use.at):
            continue  # both are exceptions of the page
        text = f"pod {asked.pod} sends {use.token}, whose bust it has received"
        yield Violation(6, text, (bust, report, asked, use))


def _unshared_cool_downs(facts: Facts) -> Iterator[Violation]:
    """8: a cool-down of a pod is one of the fleet."""
    for cooling in facts.every(CoolingDown):
        report = facts.received(cooling.pod, cooling.at + LOG)
        if report is None or not facts.is_sure(cooling.pod, cooling.at - LOG, report.since - LOG):
            continue
        known = facts.cooled(cooling.key, cooling.at - REMEMBERED, report.at)
        if known or facts.lost_data(cooling.at - REMEMBERED, report.at):
            continue
        text = f"Redis has no cool-down of {cooling.key}, which pod {cooling.pod} began"
        yield Violation(8, text, (cooling, report))


def _unsigned(facts: Facts) -> Iterator[Violation]:
    """11: a pod drops only a token that the upstream has refused, because honest pods bust no other."""
    refused: dict[str, float] = {}
    for sent in facts.every(Sent):
        if not sent.accepted:
            refused.setdefault(sent.token, sent.at)
    for drop in facts.every(Dropped):
        if drop.token and drop.at + LOG < refused.get(drop.token, inf):
            yield Violation(11, f"pod {drop.pod} drops {drop.token}, which no upstream refused", (drop,))


def _selected_tokens(facts: Facts) -> Iterator[Violation]:
    """13: a pod that has received a bust by label sends no token that it selects."""
    issued = {event.token: event.at for event in facts.every(Fetched) if event.token}
    for select in facts.every(Selected):
        for use in facts.every(Sent):
            asked = facts.asked[use.request]
            if asked.key != select.key or asked.at < select.at or issued.get(use.token, inf) >= select.begun:
                continue
            report = facts.received(asked.pod, select.at)
            if report is not None and report.at < asked.at and not facts.lost_data(select.begun, report.at):
                text = f"pod {asked.pod} sends {use.token}, which a bust by label selects"
                yield Violation(13, text, (select, report, asked, use))
