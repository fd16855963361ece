"""YAML → plain values with their lines, in time and memory that the limits below bound.

A short file can mean a large tree: an alias repeats what its anchor names, a merge key copies it, and either can repeat
aliases. The later steps (the examination, the rules) walk the tree as if each alias were written out. So nodes and
characters are counted that way, and the text is refused at the node that exceeds a limit, with its line.

libyaml parses, and this module builds the values from its events itself, because PyYAML's composer and constructor
cost ten times as much and have no limits. All work between two events is short, so that a thread which does this
keeps no other thread waiting for the interpreter.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import yaml

from sidecar.config.yaml_text.places import LONGEST_KEY, Inside, Place, join
from sidecar.config.yaml_text.syntax import ALIAS, SECOND_DOCUMENT, TYPE

MAX_NODES = 100_000
"""About 5,000 routes with all keys. Limit: keys and values in the configuration file, with aliases expanded (number).
Beyond: the same."""
MAX_DEPTH = 32
"""Limit: levels of nesting in the configuration file (number). Beyond: the same."""
MAX_SCALAR = 8192
"""Limit: one key or value in the configuration file (characters). Beyond: the same."""
MAX_CHARACTERS = 1 << 20
"""Limit: all keys and values in the configuration file, with aliases expanded (characters). Beyond: the same."""
MAX_NUMBER = 64
"""Characters of a number or a date: YAML's base 60 takes quadratic time."""

EQUAL_HASHES = sys.hash_info.modulus
"""Whole numbers that differ by this have the same hash, so a mapping with such keys takes quadratic time."""
_ODD_KEY = (
    "a key that is a mapping or a list: write text; a template such as {{ … }} has to be rendered first"
)
_LONG_KEY = "a key that is a number of more than 18 digits: put it in quotes"

MAX_TWICE = 100
"""Keys given twice that are noted."""
CHUNK = 4096
"""Bytes passed to libyaml at a time."""

_MERGE = "tag:yaml.org,2002:merge"
_TEXTS = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:value")
_NUMBERS = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))
_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "!", None)

Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""PyYAML's own parser, which is much slower, if PyYAML was built without libyaml."""


class Refused(Exception):
    """The text is YAML as far as it was read, but exceeds a limit, or has a kind that a configuration may not have."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.path = ""


class Twice(NamedTuple):
    """A key that its mapping has twice; the second value counts."""

    line: int
    path: str
    first: int
    """The line of the first one, 0 where it is not known."""


class Document(NamedTuple):
    """Content of a text."""

    value: object
    place: Place
    twice: list[Twice]


class _Events(Protocol):
    """The methods that we use of PyYAML's loaders."""

    def get_event(self) -> yaml.Event | None: ...

    def resolve(self, kind: type[yaml.Node], value: str, implicit: object) -> str: ...

    def construct_object(self, node: yaml.Node) -> object: ...


@dataclass(frozen=True, slots=True)
class _Anchored:
    """The node of an anchor, and the cost of repeating it."""

    value: object
    inside: Inside | None
    nodes: int
    characters: int
    height: int


@dataclass(slots=True)
class _Open:
    """A mapping or list that has not ended."""

    values: Any
    """The dict or list."""
    inside: Any
    """The places of its values."""
    line: int
    anchor: str | None
    nodes: int
    characters: int
    """Both as counted when it began."""
    height: int = 1
    key: Any = None
    key_line: int = 0
    keyed: bool = False
    """Whether `key` waits for its value."""
    merging: bool = False
    seen: set[str] = field(default_factory=set)
    """Keys as they are written."""
    merged: list[tuple[dict[Any, Any], dict[str, Place]]] = field(default_factory=list)


def load(content: bytes, breathe: Callable[[], None]) -> Document:
    """Return the one document. Raises YAMLError and Refused.

    `breathe` is called after some hundred microseconds of work.
    """
    _refuse_tag_directives(content)
    loader = Loader(Chunks(content, breathe))
    try:
        return Builder(loader).build()
    finally:
        loader.dispose()


def _refuse_tag_directives(content: bytes) -> None:
    """Refuse tag directives: configurations need none, and libyaml compares each with all before it."""
    at = 0 if content.startswith(b"%TAG") else content.find(b"\n%TAG") + 1
    if at or content.startswith(b"%TAG"):
        raise Refused(content.count(b"\n", 0, at) + 1, "a %TAG directive: remove it")


class Chunks:
    """The text as a file, so that libyaml returns to Python often."""

    def __init__(self, content: bytes, breathe: Callable[[], None]) -> None:
        self._content = content
        self._breathe = breathe
        self._at = 0

    def read(self, _size: int = CHUNK) -> bytes:
        self._breathe()
        chunk = self._content[self._at : self._at + CHUNK]
        self._at += CHUNK
        return chunk


