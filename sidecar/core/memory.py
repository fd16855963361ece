"""The first cache level, tokens in this process; and the bounded table that everything kept per key uses."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from sidecar.core.token import Token, TokenRequest

V = TypeVar("V")


class Lru(Generic[V]):
    """At most `limit` values by key; the one used longest ago makes room."""

    __slots__ = ("_limit", "_values")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[str, V] = OrderedDict()

    def get(self, key: str) -> V | None:
        """Return the value and count that as use. Hot path: ≤ 0.3 µs."""
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def look(self, key: str) -> V | None:
        """Return the value without counting that as use."""
        return self._values.get(key)

    def put(self, key: str, value: V) -> None:
        """Set the value as the one used last."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)

    def pop(self, key: str) -> V | None:
        """Remove and return the value."""
        return self._values.pop(key, None)

    def __iter__(self) -> Iterator[V]:
        """Values, the one used longest ago first."""
        return iter(tuple(self._values.values()))

    def __reversed__(self) -> Iterator[V]:
        """Values, the one used last first."""
        return reversed(tuple(self._values.values()))

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True)
class Held:
    """A token in memory."""

    request: TokenRequest
    token: Token
    until: float
    """When the store is to be asked again, while there is one."""
    carefree_until: float
    """Before this nothing needs a second look: neither `until` has come nor does the token age."""


def hold(request: TokenRequest, token: Token, until: float) -> Held:
    """Make the entry that keeps `token` and looks again at `until`."""
    return Held(request, token, until, min(until, token.fresh_until))
