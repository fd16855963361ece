"""The completion script for bash 4.0 and later, without the package bash-completion."""

from collections.abc import Iterator, Sequence

from sidecar.cli.shells.grammar import Command, Value

_SCRIPT = """\
# bash completion for sidecar. Write it to ~/.local/share/bash-completion/completions/sidecar,
# or add to ~/.bashrc: source <(sidecar completion bash)
_sidecar() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} command= flag= joined= place=0 words= files= word at
    for ((at = 1; at < COMP_CWORD; at++)); do
        word=${{COMP_WORDS[at]}}
        if [[ $word == [:=]* ]]; then
            joined=1
        elif [[ -n $joined || -n $flag ]]; then
            joined= flag=
        elif [[ $word == -* ]]; then
            case "$command $word" in
{valued}
            esac
        elif [[ -z $command ]]; then
            command=$word
        else
            ((place++))
        fi
    done
    if [[ $current == [:=]* ]]; then
        joined=1 current=
    fi
    COMPREPLY=()
    if [[ -n $joined && -z $flag ]]; then
        return
    elif [[ -z $flag && $current == -* ]]; then
        case $command in
{flags}
        esac
    else
        case "$command ${{flag:-$place}}" in
{values}
        esac
    fi
    if [[ -n $files ]]; then
        compopt -o default
    else
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
    fi
}}
complete -F _sidecar sidecar
"""


def script(commands: Sequence[Command]) -> str:
    """Return the script."""
    return _SCRIPT.format(
        valued="\n".join(_valued(commands)),
        flags="\n".join(_flags(commands)),
        values="\n".join(_values(commands)),
    )


def _valued(commands: Sequence[Command]) -> Iterator[str]:
    for command in commands:
        taking = [flag for flag in command.flags if flag.value is not None and flag.value.needed]
        patterns = [f"'{command.name} {name}'" for flag in taking for name in flag.names]
        if patterns:
            yield f"                {' | '.join(patterns)}) flag=$word ;;"


def _flags(commands: Sequence[Command]) -> Iterator[str]:
    for command in commands:
        names = [name for flag in command.flags for name in flag.names if name.startswith("--")]
        yield f"            '{command.name}') words='{' '.join(names)}' ;;"


def _values(commands: Sequence[Command]) -> Iterator[str]:
    for command in commands:
        for flag in command.flags:
            if flag.value is not None and flag.value.needed:
                yield from _case(command, flag.names, flag.value)
        for at, place in enumerate(command.places):
            yield from _case(command, (str(at),), place.value)


def _case(command: Command, names: Sequence[str], value: Value) -> Iterator[str]:
    pattern = " | ".join(f"'{command.name} {name}'" for name in names)
    if value.kind == "file":
        yield f"            {pattern}) files=1 ;;"
    elif value.kind == "word":
        yield f"            {pattern}) words='{' '.join(value.words)}' ;;"
