"""Busts by labels: which tokens they select."""

from collections import OrderedDict
from collections.abc import Iterable
from itertools import product
from math import inf

from sidecar.core.labels import Labels

MAX_REMEMBERED = 100_000
"""Limit: busts by hand that are remembered (number). Beyond: tokens older than a forgotten bust are dropped."""
_BETWEEN = "\n"  # no value contains it, because it does not print


class Revocations:
    """Recent busts by labels: selectors, each with the moment up to which it revokes tokens. Bounded.

    A selector that is evicted for lack of room still has effect: every token fetched before its moment counts as
    revoked. That costs some unnecessary fetches, but never keeps a revoked token.

    A look-up takes no walk through 100,000 selectors. They come in a few shapes (which labels they name), and
    for each shape the token's own labels give those that could mean it: a dict look-up each.
    """

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        """Keep at most `limit` different selectors, the last ones."""
        self._limit = limit
        self._moments: OrderedDict[str, float] = OrderedDict()  # by text: a set is twice as large
        self._shapes: dict[tuple[str, ...], int] = {}
        self._floor = -inf

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, selector: Labels, at: float) -> None:
        """Revoke every token that carries these labels and whose fetch began by `at`."""
        pairs = sorted(selector)
        text = _text(pairs)
        last = self._moments.get(text)
        if last is None:
            shape = tuple(name for name, _ in pairs)
            self._shapes[shape] = self._shapes.get(shape, 0) + 1
        self._moments[text] = at if last is None else max(last, at)
        self._moments.move_to_end(text)
        if len(self._moments) > self._limit:
            self.raise_floor(self._drop_oldest())

    def raise_floor(self, at: float) -> None:
        """Revoke every token whose fetch began by `at`: selectors of that time may be missing here."""
        self._floor = max(self._floor, at)

    def forget(self, before: float) -> None:
        """Drop the selectors of moments before this: no token that old is left in any pod."""
        while self._moments and next(iter(self._moments.values())) < before:
            self._drop_oldest()

    def cover(self, labels: Labels, fetch_began: float) -> bool:
        """Return whether the token that carries these labels is revoked."""
        if fetch_began <= self._floor:
            return True
        if not self._moments:
            return False
        values: dict[str, list[str]] = {}
        for name, value in labels:
            values.setdefault(name, []).append(value)
        return any(
            fetch_began <= self._moments.get(_text(zip(shape, combination, strict=True)), -inf)
            for shape in self._shapes
            for combination in product(*(values.get(name, ()) for name in shape))
        )

    def _drop_oldest(self) -> float:
        text, at = self._moments.popitem(last=False)
        shape = tuple(pair.partition("=")[0] for pair in text.split(_BETWEEN) if pair)
        self._shapes[shape] -= 1
        if not self._shapes[shape]:
            del self._shapes[shape]
        return at


def _text(pairs: Iterable[tuple[str, str]]) -> str:
    return _BETWEEN.join(f"{name}={value}" for name, value in pairs)
