"""Compare a tree with the structs of the schema, and report every fault, not just the first one.

`msgspec` stops at the first fault, so `examine` walks the structs itself and calls msgspec leaf by leaf. A leaf's
`extra={"check": name}` names the rule its text must also pass; the caller brings the rules, because some of them read
files and the environment. `extra={"also": …}` has further spellings of a leaf's words; `noted` reads other notes. A
faulty field becomes its default (or ""), a faulty entry UNSET, so that references to other entries can still be
checked.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import FieldInfo, fields

from sidecar.config import hints
from sidecar.config.yaml_text.places import join

Found = tuple[str, str]
"""A path in the tree and the fault there."""

Check = Callable[[str], object]
"""Raises ValueError with the reason why a text is invalid."""

Doubt = Callable[[str, str], str]
"""Takes the name of a check, or "", and a text that passed it. Returns why it is probably a mistake, or ""."""


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every mapping in the file. The rules are about which keys are present, whatever they hold."""

    one_of: ClassVar[tuple[str, ...]] = ()
    """Exactly one of these keys must be there."""
    needs: ClassVar[Mapping[str, str]] = {}
    """A key that requires another one beside it."""
    instead: ClassVar[str] = "write a mapping of keys to values"
    """What to do if there is no mapping at all."""
    secretive: ClassVar[bool] = False
    """Whether a secret may be written here by mistake, even as a key."""


Root = TypeVar("Root", bound=Node)
Kept = TypeVar("Kept", bound=Node)
Kind = Any
"""A field's type as `typing` gives it: a class, a generic alias or a union."""


MOST_FAULTS = 100
"""Limit: faults reported at once (number). Beyond: the check of the configuration ends."""


@dataclasses.dataclass(slots=True)
class Examined(Generic[Root]):
    """The result of an examination."""

    root: Root | None = None
    """The tree as structs, which are sound only if nothing was found; None after MOST_FAULTS."""
    found: list[Found] = dataclasses.field(default_factory=list)
    """All faults."""
    unsure: list[str] = dataclasses.field(default_factory=list)
    """Paths of keys that are absent, perhaps because of a typing error that was found."""
    doubtful: list[Found] = dataclasses.field(default_factory=list)
    """Values that can be used, but are probably a mistake; MOST_FAULTS at most."""


def examine(
    root: type[Root],
    tree: dict[Any, object],
    checks: Mapping[str, Check],
    doubt: Doubt,
    breathe: Callable[[], None],
) -> Examined[Root]:
    """Compare the tree with the structs. `breathe` is called at each value."""
    examined = Examined[Root]()
    with suppress(_TooManyFaults):
        examined.root = _Examination(root, examined, checks, doubt, breathe).node(root, tree, "")
    return examined


class _TooManyFaults(Exception):
    pass


