"""Add to lists in a text, and remove exactly what was added: existing text is never rewritten.

Added text can always be distinguished from the original, so that removing it restores the original:

- in block style a list with only our entries has a key of ours, which is removed too. A key that was there without a
  value keeps a `#` after it, which turns a null into a comment.
- in flow style a list we made has a space inside each bracket; in one that was empty there is none.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sidecar.kubernetes.pods import Entry, Pod, Refused
from sidecar.kubernetes.yaml_tree import Lines, Node

_KEPT_NULL = re.compile(r"([ \t]+)# (?=(?:~|null|Null|NULL)\s)")
_KEPT_NOTHING = re.compile(r" #(?=[ \t]*(?:#|[\r\n]))")


@dataclass(frozen=True)
class Edit:
    """Replace the text from `start` to `end` by `text`."""

    start: int
    end: int
    text: str


def applied(text: str, edits: Sequence[Edit]) -> str:
    """Make all changes, in their order if they meet; one that an alias shares between places is made once."""
    parts, done = [], 0
    for edit in sorted(dict.fromkeys(edits), key=lambda edit: edit.start):
        parts += [text[done : edit.start], edit.text]
        done = edit.end
    return "".join([*parts, text[done:]])


class _Indented(yaml.SafeDumper):
    """Lists are indented more than their keys."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


