"""The completion script for fish 3.0 and later."""

from collections.abc import Iterator, Sequence

from sidecar.cli.shells.grammar import Command, Flag, Value

_HEAD = """\
# fish completion for sidecar. Write it to ~/.config/fish/completions/sidecar.fish,
# or run: sidecar completion fish | source
function __sidecar_in
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if not string match -q -- '-*' $word
            test "$word" = "$argv[1]"
            return
        end
    end
    test -z "$argv[1]"
end
complete -c sidecar -f
"""


def script(commands: Sequence[Command]) -> str:
    """Return the script."""
    _, *others = commands
    lines = [f"{_in('')} -a {one.name} -d {_quoted(one.meaning)}" for one in others]
    lines += [line for command in commands for line in _arguments(command)]
    return _HEAD + "".join(f"{line}\n" for line in lines)


def _arguments(command: Command) -> Iterator[str]:
    for flag in command.flags:
        yield f"{_in(command.name)} {_flag(flag)}"
    for place in command.places if command.name else ():
        if place.value.kind != "text":
            yield f"{_in(command.name)} {_offered(place.value)} -d {_quoted(place.meaning)}"


def _flag(flag: Flag) -> str:
    names = [
        f"-l {name.removeprefix('--')}" if name.startswith("--") else f"-s {name.removeprefix('-')}"
        for name in flag.names
    ]
    value = ["-r", _offered(flag.value)] if flag.value is not None and flag.value.needed else []
    return " ".join((*names, *value, "-d", _quoted(flag.meaning)))


def _offered(value: Value) -> str:
    """Return the completions of a value: files, words, or nothing."""
    kinds = {"file": "-F", "word": f"-f -a {_quoted(' '.join(value.words))}", "text": "-f"}
    return kinds[value.kind]


def _in(command: str) -> str:
    return f"complete -c sidecar -n {_quoted(f'__sidecar_in {command}'.rstrip())}"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