class _Examination:
    """One walk over one tree. Each method returns the value, or UNSET after noting a fault."""

    def __init__(
        self,
        root: type[Node],
        examined: Examined[Any],
        checks: Mapping[str, Check],
        doubt: Doubt,
        breathe: Callable[[], None],
    ) -> None:
        self._root = root
        self._examined = examined
        self._checks = checks
        self._doubt = doubt
        self._breathe = breathe

    def node(self, node: type[Kept], values: dict[object, object], path: str) -> Kept:
        known = _fields(node)
        meant = {self._unknown_key(node, key, values, path) for key in values if key not in known}
        if node.one_of and meant.isdisjoint({*node.one_of, ""} if node.secretive else node.one_of):
            self._one_of(node, values, path)
        for key, other in node.needs.items():
            if values.get(key) is not None and other not in values and other not in meant:
                self._fault(join(path, key), f"only meaningful beside {other}")
        return node(**{name: self._field(field, values, path, meant) for name, field in known.items()})

    def _one_of(self, node: type[Node], values: Mapping[object, object], path: str) -> None:
        given = [key for key in node.one_of if key in values]
        if len(given) == 1 and values[given[0]] is None:
            self._fault(join(path, given[0]), "nothing is written here: write a value, or delete the key")
        elif len([key for key in given if values[key] is not None]) != 1:
            self._fault(path, f"give exactly one of: {', '.join(node.one_of)}")

    def _unknown_key(self, node: type[Node], key: object, values: Mapping[object, object], path: str) -> str:
        """Report the key; return the one that was probably meant, "" if there is none."""
        known = _fields(node)
        absent = [name for name in known if name not in values]
        if joined := hints.joined(key, known):
            self._fault(join(path, joined), hints.separate(joined))
            return joined
        meant = hints.misspelt(key, absent)
        section, home = ("", "") if meant else _home(node, self._root, key)
        empty = next((name for name in known if name in values and values[name] is None), "")
        shown = "" if node.secretive and not meant else hints.shown(key)
        self._fault(join(path, shown) if shown else path, hints.unknown_key(meant, home, empty, known))
        unsure = [meant] if meant else [] if node is self._root else absent
        self._examined.unsure += [join(path, name) for name in (*unsure, section) if name]
        return meant

    def _fault(self, path: str, reason: str) -> UnsetType:
        self._examined.found.append((path, reason))
        if len(self._examined.found) == MOST_FAULTS:
            raise _TooManyFaults
        return UNSET

    def _field(
        self, field: FieldInfo, values: dict[object, object], path: str, meant: Collection[str]
    ) -> object:
        inside = join(path, field.name)
        read: object = UNSET
        if field.name in values:
            read = self._value(field.type, values[field.name], inside)
        elif field.required and field.name not in meant:
            self._fault(inside, "missing")
        return _blank(field) if read is UNSET else read

    def _value(self, kind: Kind, value: object, path: str) -> object:
        self._breathe()
        bare, metas, optional = unwrap(kind)
        if value is None and optional:
            return None
        if _origin(bare) is dict:
            return self._mapping(bare, value, path)
        if _origin(bare) is tuple:
            return self._sequence(bare, metas, value, path)
        if isinstance(bare, type) and issubclass(bare, Node):
            if isinstance(value, dict):
                return self.node(bare, value, path)
            return self._fault(path, hints.form(bare.instead, value, _fields(bare)))
        return self._leaf(kind, value, path)

    def _mapping(self, kind: Kind, value: object, path: str) -> object:
        if not isinstance(value, dict):
            return self._fault(path, hints.form("write a mapping of names to entries", value))
        key_kind, entry_kind = get_args(kind)
        entries: dict[object, object] = {}
        for key, entry in value.items():
            if key in _fields(self._root) and _foreign(entry_kind, entry):
                self._fault(join(path, key), "is a section of its own, not an entry: indent it less")
                self._examined.unsure.append(key)
                entries[key] = UNSET
                continue
            self._value(key_kind, key, join(path, key))
            entries[key] = self._value(entry_kind, entry, join(path, key))
        return entries

    def _sequence(self, kind: Kind, metas: list[Meta], value: object, path: str) -> object:
        if not isinstance(value, list):
            return self._fault(path, hints.form("write a list", value))
        if len(value) < max((meta.min_length or 0 for meta in metas), default=0):
            return self._fault(path, "must hold at least one entry")
        return tuple(self._value(get_args(kind)[0], entry, f"{path}[{at}]") for at, entry in enumerate(value))

    def _leaf(self, kind: Kind, value: object, path: str) -> object:
        bare, metas, checks, words = _rules(kind)
        if words and isinstance(value, str):
            value = words.get(value.strip().casefold(), value)
        text = (
            value if isinstance(value, str) else "" if isinstance(value, dict | list | None) else str(value)
        )
        try:
            if text or isinstance(value, str):
                for check in checks:
                    self._checks[check](text)
            read = msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            return self._fault(path, hints.also_literal(_reason(bare, metas, value, error), text))
        except ValueError as error:
            return self._fault(path, hints.also_literal(str(error), text))
        if isinstance(value, str) and (reason := self._doubt(checks[0] if checks else "", text)):
            self._examined.doubtful += [(path, reason)] if len(self._examined.doubtful) < MOST_FAULTS else []
        return read


