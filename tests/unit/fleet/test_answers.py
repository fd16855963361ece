"""Answers to a select: which count, and what is made of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.fleet.answers import MAX_SIZE, MOST_NAMED, Answer, SelectOutcome, encode, outcome, read
from sidecar.fleet.seal import AesSeal, NoSeal
from sidecar.system.clock import SystemRandomness

KEY = "blue:m2m:dropped:0f"
SEAL = AesSeal([("k1", bytes(32))], SystemRandomness())
OLD_KEY = AesSeal([("k0", bytes([7] * 32))], SystemRandomness())
BOTH = AesSeal([("k1", bytes(32)), ("k0", bytes([7] * 32))], SystemRandomness())
ANSWER = Answer("0a1b2c3d", "ledger-7d9f6", 2)
GOOD = {"v": 1, "kind": "dropped", "pod": "a", "dropped": 2, "from": "0a"}


def unsigned(**changes: object) -> bytes:
    """An answer among pods without keys."""
    return json.dumps({**GOOD, **changes}, separators=(",", ":")).encode()


def test_o8_an_answer_comes_back_as_it_was() -> None:
    """Signed by any of the keys, and without keys; it is far smaller than the limit."""
    for seal, reader in ((SEAL, SEAL), (OLD_KEY, BOTH), (NoSeal(), NoSeal())):
        written = encode(ANSWER, key=KEY, sign=seal.sign)
        assert read(written, key=KEY, verify=reader.verify) == ANSWER
    longest = Answer("s" * 64, "p" * 64, 2**53 - 1)
    assert len(encode(longest, key=KEY, sign=SEAL.sign)) < MAX_SIZE
    assert read(unsigned(), key=KEY, verify=NoSeal().verify) == Answer("0a", "a", 2)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"v":1',
        b"[" * 400,
        unsigned(v=2),
        unsigned(v="1"),
        unsigned(kind="select"),
        unsigned(kind=["dropped"]),
        unsigned(pod=""),
        unsigned(pod="a b"),
        unsigned(pod="\x1b[2J"),
        unsigned(pod="x" * 65),
        unsigned(pod=None),
        unsigned(dropped=-1),
        unsigned(dropped=2**53),
        unsigned(dropped=1.5),
        unsigned(dropped=True),
        unsigned(dropped="2"),
        unsigned(**{"from": "a:b"}),
        unsigned(**{"from": 7}),
        unsigned(more="x" * MAX_SIZE),
    ],
)
def test_o8_what_is_no_answer_does_not_count(payload: bytes) -> None:
    """Not even where messages are not signed."""
    assert read(payload, key=KEY, verify=NoSeal().verify) is None


def test_o8_an_answer_counts_for_its_select_and_its_fleet_alone() -> None:
    """Moved to another key, signed by another sender, not at all or altered, it does not count."""
    written = encode(ANSWER, key=KEY, sign=SEAL.sign)
    assert read(written, key="blue:m2m:dropped:1e", verify=SEAL.verify) is None
    assert read(written, key="m2m:dropped:0f", verify=SEAL.verify) is None
    assert read(written, key=KEY, verify=OLD_KEY.verify) is None
    assert read(written.replace(b":2,", b":3,"), key=KEY, verify=SEAL.verify) is None
    assert read(encode(ANSWER, key=KEY, sign=NoSeal().sign), key=KEY, verify=SEAL.verify) is None
    assert read(written, key=KEY, verify=NoSeal().verify) is None


@pytest.mark.parametrize(
    ("sent_to", "answers", "expected", "summary"),
    [
        (1, [("1", "a", 2)], SelectOutcome(1, {"a": 2}), "1 pod answered: a dropped 2"),
        (1, [("1", "a", 0)], SelectOutcome(1, {"a": 0}), "1 pod answered: a dropped 0"),
        (
            3,
            [("1", "c", 1), ("2", "a", 2), ("3", "b", 0)],
            SelectOutcome(3, {"a": 2, "b": 0, "c": 1}),
            "3 pods answered: a dropped 2, b 0, c 1",
        ),
        (
            4,
            [("1", "a", 2), ("2", "b", 0), ("3", "c", 1)],
            SelectOutcome(4, {"a": 2, "b": 0, "c": 1}),
            "3 of 4 pods answered: a dropped 2, b 0, c 1; 1 did not answer",
        ),
        (
            3,
            [("1", "a", 1)],
            SelectOutcome(3, {"a": 1}),
            "1 of 3 pods answered: a dropped 1; 2 did not answer",
        ),
        (
            3,
            [("1", "a", 1), ("2", "a", 2), ("3", "b", 3)],
            SelectOutcome(3, {"a (1)": 1, "a (2)": 2, "b": 3}),
            "3 pods answered: a (1) dropped 1, a (2) 2, b 3",
        ),
        (
            1,
            [("1", "a", 1), ("2", "b", 2)],
            SelectOutcome(2, {"a": 1, "b": 2}),
            "2 pods answered: a dropped 1, b 2",
        ),
    ],
    ids=["alone", "alone, nothing", "all", "one missing", "most missing", "one name", "one came since"],
)
def test_o8_an_outcome_names_each_pod(
    sent_to: int, answers: list[tuple[str, str, int]], expected: SelectOutcome, summary: str
) -> None:
    """Pods that share a name are distinguished, and those without an answer counted."""
    made = outcome(sent_to, *(Answer(*each) for each in answers))
    assert made == expected
    assert made.summary == summary


@pytest.mark.parametrize(
    ("sent_to", "missing"),
    [
        (4, "the answers of the other 3 pods were"),
        (3, "the answers of the other 2 pods were"),
        (2, "the answer of the other pod was"),
    ],
)
def test_o8_answers_that_were_not_collected_are_no_missing_answers(sent_to: int, missing: str) -> None:
    """In words; they are counted as unanswered."""
    made = outcome(sent_to, Answer("1", "a", 2), collected=False)
    assert (made.dropped, made.unanswered) == ({"a": 2}, sent_to - 1)
    assert made.summary == (
        f"{sent_to} pods received it: a dropped 2; {missing} not collected, because too many busts ran at once"
    )


def test_o8_the_summary_of_a_thousand_pods_is_short() -> None:
    """It names the pods that dropped most, and adds up the others; the numbers themselves are all there."""
    answers = [Answer(f"{number}", f"pod-{number:04}", number % 7) for number in range(1000)]
    made = outcome(1002, *answers)
    named = [f"pod-{number:04}" for number in range(1000) if number % 7 == 6][:MOST_NAMED]
    numbers = ", ".join(f"{pod} 6" for pod in named[1:])
    others = sum(number % 7 for number in range(1000)) - 6 * MOST_NAMED
    assert made.summary == (
        f"1000 of 1002 pods answered: {named[0]} dropped 6, {numbers}, 980 more {others}; 2 did not answer"
    )
    assert len(made.dropped) == 1000


@given(st.lists(st.tuples(st.sampled_from("123456"), st.sampled_from("ab"), st.integers(0, 3)), min_size=1))
def test_o8_no_pod_is_lost_or_counted_twice(answers: list[tuple[str, str, int]]) -> None:
    """Whatever they call themselves."""
    made = outcome(3, *(Answer(*each) for each in answers))
    assert len(made.dropped) == len({sender for sender, _, _ in answers})
    assert made.pods == max(3, len(made.dropped))
    assert made.unanswered >= 0
