"""The bounded table."""

from collections import OrderedDict

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.memory import Lru

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
