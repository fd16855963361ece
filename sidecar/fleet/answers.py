"""Answers of pods to a select: how many tokens each pod dropped.

    {"v":1,"kind":"dropped","pod":"ledger-7d9f6","dropped":2,"from":…,"mac":…}

`pod` is its name for people, `from` its id as a sender. Both are what the sender claims: any holder of one of the
fleet's keys can sign an answer in the name of any pod. The answers to one select are kept under a key that ends in its
id, and `mac` signs that key in place of a channel, so that none counts as the answer to another one. No message
requests them: pods of older versions do not answer, and are not affected.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.fleet.messages import Sign, Verify, count, name, read_signed, write_signed

MAX_SIZE = 512
"""Bytes of an answer."""
MOST_NAMED = 20
"""Pods that the summary names; it sums up the others."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """Effect of a select on this pod."""

    select: str
    """The select's id."""
    tokens: int
    """How many tokens, and credentials of secret stores, were dropped from memory."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Effect of a select on one pod."""

    sender: str
    """The pod's id as a sender; no two pods share it."""
    pod: str
    """The pod's name for people; pods on one machine may share it."""
    tokens: int
    """See Dropped."""


@dataclass(frozen=True, slots=True)
class SelectOutcome:
    """Result of a select."""

    pods: int
    """Number of pods that received it, this one included."""
    dropped: Mapping[str, int]
    """Number of tokens that each answering pod dropped, this one included."""
    collected: bool = True
    """Whether the other pods' answers were collected; they are not if too many busts run at once."""

    @property
    def unanswered(self) -> int:
        """Return the number of pods without an answer: not in time, not collected, or never in older versions."""
        return self.pods - len(self.dropped)

    @property
    def summary(self) -> str:
        """Return the summary for people: `2 of 3 pods answered: a dropped 2, b 0; 1 did not answer`."""
        if not self.collected:
            return f"{self.pods} pods received it: {self._numbers()}; {self._uncollected}"
        all_told = f"{len(self.dropped)} of {self.pods}" if self.unanswered else f"{self.pods}"
        missing = f"; {self.unanswered} did not answer" if self.unanswered else ""
        return f"{all_told} {'pod' if self.pods == 1 else 'pods'} answered: {self._numbers()}{missing}"

    @property
    def _uncollected(self) -> str:
        missing = (
            "the answer of the other pod was"
            if self.unanswered == 1
            else f"the answers of the other {self.unanswered} pods were"
        )
        return f"{missing} not collected, because too many busts ran at once"

    def _numbers(self) -> str:
        by_number = sorted(self.dropped, key=lambda pod: (-self.dropped[pod], pod))
        first, *more = sorted(by_number[:MOST_NAMED])
        numbers = [f"{first} dropped {self.dropped[first]}", *(f"{pod} {self.dropped[pod]}" for pod in more)]
        others = by_number[MOST_NAMED:]
        if others:
            numbers.append(f"{len(others)} more {sum(self.dropped[pod] for pod in others)}")
        return ", ".join(numbers)


def outcome(sent_to: int, *answers: Answer, collected: bool = True) -> SelectOutcome:
    """Return the result of a select that this number of pods received and that these, at least one, answered.

    `collected` is that of the SelectOutcome. Pods of the same name are distinguished by their ids as senders.
    """
    by_sender = {answer.sender: answer for answer in answers}
    of_name = Counter(answer.pod for answer in by_sender.values())
    dropped = {
        answer.pod if of_name[answer.pod] == 1 else f"{answer.pod} ({answer.sender})": answer.tokens
        for answer in by_sender.values()
    }
    return SelectOutcome(max(sent_to, len(dropped)), dropped, collected)


def encode(answer: Answer, *, key: str, sign: Sign) -> bytes:
    """Encode the answer that is kept under this key."""
    members = {"v": 1, "kind": "dropped", "pod": answer.pod, "dropped": answer.tokens, "from": answer.sender}
    return write_signed(members, place=key, sign=sign)


def read(payload: bytes, *, key: str, verify: Verify) -> Answer | None:
    """Decode an answer that was kept under this key; None for anything else."""
    members = read_signed(payload, place=key, verify=verify) if len(payload) <= MAX_SIZE else None
    if members is None or members.get("v") != 1 or members.get("kind") != "dropped":
        return None
    sender, pod, tokens = name(members.get("from")), name(members.get("pod")), count(members.get("dropped"))
    if sender is None or pod is None or tokens is None:
        return None
    return Answer(sender, pod, tokens)
