"""Immutable values: what `@dataclass(frozen=True, slots=True)` makes, in a fifth of the time.

`dataclass` writes six functions for each class as text and compiles them each time the program starts. For the 150
classes of a sidecar this took a quarter of the start. Here only the constructor is compiled. The other functions are
shared between all classes, or read the fields with an `attrgetter`, which is as fast as compiled text.
"""

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

_Class = TypeVar("_Class")
_Read = Callable[[object], tuple[object, ...]]


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[_Class]) -> type[_Class]:
    """Make an immutable value of a class with annotations. It is a dataclass for `fields`, `replace` and `asdict`.

    Methods that the class has stay. `InitVar`, `__post_init__`, `field(init=False)` and `field(hash=…)` are not
    supported. A subclass must be made by this function too.
    """
    own = cls.__dict__
    made = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    described: tuple[Field[Any], ...] = fields(made)  # type: ignore[arg-type]  # any class, for mypy
    read = _reader([each.name for each in described if each.compare])
    methods = {
        "__init__": _constructor(described),
        "__repr__": _shown,
        "__eq__": _equality(read),
        "__hash__": _hashing(read),
        "__setattr__": _refuse_assignment,
        "__delattr__": _refuse_deletion,
        "__getstate__": _state,
        "__setstate__": _restore,
    }
    for name, method in methods.items():
        if own.get(name) is None:  # a class with an equality of its own has None as __hash__
            setattr(made, name, method)
    return made


def _constructor(described: tuple[Field[Any], ...]) -> Callable[..., None]:
    """Compile the constructor: called for each value, it must be as fast as text can be."""
    known: dict[str, Any] = {"_set": object.__setattr__, "_missing": MISSING}
    positional = ["self"]
    named = ["*"]
    lines = []
    for each in described:
        name = given = taken = each.name
        if each.default is not MISSING:
            known[f"_default_{name}"] = each.default
            taken = f"{name}=_default_{name}"
        elif each.default_factory is not MISSING:
            known[f"_make_{name}"] = each.default_factory
            taken = f"{name}=_missing"
            given = f"_make_{name}() if {name} is _missing else {name}"
        (named if each.kw_only else positional).append(taken)
        lines.append(f" _set(self, {name!r}, {given})\n")
    parameters = ", ".join(positional + (named if len(named) > 1 else []))
    exec(f"def __init__({parameters}):\n{''.join(lines) or ' pass'}", known)  # noqa: S102  names of fields only
    constructor: Callable[..., None] = known["__init__"]
    return constructor


def _reader(names: list[str]) -> _Read:
    """Return what reads these fields as a tuple."""
    if len(names) > 1:
        return attrgetter(*names)
    return lambda instance: tuple(getattr(instance, name) for name in names)


def _equality(read: _Read) -> Callable[[object, object], object]:
    def equal(self: object, other: object) -> object:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return read(self) == read(other)

    return equal


def _hashing(read: _Read) -> Callable[[object], int]:
    def hashed(self: object) -> int:
        return hash(read(self))

    return hashed


def _shown(self: object) -> str:
    described: tuple[Field[Any], ...] = fields(self)  # type: ignore[arg-type]  # as above
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in described if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse_assignment(_: object, name: str, __: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(_: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: object) -> list[object]:
    described: tuple[Field[Any], ...] = fields(self)  # type: ignore[arg-type]  # as above
    return [getattr(self, each.name) for each in described]


def _restore(self: object, state: list[object]) -> None:
    described: tuple[Field[Any], ...] = fields(self)  # type: ignore[arg-type]  # as above
    for each, content in zip(described, state, strict=True):
        object.__setattr__(self, each.name, content)