def noted(root: type[Node], note: str, path: str = "") -> tuple[str, ...]:
    """Return the paths of the keys with this note in their `extra`; what is inside such a key is not listed."""
    found: list[str] = []
    for name, field in _fields(root).items():
        bare, metas, _ = unwrap(field.type)
        if any(note in (meta.extra or {}) for meta in metas):
            found.append(join(path, name))
        elif isinstance(bare, type) and issubclass(bare, Node):
            found += noted(bare, note, join(path, name))
    return tuple(found)


@cache
def _fields(node: type[Node]) -> Mapping[str, FieldInfo]:
    return {field.name: field for field in fields(node)}


@cache
def unwrap(kind: Kind) -> tuple[Kind, list[Meta], bool]:
    """Remove `Annotated` and `| None` from a type: return the rest, the notes, and whether None is allowed."""
    if _origin(kind) is Annotated:
        bare, metas, optional = unwrap(kind.__origin__)
        return bare, [*metas, *(meta for meta in kind.__metadata__ if isinstance(meta, Meta))], optional
    if isinstance(kind, UnionType) or _origin(kind) is Union:
        bare, metas, _ = unwrap(next(part for part in get_args(kind) if part is not type(None)))
        return bare, metas, True
    return kind, [], False


@cache
def _rules(kind: Kind) -> tuple[Kind, list[Meta], tuple[str, ...], Mapping[str, str]]:
    """Return the type of a leaf, its notes, its checks, and the meaning of each spelling of its words.

    The case of a word does not matter, and `extra` may have other words for it.
    """
    bare, metas, _ = unwrap(kind)
    notes = [meta.extra or {} for meta in metas]
    words = {word: meant for note in notes for word, meant in note.get("also", {}).items()}
    if _origin(bare) is Literal:
        words |= {word.casefold(): word for word in get_args(bare)}
    return bare, metas, tuple(note["check"] for note in notes if "check" in note), words


def _origin(kind: Kind) -> object:
    return get_origin(kind)


def _blank(field: FieldInfo) -> object:
    """Return the stand-in for a field that is absent or faulty."""
    if field.required:
        return () if _origin(unwrap(field.type)[0]) is tuple else ""
    return field.default_factory() if callable(field.default_factory) else field.default


def _inside(kind: Kind) -> Kind:
    """Return the type of a section, or of the entries of one."""
    bare, _, _ = unwrap(kind)
    return unwrap(get_args(bare)[-1 if _origin(bare) is dict else 0])[0] if get_args(bare) else bare


def _foreign(kind: Kind, entry: object) -> bool:
    """Return whether the entry has none of the keys of its kind, but others."""
    bare, _, _ = unwrap(kind)
    node = isinstance(bare, type) and issubclass(bare, Node)
    return node and isinstance(entry, dict) and bool(entry) and entry.keys().isdisjoint(_fields(bare))


def _home(node: type[Node], root: type[Node], key: object) -> tuple[str, str]:
    """Return the one section that has such a key, and a description of its place."""
    homes = {}
    for name, field in _fields(node).items():
        inside = _inside(field.type)
        if isinstance(inside, type) and issubclass(inside, Node) and key in _fields(inside):
            homes[name] = f"in an entry of {name}" if _origin(unwrap(field.type)[0]) else f"in {name}"
    if len(homes) == 1:
        return next(iter(homes.items()))
    outside = not homes and node is not root and key in _fields(root)
    return "", "at the top level: check the indentation" if outside else ""


def _reason(bare: Kind, metas: list[Meta], value: object, error: msgspec.ValidationError) -> str:
    if _origin(bare) is Literal:
        return f"must be one of: {', '.join(get_args(bare))}"
    if bare is bool:
        return "write true or false"
    if bare is int:
        bounds = [(meta.ge, meta.le) for meta in metas if meta.ge is not None or meta.le is not None]
        return hints.number_form(*(bounds[0] if bounds else (None, None)))
    return hints.text_form(value) if bare is str else str(error).replace("`", "")
