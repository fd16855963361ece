"""One run of spin: a checker is made from the model, compiled and run; what it found is read from its output."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).with_name("fleet.pml")
MEMORY = 8000
"""MiB that a checker may take."""
DEPTH = 2_000_000
_RULE = re.compile(r"^\s*:: (?:atomic|d_step) \{")
_STATEMENT = re.compile(r"^\s*\d+:\s+proc\s+\d+ \(\w+:\d+\) \S+:(\d+) \(state (\d+)\)", re.MULTILINE)
_BROKEN = re.compile(r"assertion violated \(+100(\d+)&&")


@dataclass(frozen=True)
class Found:
    """The result of one run."""

    states: int
    complete: bool
    """Whether every state that can be reached was visited."""
    broken: int | None
    """The invariant that does not hold, 0 for the liveness formula; None if all hold."""
    steps: int
    """Steps of pods, messages, time and faults in the counterexample."""


def check(defines: Sequence[str], options: Sequence[str], arguments: Sequence[str], folder: Path) -> Found:
    """Check the model in this folder. `defines` set the model, `options` the compiler, `arguments` the checker.

    Raises CalledProcessError or ValueError if the tools fail.
    """
    macros = [f"-D{define}" for define in defines]
    _output(["spin", *macros, "-a", str(MODEL)], folder)
    _output(
        ["gcc", "-O1", "-w", *(f"-D{o}" for o in (f"MEMLIM={MEMORY}", *options)), "-o", "pan", "pan.c"],
        folder,
    )
    output = _output(["./pan", "-E", f"-m{DEPTH}", *arguments], folder)
    trail = folder / f"{MODEL.name}.trail"
    steps = (
        count(_output(["spin", *macros, "-t", "-k", str(trail), "-p", str(MODEL)], folder))
        if trail.exists()
        else 0
    )
    return read(output, steps)


def read(output: str, steps: int) -> Found:
    """Read the checker's output. Raises ValueError if it states no result."""
    states = re.search(r"^\s*([\d.e+]+) states, stored", output, re.MULTILINE)
    errors = re.search(r"errors: (\d+)", output)
    if states is None or errors is None:
        raise ValueError(f"cannot read the checker's output: {output[-2000:]}")
    broken = _BROKEN.search(output)
    if errors[1] == "0":
        number = None
    elif broken is not None:
        number = int(broken[1])
    elif "acceptance cycle" in output:
        number = 0
    else:
        raise ValueError(f"cannot read the checker's error: {output[-2000:]}")
    complete = not re.search(
        r"Interrupted|Search not completed|max search depth too small|out of memory", output
    )
    return Found(int(float(states[1])), complete, number, steps)


def count(trace: str) -> int:
    """Return the number of steps in a trace that spin printed: the rules of the model that it begins."""
    rules = {n for n, line in enumerate(MODEL.read_text().splitlines(), 1) if _RULE.match(line)}
    found = [(int(line), int(state)) for line, state in _STATEMENT.findall(trace) if int(line) in rules]
    first = {line: min(state for other, state in found if other == line) for line, _ in found}
    return sum(first[line] == state for line, state in found)


def _output(command: Sequence[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout
