"""The line on which each value of the file is written.

A `Place` mirrors a value: a line, and for a mapping or list also the places inside it. An alias and a merge key lead to
the lines of what they repeat, because that is where a fault has to be corrected.
"""

import re
from collections.abc import Iterable

LONGEST_KEY = 64
"""Characters of a key that a path shows."""

Inside = dict[str, "Place"] | list["Place"]
"""By key as paths write it, or by index."""
Place = int | tuple[int, Inside]
"""The line of a value; with the places inside it where it is a mapping or a list."""

_INDEX = re.compile(r"\[(\d+)\]")
_WORD_END = re.compile(r"[^\w.-]")
"""Where a path ends that shows only the beginning of a key."""
_END_OF_KEY = re.compile(r"[.\[]|$")


def join(path: str, key: object) -> str:
    """Return the path of the value at a key."""
    shown = str(key)[:LONGEST_KEY]
    return f"{path}.{shown}" if path else shown


def line_of(place: Place, path: str) -> int:
    """Return the line of the value at this path, or of the innermost mapping or list that would hold it."""
    line, inside = place if isinstance(place, tuple) else (place, None)
    if not path or not inside:
        return line
    if isinstance(inside, list):
        index = _INDEX.match(path)
        if index is None or int(index[1]) >= len(inside):
            return line
        return line_of(inside[int(index[1])], path[index.end() :].removeprefix("."))
    for end in reversed([match.start() for match in _END_OF_KEY.finditer(path)]):  # a key may have dots in it
        if path[:end] in inside:
            return line_of(inside[path[:end]], path[end:].removeprefix("."))
    longer = (
        place for key, place in inside.items() if key.startswith(path) and _WORD_END.match(key, len(path))
    )
    found = next(longer, line)
    return found[0] if isinstance(found, tuple) else found


class Faulty:
    """The paths of faults, for rules that would only report their consequences."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._at = frozenset(paths)
        self._around = {path[: end.start()] for path in self._at for end in _END_OF_KEY.finditer(path)}

    def at(self, *paths: str) -> bool:
        """Return whether there is a fault at one of these paths itself."""
        return not self._at.isdisjoint(paths)

    def within(self, *paths: str) -> bool:
        """Return whether there is a fault at one of these paths, or inside it."""
        return not self._around.isdisjoint(paths)
