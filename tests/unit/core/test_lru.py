"""The bounded table."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from sidecar.cache.token_memory import LEAST_BYTES, HeldToken, memory
from sidecar.core.lru import Lru
from sidecar.core.secret import Secret
from sidecar.oauth.token import TokenRequest, bearer

KEYS = st.sampled_from("abcdef")


@given(st.lists(st.tuples(st.sampled_from(["get", "put", "pop"]), KEYS)), st.integers(1, 4))
def test_the_one_used_longest_ago_makes_room(steps: list[tuple[str, str]], limit: int) -> None:
    """Held to a plain model: never above the limit, never the wrong one out."""
    lru: Lru[int] = Lru(limit)
    model: OrderedDict[str, int] = OrderedDict()
    for number, (step, key) in enumerate(steps):
        if step == "put":
            lru.put(key, number)
            model.pop(key, None)
            model[key] = number
            while len(model) > limit:
                del model[next(iter(model))]
        elif step == "get":
            assert lru.get(key) == model.get(key)
            if key in model:
                model.move_to_end(key)
        else:
            assert lru.pop(key) == model.pop(key, None)
        assert list(lru) == list(model.values())
        assert len(lru) <= limit


@given(st.lists(st.tuples(st.sampled_from(["put", "pop"]), KEYS, st.integers(0, 9))), st.integers(0, 20))
def test_what_weighs_too_much_together_makes_room(steps: list[tuple[str, str, int]], most: int) -> None:
    """The oldest go until the rest is light enough; the one put last stays, whatever it weighs."""
    lru: Lru[int] = Lru(4, most=most, weigh=lambda value: value)
    model: OrderedDict[str, int] = OrderedDict()
    for step, key, value in steps:
        model.pop(key, None)
        if step == "put":
            lru.put(key, value)
            model[key] = value
            while len(model) > 4 or (sum(model.values()) > most and len(model) > 1):
                del model[next(iter(model))]
        else:
            lru.pop(key)
        assert list(lru) == list(model.values())


def test_b84_memory_is_bounded_in_bytes_and_in_entries() -> None:
    """Ordinary tokens by their number, large ones before; a higher limit of entries raises that of bytes."""

    def kept(size: int, entries: int, count: int) -> int:
        table = memory(entries)
        token = bearer(Secret("x" * size), fetch_began=0.0, life=60, leeway=6)
        for number in range(count):
            table.put(str(number), HeldToken(TokenRequest("t", "c", "c"), token, 0.0, 0.0, 0.0))
        return len(table)

    assert kept(700, 1000, 2000) == 1000
    assert 70 <= kept(64_000, 1000, 2000) <= LEAST_BYTES // 128_000
    assert kept(64_000, 40_000, 2000) > 300
