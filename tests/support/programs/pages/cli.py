"""The page of the command line, from its parser."""

from collections.abc import Iterator

from sidecar.cli import exits, main
from sidecar.cli.shells.grammar import Command, Flag, Place, Value, grammar
from tests.support.programs.pages import docstrings
from tests.support.programs.pages.markdown import block, bullets, code, page, prose, sentence, table

INTRODUCTION = prose(
    """`sidecar COMMAND --help` prints the same. The package also installs a manual page: `man sidecar`.
    `python -m sidecar` is the same program.""",
    """For an unknown command or flag, the error proposes the nearest name. Flags override
    [environment variables](environment.md), which override the [configuration file](configuration.md).""",
)
COMPLETION = (
    bullets(
        (
            "bash: add `source <(sidecar completion bash)` to `~/.bashrc`.",
            "zsh: add `source <(sidecar completion zsh)` to `~/.zshrc`, after `compinit`.",
            "fish: run `sidecar completion fish > ~/.config/fish/completions/sidecar.fish`.",
        )
    )
    + "\n"
)


def text() -> str:
    """Return the page."""
    program, *commands = grammar(main.parser(), {})
    return page(
        "Command line",
        "the parser of the command line",
        INTRODUCTION,
        table(
            ("Command", "What it does"),
            [
                (f"[`{_name(each)}`](#{_name(each).replace(' ', '-')})", sentence(each.meaning))
                for each in commands
            ],
        ),
        "## `sidecar`",
        _arguments(program),
        *(part for command in commands for part in _section(command)),
        "## Exit codes",
        table(("Code", "Meaning"), _exit_codes()),
        "## Completion in the shell",
        COMPLETION,
    )


def _section(command: Command) -> Iterator[str]:
    yield f"## `{_name(command)}`"
    yield sentence(command.meaning)
    yield _arguments(command)
    yield block("sh", main.COMMANDS[command.name].EXAMPLE)


def _name(command: Command) -> str:
    return f"sidecar {command.name}".strip()


def _arguments(command: Command) -> str:
    places = [(_place(each), sentence(each.meaning)) for each in command.places if each.meaning]
    flags = [(_flag(each), _meaning(each)) for each in command.flags]
    return table(("Argument", "Meaning"), [*places, *flags])


def _place(place: Place) -> str:
    return code(place.value.name if place.value.needed else f"[{place.value.name}]")


def _flag(flag: Flag) -> str:
    *others, last = flag.names
    return ", ".join([*map(code, others), code(last + _value(flag.value))])


def _value(value: Value | None) -> str:
    if value is None:
        return ""
    return f" {value.name}" if value.needed else f" [{value.name}]"


def _meaning(flag: Flag) -> str:
    return sentence(flag.meaning) + (" Required." if flag.required else "")


def _exit_codes() -> Iterator[tuple[str, str]]:
    meanings = docstrings.of_constants(exits)
    for name, number in vars(exits).items():
        if name.startswith("EXIT_"):
            yield code(str(number)), meanings[name]
