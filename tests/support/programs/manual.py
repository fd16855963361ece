"""The manual page of `sidecar`, in roff, from the parser of the command line. `make reference` writes it."""

import re
from collections.abc import Iterator

from sidecar import __version__
from sidecar.cli import main
from sidecar.cli.exits import MEANINGS
from sidecar.cli.shells.grammar import Command, Flag, Value, grammar
from tests import ROOT

PAGE = ROOT / "docs/sidecar.1"
_DEFAULT_FILE = "configuration where neither a flag nor $SIDECAR_CONFIG names another file"


def page() -> str:
    """Return the page as it must be."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    program, *commands = grammar(main.parser(), {})
    yield '.\\" Written by `make reference` from the parser of the command line.'
    yield f'.TH SIDECAR 1 "" "sidecar {__version__}" "User Commands"'
    yield ".nh"
    yield ".ad l"
    yield ".SH NAME"
    yield f"sidecar \\- {_text(program.meaning[0].lower() + program.meaning[1:].rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield "\\fBsidecar\\fR \\fICOMMAND\\fR [\\fIARGUMENT\\fR ...]"
    yield ".br"
    yield "\\fBsidecar \\-\\-help\\fR | \\fB\\-\\-version\\fR"
    yield ".SH OPTIONS"
    yield from _options(program)
    yield ".SH COMMANDS"
    for command in commands:
        yield from _section(command)
    yield ".SH FILES"
    yield from _paragraph("\\fI/etc/sidecar/config.yaml\\fR", _DEFAULT_FILE)
    yield ".SH ENVIRONMENT"
    for paragraph in main.ENVIRONMENT.strip().split("\n\n"):
        yield ".PP"
        yield _text(" ".join(paragraph.split()))
    yield ".SH EXIT STATUS"
    for code, meaning in MEANINGS.items():
        yield from _paragraph(f"\\fB{code}\\fR", meaning)


def _usage(command: Command) -> str:
    flags = [
        written if flag.required else f"[{written}]"
        for flag in command.flags
        for written in [f"\\fB{_text(flag.names[0])}\\fR{_named(flag.value)}"]
    ]
    places = [
        name if place.value.needed else f"[{name}]"
        for place in command.places
        for name in [f"\\fI{_text(place.value.name)}\\fR"]
    ]
    return " ".join((f"\\fBsidecar {_text(command.name)}\\fR", *flags, *places))


def _section(command: Command) -> Iterator[str]:
    yield f".SS sidecar {_text(command.name)}"
    yield _usage(command)
    yield ".PP"
    yield _text(f"{command.meaning[0].upper()}{command.meaning[1:]}.")
    for place in command.places:
        yield from _paragraph(f"\\fI{_text(place.value.name)}\\fR", place.meaning)
    yield from _options(command)
    yield ".PP"
    yield "Example:"
    yield ".PP"
    yield ".RS 4"
    yield ".nf"
    yield from map(_text, main.COMMANDS[command.name].EXAMPLE.splitlines())
    yield ".fi"
    yield ".RE"


def _options(command: Command) -> Iterator[str]:
    for flag in command.flags:
        yield from _paragraph(_names(flag), flag.meaning)


def _names(flag: Flag) -> str:
    return ", ".join(f"\\fB{_text(name)}\\fR" for name in flag.names) + _named(flag.value)


def _named(value: Value | None) -> str:
    if value is None:
        return ""
    name = f"\\fI{_text(value.name)}\\fR"
    return f" {name}" if value.needed else f" [{name}]"


def _paragraph(term: str, meaning: str) -> Iterator[str]:
    yield ".TP"
    yield term
    yield _text(meaning)


def _text(text: str) -> str:
    """Write text that roff prints as it is: no escape, no request, and - rather than a hyphen."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped)
