"""The command line, read from its parser: commands, flags and arguments, with their possible values."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sidecar.cli.parser import Parser


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a flag or of an argument."""

    name: str
    """Its name in the help."""
    needed: bool
    kind: Literal["word", "file", "text"]
    words: tuple[str, ...]
    """All possible values, of the kind `word`."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag of a command."""

    names: tuple[str, ...]
    meaning: str
    value: Value | None
    required: bool
    repeated: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A positional argument of a command."""

    value: Value
    meaning: str


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or with the name "" the program itself."""

    name: str
    meaning: str
    flags: tuple[Flag, ...]
    places: tuple[Place, ...]


def grammar(program: Parser, words: Mapping[str, tuple[str, ...]]) -> tuple[Command, ...]:
    """Return the program and its commands. `words` are the possible values of each name."""
    known = {"COMMAND": tuple(program.commands), **words}
    parsers = {"": program, **program.commands}
    return tuple(_command(name, parser, known) for name, parser in parsers.items())


def _command(name: str, parser: Parser, words: Mapping[str, tuple[str, ...]]) -> Command:
    flags, places = [], []
    for action in parser.actions:
        value = _value(action, words)
        meaning = (action.help or "") % {"default": action.default}
        if action.option_strings:
            repeated = isinstance(action.default, list)
            flags.append(Flag(tuple(action.option_strings), meaning, value, action.required, repeated))
        elif value is not None:
            places.append(Place(value, meaning))
    return Command(name, parser.meaning, tuple(flags), tuple(places))


def _value(action: argparse.Action, words: Mapping[str, tuple[str, ...]]) -> Value | None:
    if action.nargs == 0:
        return None
    choices = tuple(map(str, action.choices or ()))
    name = str(action.metavar or f"{{{','.join(choices)}}}")
    choices = words.get(name) or choices or (tuple(name[1:-1].split(",")) if name.startswith("{") else ())
    kind: Literal["word", "file", "text"] = "word" if choices else "file" if name == "FILE" else "text"
    return Value(name, action.nargs != "?", kind, choices)
