"""YAML as a tree of nodes with their positions in the text; aliases are resolved, nothing else is."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

import yaml

Kind = Literal["mapping", "sequence", "scalar", "alias"]

_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line in YAML 1.1."""
_TABS = re.compile(r"(?<=\S)[ \t]*\t[ \t]*")
"""Those not allowed before a line's first character, where they would have to be refused."""
MAX_DEPTH = 200
"""Greatest depth of nested collections."""
_LONGEST_KEY = 1024
"""Characters of a key without `?` (YAML 1.1 section 9.1.2)."""
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True, eq=False)
class Node:
    """One node where it is written; an alias stands for its `target`, which is written elsewhere."""

    kind: Kind
    start: int
    """Position of its tag, anchor or first character."""
    inside: int
    """Position where a collection's first entry, or its closing bracket, may begin."""
    end: int
    """Position after its last character, comments not counted."""
    column: int
    """Column of `start`."""
    flow: bool = False
    literal: bool = False
    """A block scalar, which includes the line breaks after it."""
    value: str = ""
    children: list["Node"] = field(default_factory=list)
    """A sequence's entries; a mapping's keys and values in turns."""
    target: "Node | None" = None
    parents: list["Node"] = field(default_factory=list)
    """Its collection, and those with an alias of it."""
    _places: int = 0

    @property
    def meant(self) -> "Node":
        """Return the node, or the target of the alias."""
        return self.target or self

    @property
    def null(self) -> bool:
        """Return whether it is empty, or a plain null."""
        return self.kind == "scalar" and self.value in _NULLS and self.end - self.start == len(self.value)

    @property
    def places(self) -> int:
        """Return how often it appears in its document, by its own text and by aliases of it or of its collections."""
        if not self._places:
            self._places = sum(parent.places for parent in self.parents) or 1
        return self._places

    @property
    def ends_literally(self) -> bool:
        """Return whether a block scalar ends it: a line break after it is the scalar's own."""
        return self.children[-1].ends_literally if self.children else self.literal

    def pairs(self) -> Iterator[tuple["Node", "Node"]]:
        """Return a mapping's keys and values."""
        return zip(self.children[::2], self.children[1::2], strict=True)


class Scanner(yaml.SafeLoader):
    """PyYAML's, but for its time, which grows with the square of the depth.

    With each token PyYAML's checks everything that may turn out to be a key, one for each level. These are in the order
    of the text, so the first one decides for the others.
    """

    def stale_possible_simple_keys(self) -> None:
        """Forget a candidate that can no longer be a key, because it is in another line, or too long."""
        while self.possible_simple_keys:
            level, key = next(iter(self.possible_simple_keys.items()))
            if key.line == self.line and self.index - key.index <= _LONGEST_KEY:
                return
            if key.required:
                super().stale_possible_simple_keys()  # raises
            del self.possible_simple_keys[level]

    def next_possible_simple_key(self) -> int | None:
        """Return the number of the first token that may be a key."""
        return next((key.token_number for key in self.possible_simple_keys.values()), None)


def documents(text: str) -> list[Node | None]:
    """Return the root of each document, None for an empty one. Raises yaml.YAMLError and ValueError."""
    roots: list[Node | None] = []
    open_nodes: list[Node] = []
    anchors: dict[str, Node] = {}
    for event in yaml.parse(_spaced(text), Loader=Scanner):
        if isinstance(event, yaml.DocumentStartEvent):
            roots.append(None)
            anchors.clear()
        elif isinstance(event, yaml.CollectionEndEvent):
            _close(open_nodes.pop(), event)
        elif isinstance(event, yaml.NodeEvent):
            node = _node(event, anchors, text)
            if open_nodes:
                open_nodes[-1].children.append(node)
                node.meant.parents.append(open_nodes[-1])
            else:
                roots[-1] = node
            if isinstance(event, yaml.CollectionStartEvent):
                open_nodes.append(node)
                if len(open_nodes) > MAX_DEPTH:
                    line = _mark(event.start_mark).line + 1
                    raise ValueError(f"line {line}: nested more than {MAX_DEPTH} levels deep")
    return [None if root is None or root.null else root for root in roots]


def _spaced(text: str) -> str:
    """Replace tabs by spaces where YAML allows these and PyYAML does not: no position changes."""
    if text.lstrip("\ufeff \t\r\n").startswith("{"):  # JSON, indented with tabs or not
        return text.replace("\t", " ")
    return _TABS.sub(lambda match: " " * len(match[0]), text)


def _node(event: yaml.NodeEvent, anchors: dict[str, Node], text: str) -> Node:
    start, end = _mark(event.start_mark), _mark(event.end_mark)
    node = Node("scalar", start.index, end.index, end.index, start.column)
    if isinstance(event, yaml.AliasEvent):
        node.kind, node.target = "alias", anchors.get(event.anchor or "")
        if node.target is None:
            raise ValueError(
                f"line {start.line + 1}: there is no anchor &{event.anchor} before *{event.anchor}"
            )
        return node
    if isinstance(event, yaml.ScalarEvent):
        node.value, node.literal = event.value, event.style in {"|", ">"}
    elif isinstance(event, yaml.CollectionStartEvent):
        node.kind = "mapping" if isinstance(event, yaml.MappingStartEvent) else "sequence"
        node.flow = bool(event.flow_style)
        if node.kind == "sequence" and not node.flow and text[end.index - 1] == "-":
            node.inside -= 1  # a sequence that is not indented begins with its first dash
    if event.anchor:
        anchors[event.anchor] = node
    return node


def _close(node: Node, event: yaml.Event) -> None:
    """Set the end of a block collection to that of its last entry: PyYAML reports the start of the next token."""
    last = node.children[-1].end if node.children else node.inside
    node.end = _mark(event.end_mark).index if node.flow else last


class _Mark(Protocol):
    index: int
    line: int
    column: int


def _mark(mark: _Mark | None) -> _Mark:
    assert mark is not None  # events of a text have them
    return mark


class Lines:
    """Beginnings and ends of the lines of a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.ends = [match.end() for match in _BREAK.finditer(text)]
        first = _BREAK.search(text)
        self.line_break = first[0] if first else "\n"

    def start(self, node: Node) -> int:
        """Return the start of the line in which a node begins."""
        return self.start_at(node.start)

    def start_at(self, index: int) -> int:
        """Return the start of the line with the character."""
        position = bisect_right(self.ends, index)
        return self.ends[position - 1] if position else 0

    def next(self, index: int) -> int:
        """Return the beginning of the next line, or the end of the text."""
        position = bisect_right(self.ends, index)
        return self.ends[position] if position < len(self.ends) else len(self.text)

    def behind(self, node: Node) -> int:
        """Return the beginning of the line after the node's last."""
        return node.end if node.end == self.start_at(node.end) else self.next(node.end)

    def above_comments(self, start: int, column: int) -> int:
        """Return the beginning of a line or, if comments directly above it are indented as far, of theirs."""
        while start:
            above = self.start_at(start - 1)
            if not re.compile(f" {{{column}}}#").match(self.text, above):
                break
            start = above
        return start
