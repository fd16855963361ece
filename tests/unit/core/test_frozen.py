"""Immutable values behave as those of `@dataclass(frozen=True, slots=True)` do."""

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any, ClassVar

import pytest

from sidecar.core.classes.frozen import frozen


class Empty:
    """No fields."""


class One:
    """One field."""

    a: int


class Two:
    """A default, and an attribute of the class."""

    a: object
    b: str = "b"
    name: ClassVar[str] = "two"


class Various:
    """Each way of `field` that the sidecar uses."""

    a: int
    secret: str = field(repr=False)
    several: list[int] = field(default_factory=list)
    note: str = field(default="", compare=False)
    late: bool = field(kw_only=True)
    later: tuple[int, ...] = field(default=(1,), kw_only=True)


class Own:  # noqa: PLW1641  the hash is added
    """Methods of its own stay."""

    a: int

    def __repr__(self) -> str:
        return "own"

    def __eq__(self, other: object) -> bool:
        return True

    @property
    def double(self) -> int:
        """Of a."""
        return 2 * self.a


class Hashed:
    """A hash of its own stays."""

    a: int

    def __hash__(self) -> int:
        return 7


stdlib: Callable[[type], Any] = dataclass(frozen=True, slots=True)
CASES: list[tuple[type, list[tuple[tuple[Any, ...], dict[str, Any]]]]] = [
    (Empty, [((), {}), ((1,), {})]),
    (One, [((1,), {}), ((2,), {}), ((), {"a": 1}), ((), {}), ((1, 2), {}), ((), {"b": 1}), ((1,), {"a": 1})]),
    (
        Two,
        [((1,), {}), ((1, "b"), {}), ((1, "c"), {}), (([],), {}), ((), {"b": "b", "a": 1}), ((1, 2, 3), {})],
    ),
    (
        Various,
        [
            ((1, "s"), {"late": True}),
            ((1, "s", [1], "n"), {"late": True}),
            ((1, "s"), {"late": False, "later": ()}),
            ((1, "s"), {}),
            ((1, "s", [], "", True), {}),
            ((1, "s"), {"late": True, "note": "other"}),
        ],
    ),
    (Own, [((1,), {}), ((2,), {})]),
    (Hashed, [((1,), {}), ((2,), {})]),
]


def copied(cls: type) -> type:
    """The class once more: neither decorator may meet what the other has done."""
    members = {name: member for name, member in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    return type(cls.__name__, (), {"__annotations__": {}, **members})


def outcome(make: Callable[..., object], *arguments: object, **named: object) -> object:
    """What comes of it, or the kind of its error."""
    try:
        return make(*arguments, **named)
    except TypeError as error:
        return type(error)


def seen(made: Any, calls: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> list[object]:
    """Everything that the values of these calls show, and how they compare with each other."""
    values: list[Any] = [outcome(made, *arguments, **named) for arguments, named in calls]
    shown: list[object] = []
    for one in values:
        if isinstance(one, type):
            shown.append(one)
            continue
        shown += [repr(one), outcome(hash, one), asdict(one), repr(replace(one))]
        shown += [[one == other for other in values], one == object()]
        shown += [copy.copy(one) == one, repr(copy.deepcopy(one)), hasattr(one, "__dict__")]
    return shown


@pytest.mark.parametrize(("cls", "calls"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_s18_a_value_shows_what_a_frozen_dataclass_shows(
    cls: type, calls: list[tuple[tuple[Any, ...], dict[str, Any]]]
) -> None:
    """The same signature, text, equality, hash, copies and errors."""
    ours: Any = frozen(copied(cls))
    theirs: Any = stdlib(copied(cls))
    assert seen(ours, calls) == seen(theirs, calls)
    assert [each.name for each in fields(ours)] == [each.name for each in fields(theirs)]
    assert (ours.__match_args__, ours.__slots__) == (theirs.__match_args__, theirs.__slots__)
    assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters)


@frozen
class Base:
    """Has a subclass."""

    a: int
    level: ClassVar[str] = "info"


@frozen
class Derived(Base):
    """Adds to it."""

    b: list[int] = field(default_factory=list)


def test_s18_a_value_inherits_fields() -> None:
    """And is never equal to one of another class."""
    assert repr(Derived(1)) == "Derived(a=1, b=[])"
    assert Derived(1) == Derived(a=1, b=[])
    assert Derived(1) != Base(1)
    assert Base(1) != Derived(1)
    assert (Derived.level, isinstance(Derived(1), Base)) == ("info", True)


def test_s18_each_value_has_a_default_of_its_own() -> None:
    """What `default_factory` makes is not shared."""
    assert Derived(1).b is not Derived(1).b


def test_s18_a_value_cannot_be_changed() -> None:
    """Neither its fields nor any other attribute."""
    one = Derived(1)
    for name in ("a", "c"):
        with pytest.raises(FrozenInstanceError):
            setattr(one, name, 2)
        with pytest.raises(FrozenInstanceError):
            delattr(one, name)
    assert replace(one, a=2) == Derived(2)
    assert one == Derived(1)


def test_s18_a_value_survives_pickling() -> None:
    """Though it has no setter."""
    assert pickle.loads(pickle.dumps(Derived(1, [2]))) == Derived(1, [2])
