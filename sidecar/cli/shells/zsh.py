"""The completion script for zsh."""

import re
from collections.abc import Iterator, Sequence

from sidecar.cli.shells.grammar import Command, Flag, Place, Value

_SCRIPT = """\
#compdef sidecar
# zsh completion for sidecar. Write it to a file _sidecar in a folder of $fpath,
# or add to ~/.zshrc, after compinit: source <(sidecar completion zsh)
_sidecar() {{
    local context state state_descr line
    typeset -A opt_args
    _arguments -C -S \\
{flags}
        '1:command:->command' \\
        '*::argument:->argument'
    case $state in
        command)
            local -a commands=(
{commands}
            )
            _describe -t commands command commands
            ;;
        argument)
            case $line[1] in
{arguments}
            esac
            ;;
    esac
}}
if [[ $funcstack[1] == _sidecar ]]; then
    _sidecar "$@"
else
    compdef _sidecar sidecar
fi
"""


def script(commands: Sequence[Command]) -> str:
    """Return the script."""
    program, *others = commands
    return _SCRIPT.format(
        flags="\n".join(f"        {_flag(flag)} \\" for flag in program.flags),
        commands="\n".join(f"                {_quoted(f'{one.name}:{one.meaning}')}" for one in others),
        arguments="\n".join(line for command in others for line in _arguments(command)),
    )


def _arguments(command: Command) -> Iterator[str]:
    yield f"                {command.name})"
    specs = [
        *map(_flag, command.flags),
        *(_place(at, place) for at, place in enumerate(command.places, start=1)),
    ]
    yield "                    _arguments -S \\"
    yield " \\\n".join(f"                        {spec}" for spec in specs)
    yield "                    ;;"


def _flag(flag: Flag) -> str:
    value = f":{_value(flag.value)}" if flag.value is not None else ""
    optional = ":" if flag.value is not None and not flag.value.needed else ""
    what = _quoted(f"[{_escaped(flag.meaning)}]{optional}{value}")
    names = [f"{name}{_joint(name, flag)}" for name in flag.names]
    excluded = "*" if flag.repeated else f"({' '.join(flag.names)})"
    written = names[0] if len(names) == 1 else f"{{{','.join(names)}}}"
    return f"'{excluded}'{written}{what}"


def _joint(name: str, flag: Flag) -> str:
    if flag.value is None:
        return ""
    return "=" if name.startswith("--") else "+"


def _place(at: int, place: Place) -> str:
    return _quoted(f"{at}:{'' if place.value.needed else ':'}{_value(place.value)}")


def _value(value: Value) -> str:
    actions = {"file": "_files", "word": f"({' '.join(value.words)})", "text": " "}
    return f"{_escaped(value.name)}:{actions[value.kind]}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\\[\]:])", r"\\\1", text)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