class Builder:
    """One pass over the events of one document."""

    def __init__(self, loader: _Events) -> None:
        self._loader = loader
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._nodes = 0
        self._characters = 0
        self._root = Document(None, 0, [])
        self._documents = 0

    def build(self) -> Document:
        try:
            self._read()
        except Refused as refused:
            refused.path = self._path()
            raise
        return self._root

    def _read(self) -> None:
        while (event := self._loader.get_event()) is not None:
            match event:
                case yaml.ScalarEvent():
                    self._scalar(event)
                case yaml.CollectionStartEvent():
                    self._start(event)
                case yaml.CollectionEndEvent():
                    self._end()
                case yaml.AliasEvent():
                    self._alias(event)
                case yaml.DocumentStartEvent():
                    self._documents += 1
                    if self._documents > 1:
                        raise Refused(_line(event), SECOND_DOCUMENT)

    def _path(self) -> str:
        """Return the path of what is being read."""
        path = ""
        for each in self._open:
            if isinstance(each.values, list):
                path += f"[{len(each.values)}]"
            elif each.keyed and not each.merging:
                path = join(path, each.key)
        return path

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        text, line = event.value, _line(event)
        self._count(1, len(text), 1, line)
        if len(text) > MAX_SCALAR:
            raise Refused(line, f"a text of more than {MAX_SCALAR:,} characters: shorten it")
        tag = event.tag
        if tag is None or tag == "!":
            tag = self._loader.resolve(yaml.ScalarNode, text, event.implicit)
        inside = self._open[-1] if self._open else None
        if inside is not None and isinstance(inside.values, dict) and not inside.keyed:
            if tag == _MERGE:
                inside.merging = inside.keyed = True
                return
            if text in inside.seen and len(self._root.twice) < MAX_TWICE:
                first = inside.inside.get(text[:LONGEST_KEY], 0)
                first = first[0] if isinstance(first, tuple) else first
                self._root.twice.append(Twice(line, join(self._path(), text), first))
            inside.seen.add(text)
        value = text if tag in _TEXTS else self._constructed(tag, event)
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, None, 1, len(text), 0)
        self._add(value, None, line, 0)

    def _constructed(self, tag: str, event: yaml.ScalarEvent) -> object:
        if len(event.value) > MAX_NUMBER and tag in _NUMBERS:
            reason = f"a number or a date of more than {MAX_NUMBER} characters: put it in quotes"
            raise Refused(_line(event), reason)
        try:
            return self._loader.construct_object(yaml.ScalarNode(tag, event.value))
        except (
            ArithmeticError,
            AttributeError,
            LookupError,
            ValueError,
        ):  # raised by its constructors for `!!bool x` and for a 13th month; their texts quote the value
            reason = "a number or a date that is impossible: put it in quotes"
            raise Refused(_line(event), reason) from None
        except yaml.YAMLError:
            raise Refused(_line(event), TYPE) from None

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        line = _line(event)
        self._count(1, 0, 1, line)
        if event.tag not in _COLLECTIONS:
            raise Refused(line, TYPE)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        kind = dict if isinstance(event, yaml.MappingStartEvent) else list
        self._open.append(_Open(kind(), kind(), line, event.anchor, self._nodes - 1, self._characters))

    def _end(self) -> None:
        ended = self._open.pop()
        for other, places in ended.merged:
            for key, value in other.items():
                ended.values.setdefault(key, value)
            for written, place in places.items():
                ended.inside.setdefault(written, place)
        if ended.anchor is not None:
            nodes, characters = self._nodes - ended.nodes, self._characters - ended.characters
            self._anchors[ended.anchor] = _Anchored(
                ended.values, ended.inside, nodes, characters, ended.height
            )
        self._add(ended.values, ended.inside, ended.line, ended.height)

    def _alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self._anchors:
            raise Refused(_line(event), ALIAS)
        line, named = _line(event), self._anchors[event.anchor]
        if named is None:
            raise Refused(line, "an alias of the mapping or list that it is in: remove it")
        self._count(named.nodes, named.characters, named.height + 1, line)
        self._add(named.value, named.inside, line, named.height)

    def _add(self, value: object, places: Inside | None, line: int, height: int) -> None:
        """Put a value in its place; `height` is how deep it nests in itself."""
        if not self._open:
            self._root = Document(value, (line, places) if places else line, self._root.twice)
            return
        inside = self._open[-1]
        inside.height = max(inside.height, height + 1)
        if isinstance(inside.values, list):
            inside.values.append(value)
            inside.inside.append((line, places) if places else line)
        elif inside.merging:
            inside.merged += self._to_merge(value, places, line)
            inside.merging = inside.keyed = False
        elif inside.keyed:
            inside.values[inside.key] = value
            line = inside.key_line
            inside.inside[str(inside.key)[:LONGEST_KEY]] = (line, places) if places else line
            inside.keyed = False
        elif isinstance(value, dict | list | set):
            raise Refused(line, _ODD_KEY)
        elif isinstance(value, int) and abs(value) >= EQUAL_HASHES:
            raise Refused(line, _LONG_KEY)
        else:
            inside.key, inside.key_line, inside.keyed = value, line, True

    def _to_merge(
        self, value: object, places: Inside | None, line: int
    ) -> list[tuple[dict[Any, Any], dict[str, Place]]]:
        """Return the mappings that `<<` names, the first of which has precedence, with their places."""
        named = value if isinstance(value, list) else [value]
        where = places if isinstance(places, list) else [(line, places or {})]
        if not all(isinstance(each, dict) for each in named):
            raise Refused(line, "<< merges a mapping, or a list of mappings: name them with aliases")
        return [
            (each, place[1])
            for each, place in zip(named, where, strict=True)
            if isinstance(each, dict) and isinstance(place, tuple) and isinstance(place[1], dict)
        ]

    def _count(self, nodes: int, characters: int, height: int, line: int) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > MAX_NODES:
            raise Refused(
                line, f"more than {MAX_NODES:,} keys and values, each alias written out: remove some"
            )
        if self._characters > MAX_CHARACTERS:
            raise Refused(line, "more than 1 MiB of text, each alias written out: remove some")
        if len(self._open) + height > MAX_DEPTH:
            raise Refused(line, f"nested too deeply: at most {MAX_DEPTH} levels")


def _line(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.line + 1
