"""`make reproducible`: build the image's tree twice, from folders of different names, and compare every byte.

Both are built at the same place, as in the image, since scripts and byte code name the place where they run. Exits with
1 and names what differs.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from tests import ROOT

FOLDERS = ("a", "b" * 40)


def context(folder: Path) -> Path:
    """Copy what `.docker/build.sh` reads, and return the folder."""
    for name in re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target)
    return folder


def content(tree: Path) -> Mapping[str, str]:
    """Return every file of a tree with its mode and digest, and every link with its target."""
    found = {}
    for path in sorted(tree.rglob("*")):
        held = str(path.readlink()) if path.is_symlink() else ""
        if path.is_file() and not held:
            held = sha256(path.read_bytes()).hexdigest()
        found[str(path.relative_to(tree))] = f"{path.lstat().st_mode:o} {held}"
    return found


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Return the paths that only one has, or that differ."""
    return sorted(path for path in one.keys() | other.keys() if one.get(path) != other.get(path))


def main() -> int:
    """Build both, and return the exit code."""
    with tempfile.TemporaryDirectory() as work:
        tree, found = Path(work) / "tree", []
        for name in FOLDERS:
            build = context(Path(work) / name) / ".docker/build.sh"
            subprocess.run([build, tree], check=True, env={**os.environ, "PYTHON": sys.executable})
            found.append(content(tree))
            shutil.rmtree(tree)
        differ = differences(*found)
        sys.stdout.write("\n".join([f"{len(found[0])} paths, {len(differ)} differ", *differ, ""]))
        return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
