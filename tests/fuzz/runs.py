"""One run of a target: its inputs on disk, the process of atheris, and the results in its output."""

import re
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.fuzz.target import Target, load

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
LONGEST = 4096
"""Bytes of an input: longer ones find little more, and take longer."""
SLOWEST = 20
"""Seconds in which an input must be checked, far more than the slowest takes."""
MOST_MEMORY = 2048
"""MiB that the process may take."""
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_EDGES = re.compile(r"#\d+\s+\w+\s+cov: (\d+)")
_SHOWN = 40
"""Lines of output that are shown of a finding."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found."""

    name: str
    executions: int
    edges: int
    """Branches of the sidecar that the inputs reached, as atheris counts them."""
    inputs: int
    """Inputs that reach something that no other one reaches."""
    coverage: str
    """Lines and branches of the judged modules that these inputs reach."""
    failure: str
    """The end of the output if an oracle failed, else ""."""

    @property
    def line(self) -> str:
        """Return the line to print."""
        state = "FAILED" if self.failure else "ok"
        return (
            f"{self.name:16} {state:6} {self.executions:>10,} executions, {self.edges:>5} edges,"
            f" {self.inputs:>5} inputs, coverage {self.coverage}"
        )


def run(name: str, minutes: float) -> Outcome:
    """Run one target for some minutes."""
    place, target = BUILD / name, load(name)
    inputs = place / "inputs"
    write_inputs(inputs, target)
    words = place / "words"
    words.write_text(dictionary(target))
    options = [
        f"-max_total_time={round(minutes * 60)}",
        f"-max_len={LONGEST}",
        "-len_control=20",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MOST_MEMORY}",
        f"-dict={words}",
        f"-artifact_prefix={place}/",
        "-print_final_stats=1",
        str(inputs),
    ]
    done = output("tests.fuzz.fuzzer", name, *options)
    failure = "" if done.returncode == 0 else failure_in(done.stdout)
    covered = output("tests.fuzz.replay", name).stdout.strip()
    return Outcome(
        name,
        executions_in(done.stdout),
        edges_in(done.stdout),
        sum(1 for _ in inputs.iterdir()),
        covered.rpartition("\n")[2],
        failure,
    )


def executions_in(text: str) -> int:
    """Return how many inputs were checked."""
    found = _EXECUTED.search(text)
    return int(found[1]) if found else 0


def edges_in(text: str) -> int:
    """Return how many edges were reached."""
    found = _EDGES.findall(text)
    return int(found[-1]) if found else 0


def failure_in(text: str) -> str:
    """Return the end of the output, without the lines of progress."""
    lines = [line for line in text.splitlines() if not line.startswith(("#", "INFO:", "WARNING:", "stat::"))]
    return "\n".join(lines[-_SHOWN:])


def output(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def write_inputs(folder: Path, target: Target) -> None:
    """Write what the target begins with, beside what earlier runs have found."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds:
        (folder / sha256(seed).hexdigest()[:40]).write_bytes(seed)


def dictionary(target: Target) -> str:
    """Return the target's words in the form of libFuzzer."""
    return "".join('"{}"\n'.format("".join(f"\\x{octet:02x}" for octet in word)) for word in target.words)
