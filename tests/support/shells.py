"""bash, zsh and fish as people use them: a line is typed, then Tab."""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.environment import bare
from tests.support.required import missing

_TO_BEGIN, _TO_END = "\x01", "\x05"
_SETTINGS = {
    "bash": "bind 'set show-all-if-ambiguous on'; bind 'set completion-query-items 0'; "
    "bind 'set page-completions off'; bind 'set enable-bracketed-paste off'; bind 'set bell-style none'",
    "zsh": "bindkey -e; setopt no_beep no_list_ambiguous no_always_last_prompt; "
    "unset zle_bracketed_paste; LISTMAX=9999; "
    "autoload -U compinit; compinit -u -d ~/compdump; zstyle ':completion:*' verbose no",
}
_COMMANDS = {"bash": ("bash", "--norc", "--noprofile", "-i"), "zsh": ("zsh", "-f", "-i")}
_PROMPT = "$ "
_MARK = re.compile(r"^<\|(.*)\|\n.*\$ $", re.MULTILINE)
"""What the shell prints of a line, and the next prompt: that which is typed does not begin so."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[=>])|\r")


@dataclass(frozen=True, slots=True)
class Completed:
    """What became of a line."""

    line: str
    """After Tab."""
    shown: frozenset[str]
    """The words that the shell proposed, where there was more than one."""


def completed(shell: str, script: str, lines: Sequence[str], folder: Path) -> list[Completed]:
    """Type each line in a shell that has read the script, in the folder, and Tab."""
    if shutil.which(shell) is None:
        missing(f"no {shell}: make shells")
    home = folder / "home"
    (home / "bin").mkdir(parents=True)
    (home / "bin/sidecar").symlink_to(sys.executable)  # a command that there is
    (home / "script").write_text(script)
    path = f"{home}/bin:{os.environ['PATH']}"
    environ = bare({"PATH": path, "HOME": str(home), "TERM": "xterm"})
    if shell == "fish":
        return [_asked_of_fish(line, folder, environ) for line in lines]
    typed = [f"{_SETTINGS[shell]}; PS1='{_PROMPT}'; source ~/script; echo '<|ready''|'\n"]
    typed += [f"{line}\t{_TO_BEGIN}echo '<|{_TO_END}|'\n" for line in lines]
    _, *screens = _typed(_COMMANDS[shell], typed, folder, environ)
    return [_read(screen) for screen in screens]


def _asked_of_fish(line: str, folder: Path, environ: dict[str, str]) -> Completed:
    """It completes without a terminal."""
    program = "source ~/script; complete -C $argv[1]"
    command = ["fish", "--no-config", "-c", program, line]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, cwd=folder, check=True)
    words = [proposal.partition("\t")[0] for proposal in done.stdout.splitlines()]
    head = line[: line.rfind(" ") + 1]
    if len(words) == 1:
        return Completed(f"{head}{words[0]} ", frozenset())
    return Completed(line, frozenset(words))


def _typed(
    command: Sequence[str], lines: Sequence[str], folder: Path, environ: Mapping[str, str]
) -> list[str]:
    """Return what the terminal shows of each line, typed as soon as the one before it has printed its mark."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    child = subprocess.Popen(
        command, cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    shown = []
    try:
        for line in lines:
            os.write(ours, line.encode())
            screen = b""
            while not _MARK.search(_plain(screen)):
                screen += os.read(ours, 65_536)
            shown.append(_plain(screen))
    finally:
        os.close(ours)
        child.kill()
        child.wait()
    return shown


def _plain(screen: bytes) -> str:
    return _ESCAPES.sub("", screen.decode(errors="replace"))


def _read(screen: str) -> Completed:
    """Find the line that was printed, and the proposals, on lines between what was typed and the next prompt."""
    printed = _MARK.search(screen)
    assert printed is not None
    _, *rest = screen[: printed.start()].splitlines()
    proposals = [line for line in rest if _PROMPT not in line]
    return Completed(printed[1], frozenset(word for line in proposals for word in line.split()))
