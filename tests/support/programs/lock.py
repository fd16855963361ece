"""`make lock`: write the two locks that `.docker/build.sh` installs from, with the newest compatible releases.

`.docker/requirements.txt` is what the image holds beside the sidecar. `.build/requirements.txt` is what builds its
compiled wheel, with the same releases of what both have. Each pin has the hashes of all its files, so that a lock
serves every platform and every Python. No address is in a lock: where packages come from is a setting of the machine.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests import ROOT
from tests.support.lock import IMAGE, TOOLS, needed, project, tools

UV = Path(sys.executable).parent / "uv"


def write(target: Path, requirements: Sequence[str], *constraints: Path) -> None:
    """Write one lock. Raises CalledProcessError if no releases are compatible."""
    oldest = project()["project"]["requires-python"].removeprefix(">=")
    command = [str(UV), "pip", "compile", "-", "--quiet", "--no-config", "--upgrade", "--universal"]
    command += ["--python-version", oldest, "--no-build", "--generate-hashes", "--no-emit-index-url"]
    command += ["--custom-compile-command", "make lock", "--output-file", str(target.relative_to(ROOT))]
    for each in constraints:
        command += ["--constraint", str(each.relative_to(ROOT))]
    subprocess.run(
        command, check=True, cwd=ROOT, input="\n".join(requirements), text=True, stdout=subprocess.DEVNULL
    )


if __name__ == "__main__":
    write(IMAGE, needed())
    write(TOOLS, tools(), IMAGE)
