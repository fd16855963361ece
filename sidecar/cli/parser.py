"""The parser of the command line. Its errors show the usage of the command that was called, and the fix."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NoReturn

from sidecar.cli.exits import EXIT_USAGE

WIDTH = 80
"""Columns of the help at most, on any terminal."""


def formatter(prog: str) -> argparse.HelpFormatter:
    """Return the formatter of the help."""
    from shutil import get_terminal_size

    width = min(get_terminal_size().columns, WIDTH) - 2
    return argparse.RawDescriptionHelpFormatter(prog, width=width)


class Parser(argparse.ArgumentParser):
    """The parser of `sidecar`, or of one of its commands."""

    meaning = ""
    """Its purpose, in one line."""
    commands: "Mapping[str, Parser]" = MappingProxyType({})

    def format_help(self) -> str:
        """Return the help, which begins with the command's purpose."""
        return f"{self.meaning}\n\n{super().format_help()}"

    @property
    def actions(self) -> Sequence[argparse.Action]:
        """Return its flags and arguments, in the order of the help."""
        return self._actions

    @property
    def flags(self) -> Mapping[str, argparse.Action]:
        """Return the action of each spelling of each flag."""
        return self._option_string_actions

    def error(self, message: str) -> NoReturn:
        """Print the usage of this command and the error, and exit."""
        from sidecar.cli.terminal import harmless

        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: {harmless(message)}\n")

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse the words; exit with an error of the command that they name."""
        self.refuse_unknown(words)
        arguments, left = self.parse_known_args(words)
        called: Parser = getattr(arguments, "parser", self)
        if called is self:
            self.error(f"name a command; `{self.prog} --help` lists them")
        if left:
            called.error(called._left(left[0]))
        return arguments

    def refuse_unknown(self, words: Sequence[str]) -> None:
        """Find unknown commands and flags first, because argparse reports what is missing because of them."""
        for at, word in enumerate(words):
            if word == "--":
                return
            if self.commands and not word.startswith("-"):
                command = self.commands.get(word)
                if command is None:
                    self.error(self.unknown("command", word, self.commands))
                command.refuse_unknown(words[at + 1 :])
                return
            name = word.partition("=")[0]
            flag = name.startswith("--" if not self.commands else "-") and " " not in word
            if flag and name not in self.flags:
                self.error(self._left(name))

    def _left(self, word: str) -> str:
        """Return the error of a word without a place."""
        if not word.startswith("-"):
            return f"unexpected argument {word!r}; `{self.prog} --help` shows the usage"
        if any(word in command.flags for command in self.commands.values()):
            return f"unknown flag {word}; write the flags of a command after its name"
        return self.unknown("flag", word, self.flags)

    def unknown(self, kind: str, word: str, known: Mapping[str, object]) -> str:
        """Return the error of an unknown word, with the known one that was probably meant."""
        from sidecar.core.foreign_text import nearest

        meant = nearest(word, known)
        shown = word if word.startswith("-") else repr(word)
        return f"unknown {kind} {shown}; " + (
            f"did you mean {meant}?" if meant else f"`{self.prog} --help` lists the {kind}s"
        )
