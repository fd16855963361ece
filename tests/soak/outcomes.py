"""What became of each thing a client did, and whether a fault we injected explains it.

A trouble is explained by a rule only: it names the fault, the troubles that fault may cause, to whom, and for
how long after its end. What counts is the moment the trouble was noticed. Everything else is a failure.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

EXAMPLES = 20
"""Failures that are kept with their particulars."""

DOWN = "upstream restarted"
OUT = "token endpoint unavailable"
TOKENLESS = "token revoked while the endpoint is unavailable"
REVOKED = "token revoked"
RELOAD = "reload"
BAD_RELOAD = "reload of a bad file"
HELD_UP = "machine held up"
"""Not ours: the soak itself did not get to run for a while."""


@dataclass
class Fault:
    """Something injected; it has no end yet while it lasts. Seconds of the soak's clock."""

    kind: str
    began: float
    ended: float = math.inf


@dataclass(frozen=True)
class Outcome:
    """One thing a client did; `trouble` is "" when it went as expected, else a word or two."""

    kind: str
    request_id: str
    began: float
    ended: float
    trouble: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Rule:
    """What a fault may do to clients, within `grace` seconds of its end; no `kinds` means all kinds of load."""

    fault: str
    grace: float
    troubles: frozenset[str]
    kinds: frozenset[str] = frozenset()

    def explains(self, outcome: Outcome, fault: Fault) -> bool:
        """Return whether this fault, of this rule's kind, is why."""
        return (
            fault.kind == self.fault
            and fault.began <= outcome.ended <= fault.ended + self.grace
            and outcome.trouble in self.troubles
            and (not self.kinds or outcome.kind in self.kinds)
        )


RULES = (
    # An unavailable upstream cuts its exchanges; until it listens again no connection succeeds.
    Rule(DOWN, 1.0, frozenset({"502 destination_unavailable", "broken off"})),
    # A body over 64 KiB cannot be sent again: its client gets the refusal, and the next request the new token.
    Rule(REVOKED, 1.0, frozenset({"401"}), frozenset({"upload"})),
    # Renewal fails, so refusals are relayed; then there is no token. After an outage of a few seconds the authorization
    # server gets no request for at most 5 more.
    Rule(TOKENLESS, 6.0, frozenset({"401", "503 proxy_internal_response"})),
    # A client that has closed its half gets 5 seconds only, and the token may take longer.
    Rule(TOKENLESS, 1.0, frozenset({"broken off"}), frozenset({"half closed"})),
    # A token that is always refused is renewed again and again: an outage leaves that route without one.
    Rule(OUT, 6.0, frozenset({"503 proxy_internal_response"}), frozenset({"always refused"})),
    Rule(HELD_UP, 1.0, frozenset({"timed out", "no sample"})),
)


def explanation(outcome: Outcome, faults: Sequence[Fault]) -> str:
    """Name the fault that explains the trouble, "" when none does."""
    for rule in RULES:
        if any(rule.explains(outcome, fault) for fault in faults):
            return rule.fault
    return ""


@dataclass
class Tally:
    """Every outcome, counted."""

    faults: list[Fault] = field(default_factory=list)
    ok: Counter[str] = field(default_factory=Counter)
    """By kind of load."""
    explained: dict[str, Counter[str]] = field(default_factory=dict)
    """By kind of load, then by `fault: trouble`."""
    unexplained: Counter[str] = field(default_factory=Counter)
    examples: list[Outcome] = field(default_factory=list)

    def count(self, outcome: Outcome) -> bool:
        """Count one outcome; return whether it was as expected, or explained."""
        if not outcome.trouble:
            self.ok[outcome.kind] += 1
        elif fault := explanation(outcome, self.faults):
            counts = self.explained.setdefault(outcome.kind, Counter())
            counts[f"{fault}: {outcome.trouble}"] += 1
        else:
            self.unexplained[outcome.kind] += 1
            if len(self.examples) < EXAMPLES:
                self.examples.append(outcome)
            return False
        return True
