"""Each fuzz target on what it begins with, on the inputs that are kept, and on their neighbours; without atheris."""

from random import Random

import pytest

from tests.fuzz.corpus import kept
from tests.fuzz.target import JUDGED, Target, cuts, load

NEIGHBOURS = 100


def neighbours(target: Target, chance: Random) -> list[bytes]:
    """Inputs that differ in a place or two from what the target begins with, the same ones in every run."""
    found = []
    for _ in range(NEIGHBOURS):
        data = bytearray(chance.choice(target.seeds))
        for _ in range(chance.randint(1, 2)):
            at = chance.randint(0, len(data))
            match chance.randrange(3):
                case 0:
                    data[at:at] = chance.choice(target.words)
                case 1:
                    del data[at : at + chance.randint(1, 8)]
                case _:
                    data[at : at + 1] = bytes((chance.randrange(256),))
        found.append(bytes(data))
    return found


@pytest.mark.parametrize("name", JUDGED)
def test_the_oracles_hold(name: str) -> None:
    """For inputs to begin with, those that runs of the fuzzer have found, and some near them."""
    target = load(name)
    assert target.seeds
    for data in (b"", *target.seeds, *kept(name), *neighbours(target, Random(name))):
        target.check(data)


def test_all_cuts_hold_the_same_bytes() -> None:
    """In order, and no piece is empty: a connection hands on none."""
    data = bytes(range(100))
    for pieces in cuts(data):
        assert b"".join(pieces) == data
        assert all(pieces)
    assert [pieces for pieces in cuts(b"") if pieces] == []