class Writer:
    """Make the edits of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = Lines(text)

    # Adding

    def add(self, pod: Pod, items: Mapping[str, Sequence[object]], last: str) -> Iterator[tuple[Node, Edit]]:
        """Add to lists of a pod, at their beginning, but to the `last` list at its end; yields each change."""
        for name, new in items.items():
            entry = pod.lists.get(name)
            if entry is None:
                continue
            if entry.meant.null:
                for edit in self._into_nothing(pod, entry, new):
                    yield entry.meant, edit
            elif entry.meant.flow:
                yield entry.meant, _into_flow(entry.meant, new, at_the_end=name == last)
            else:
                yield entry.meant, self._into_block(entry.meant, pod, new, at_the_end=name == last)
        missing = {name: new for name, new in items.items() if name not in pod.lists}
        if missing:
            yield pod.spec, self._new_keys(pod, missing)

    def _new_keys(self, pod: Pod, lists: Mapping[str, Sequence[object]]) -> Edit:
        """Insert new keys above the containers, and their comments, because text always follows there."""
        if pod.spec.flow:
            start = pod.spec.children[0].start
            keys = (f'"{name}": [ {_flow(items)} ], ' for name, items in lists.items())
            return Edit(start, start, "".join(keys))
        key = next(
            (key for key, _ in pod.spec.pairs() if key is pod.lists["containers"].key), pod.spec.children[0]
        )
        line = self.lines.start(key)
        if self.text[line : key.start].strip():
            raise Refused(f"{pod.path}: write its keys on lines of their own, without `?`")
        start = self.lines.above_comments(line, key.column)
        return Edit(start, start, self._block(lists, key.column, pod))

    def _into_nothing(self, pod: Pod, entry: Entry, items: Sequence[object]) -> Iterator[Edit]:
        value, key = entry.value, entry.key
        if pod.spec.flow:
            raise Refused(f"{pod.path}.{key.value}: it is null: remove it, or write []")
        if value.value:
            yield Edit(value.start, value.start, "# ")
        else:
            colon = self.text.index(":", key.end) + 1
            yield Edit(colon, colon, " #")
        column = key.column + (2 if self._indented(pod) else 0)
        yield self._line(self.lines.next(value.end), self._block(items, column, pod))

    def _into_block(self, list_: Node, pod: Pod, items: Sequence[object], *, at_the_end: bool) -> Edit:
        column = list_.inside - self.lines.start_at(list_.inside)
        lines = self._block(items, column, pod)
        if not at_the_end:
            start = self.lines.above_comments(self.lines.start_at(list_.inside), column)
            return Edit(start, start, lines)
        end = self.lines.behind(list_)
        if end == len(self.text) and not self._ends_with_break() and list_.ends_literally:
            raise Refused(
                f"{pod.path}: end the file with a line break; without it the last text would be changed"
            )
        return self._line(end, lines)

    def _line(self, start: int, lines: str) -> Edit:
        """Insert lines at the beginning of one, or after a text that does not end with a line break."""
        if start == len(self.text) and not self._ends_with_break():
            lines = self.lines.line_break + lines.removesuffix(self.lines.line_break)
        return Edit(start, start, lines)

    def _ends_with_break(self) -> bool:
        return self.lines.start_at(len(self.text)) == len(self.text)

    def _indented(self, pod: Pod) -> bool:
        """Return whether the lists of the pod's own containers are indented."""
        entry = pod.lists["containers"]
        if entry.meant.flow:
            return False
        return entry.meant.inside - self.lines.start_at(entry.meant.inside) > entry.key.column

    def _block(self, tree: object, column: int, pod: Pod) -> str:
        dumper = _Indented if self._indented(pod) else yaml.SafeDumper
        written = yaml.dump(tree, Dumper=dumper, sort_keys=False, default_flow_style=False, width=1000)
        return "".join(f"{' ' * column}{line}{self.lines.line_break}" for line in written.splitlines())

    # Removing

    def take(self, pod: Pod, name: str, ours: Sequence[Node]) -> Iterator[tuple[Node, Edit]]:
        """Remove entries from a list of a pod; yields each change."""
        entry = pod.lists[name]
        items = entry.meant.children
        marked = [item.meant in ours for item in items]
        if entry.meant.flow and all(marked):
            yield self._empty_flow(pod, entry)
        elif entry.meant.flow:
            for first, behind in _runs(marked):
                if behind < len(items):
                    yield entry.meant, Edit(items[first].start, items[behind].start, "")
                else:
                    yield entry.meant, Edit(items[first - 1].end, items[-1].end, "")
        elif all(marked):
            for edit in self._empty_block(pod, entry):
                yield entry.meant, edit
        else:
            for item in (item for item, mark in zip(items, marked, strict=True) if mark):
                yield entry.meant, self._without(self._first_line(entry.meant, item), item)

    def _empty_flow(self, pod: Pod, entry: Entry) -> tuple[Node, Edit]:
        items = entry.meant.children
        made = (
            self.text[entry.meant.inside : items[0].start]
            == " "
            == self.text[items[-1].end : entry.meant.end - 1]
        )
        behind = [key for key, _ in pod.spec.pairs() if key.start > entry.key.start]
        if pod.spec.flow and made and behind:
            return entry.meant, Edit(entry.key.start, behind[0].start, "")
        return entry.meant, Edit(items[0].start, items[-1].end, "")

    def _empty_block(self, pod: Pod, entry: Entry) -> Iterator[Edit]:
        if entry.value.target is not None:
            raise Refused(f"{pod.path}.{entry.key.value}: it is an alias of a list that would be empty")
        colon = self.text.index(":", entry.key.end) + 1
        first, last = entry.meant.children[0], entry.meant.children[-1]
        if kept := _KEPT_NULL.match(self.text, colon):
            yield Edit(kept.end(1), kept.end(), "")
        elif kept := _KEPT_NOTHING.match(self.text, colon):
            yield Edit(kept.start(), kept.end(), "")
        else:
            yield self._without(self.lines.start(entry.key), last)
            return
        yield self._without(self._first_line(entry.meant, first), last)

    def _first_line(self, list_: Node, item: Node) -> int:
        """Return the beginning of the line with the entry's dash."""
        column = list_.inside - self.lines.start_at(list_.inside)
        line = self.lines.start(item)
        while self.text[line + column : line + column + 1] != "-":
            line = self.lines.start_at(line - 1)
        return line

    def _without(self, start: int, last: Node) -> Edit:
        """Remove whole lines; at the end of a text without a line break, the break before them."""
        end = self.lines.behind(last)
        if end == len(self.text) and not self._ends_with_break():
            start -= len(self.lines.line_break)
        return Edit(start, end, "")


def _into_flow(list_: Node, items: Sequence[object], *, at_the_end: bool) -> Edit:
    if not list_.children:
        return Edit(list_.inside, list_.inside, _flow(items))
    start = list_.children[-1].end if at_the_end else list_.children[0].start
    return Edit(start, start, f", {_flow(items)}" if at_the_end else f"{_flow(items)}, ")


def _flow(items: Sequence[Any]) -> str:
    """Return the entries in flow style, for which JSON is valid YAML."""
    return ", ".join(map(json.dumps, items))


def _runs(marked: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Return the first of each run of marked ones, and the one after it."""
    for number, mark in enumerate(marked):
        if mark and not (number and marked[number - 1]):
            behind = number
            while behind < len(marked) and marked[behind]:
                behind += 1
            yield number, behind
