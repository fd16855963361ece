"""What is wrong with a tree that should be these structs: everything, not just the first thing.

`msgspec` stops at the first fault, so `examine` walks the structs itself and asks msgspec leaf by leaf. A
leaf's `extra={"check": name}` names the rule its text must also pass; the caller brings the rules, since some
of them look at files and at the environment. `noted` reads other notes in `extra`. A faulty field leaves its
default (or "") behind, a faulty entry UNSET, so that what refers to other entries can still be checked.
"""

from collections.abc import Callable, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import FieldInfo, fields

from sidecar.config.yaml_text.places import join

Found = tuple[str, str]
"""A path in the tree and what is wrong there."""

Check = Callable[[str], object]
"""Raises ValueError with the reason why a text will not do."""


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every mapping in the file. The rules are about which keys are present, whatever they hold."""

    one_of: ClassVar[tuple[str, ...]] = ()
    """Exactly one of these keys must be there."""
    needs: ClassVar[Mapping[str, str]] = {}
    """A key that is only meaningful beside another one."""
    instead: ClassVar[str] = "write a mapping of keys to values"
    """What to do when there is no mapping at all."""


Root = TypeVar("Root", bound=Node)
Kind = Any
"""A field's type as `typing` gives it: a class, a generic alias or a union."""


MOST_FAULTS = 100
"""Faults after which an examination ends: they fit on no screen, and each may have cost a file to read."""


def examine(
    root: type[Root], tree: object, checks: Mapping[str, Check], breathe: Callable[[], None]
) -> tuple[Root | None, list[Found]]:
    """Return the tree as structs and everything wrong with it; the structs are sound only if nothing is.

    None after MOST_FAULTS. `breathe` is called at each value.
    """
    examination = _Examination(checks, breathe)
    if not isinstance(tree, dict):
        return None, [("", root.instead)]
    try:
        return examination.node(root, tree, ""), examination.found
    except _TooManyFaults:
        return None, examination.found


class _TooManyFaults(Exception):
    pass


class _Examination:
    """One walk over one tree. Each method returns what it read, or UNSET after noting a fault."""

    def __init__(self, checks: Mapping[str, Check], breathe: Callable[[], None]) -> None:
        self.found: list[Found] = []
        self._checks = checks
        self._breathe = breathe

    def node(self, node: type[Root], values: dict[object, object], path: str) -> Root:
        known = _fields(node)
        for key in values:
            if key not in known:
                self._fault(join(path, key), f"unknown key; known here: {', '.join(known)}")
        if node.one_of and len(values.keys() & set(node.one_of)) != 1:
            self._fault(path, f"give exactly one of: {', '.join(node.one_of)}")
        for key, other in node.needs.items():
            if key in values and other not in values:
                self._fault(join(path, key), f"only meaningful beside {other}")
        return node(**{name: self._field(field, values, path) for name, field in known.items()})

    def _fault(self, path: str, reason: str) -> UnsetType:
        self.found.append((path, reason))
        if len(self.found) == MOST_FAULTS:
            raise _TooManyFaults
        return UNSET

    def _field(self, field: FieldInfo, values: dict[object, object], path: str) -> object:
        inside = join(path, field.name)
        read: object = UNSET
        if field.name in values:
            read = self._value(field.type, values[field.name], inside)
        elif field.required:
            self._fault(inside, "missing")
        return _blank(field) if read is UNSET else read

    def _value(self, kind: Kind, value: object, path: str) -> object:
        self._breathe()
        bare, metas, optional = _unwrap(kind)
        if value is None and optional:
            return None
        if _origin(bare) is dict:
            return self._mapping(bare, value, path)
        if _origin(bare) is tuple:
            return self._sequence(bare, metas, value, path)
        if isinstance(bare, type) and issubclass(bare, Node):
            return (
                self.node(bare, value, path) if isinstance(value, dict) else self._fault(path, bare.instead)
            )
        return self._leaf(kind, value, path)

    def _mapping(self, kind: Kind, value: object, path: str) -> object:
        if not isinstance(value, dict):
            return self._fault(path, "write a mapping of names to entries")
        key_kind, entry_kind = get_args(kind)
        entries = {}
        for key, entry in value.items():
            self._value(key_kind, key, join(path, key))
            entries[key] = self._value(entry_kind, entry, join(path, key))
        return entries

    def _sequence(self, kind: Kind, metas: list[Meta], value: object, path: str) -> object:
        if not isinstance(value, list):
            return self._fault(path, "write a list")
        if len(value) < max((meta.min_length or 0 for meta in metas), default=0):
            return self._fault(path, "must hold at least one entry")
        return tuple(self._value(get_args(kind)[0], entry, f"{path}[{at}]") for at, entry in enumerate(value))

    def _leaf(self, kind: Kind, value: object, path: str) -> object:
        bare, metas, _ = _unwrap(kind)
        text = "" if isinstance(value, dict | list | None) else str(value)
        try:
            for meta in metas:
                check = (meta.extra or {}).get("check")
                if check and (text or isinstance(value, str)):
                    self._checks[check](text)
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            return self._fault(path, _reason(bare, text, error))
        except ValueError as error:
            return self._fault(path, str(error))


def noted(root: type[Node], note: str, path: str = "") -> tuple[str, ...]:
    """Return the paths of the keys with this note in their `extra`; what is inside such a key is not listed."""
    found: list[str] = []
    for name, field in _fields(root).items():
        bare, metas, _ = _unwrap(field.type)
        if any(note in (meta.extra or {}) for meta in metas):
            found.append(join(path, name))
        elif isinstance(bare, type) and issubclass(bare, Node):
            found += noted(bare, note, join(path, name))
    return tuple(found)


@cache
def _fields(node: type[Node]) -> Mapping[str, FieldInfo]:
    return {field.name: field for field in fields(node)}


@cache
def _unwrap(kind: Kind) -> tuple[Kind, list[Meta], bool]:
    """Take `Annotated` and `| None` off a type: what is left, what was noted, and whether None will do."""
    if _origin(kind) is Annotated:
        bare, metas, optional = _unwrap(kind.__origin__)
        return bare, [*metas, *(meta for meta in kind.__metadata__ if isinstance(meta, Meta))], optional
    if isinstance(kind, UnionType) or _origin(kind) is Union:
        bare, metas, _ = _unwrap(next(part for part in get_args(kind) if part is not type(None)))
        return bare, metas, True
    return kind, [], False


def _origin(kind: Kind) -> object:
    return get_origin(kind)


def _blank(field: FieldInfo) -> object:
    """Return what stands in for a field that is absent or faulty."""
    if field.required:
        return () if _origin(_unwrap(field.type)[0]) is tuple else ""
    return field.default_factory() if callable(field.default_factory) else field.default


def _reason(bare: Kind, text: str, error: msgspec.ValidationError) -> str:
    if _origin(bare) is Literal:
        return f"must be one of: {', '.join(get_args(bare))}"
    if bare is str:
        return "must be text: put it in quotes" if text else "must be text"
    return str(error).replace("`", "")
